"""Optima and equilibria that can be computed."""
