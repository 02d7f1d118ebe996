"""One number for an agent over a frozen list of markets, budgets and seeds."""
