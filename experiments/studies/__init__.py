"""Evidence on the package itself. Nothing else imports it."""
