"""Representations from logs: two towers, what they are compared with, and honest metrics."""
