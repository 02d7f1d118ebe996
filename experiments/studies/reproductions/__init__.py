"""Published results on markets of this package: one script each, with what was published and what is found."""
