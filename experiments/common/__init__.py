"""Shared parts: settings, files, signals, processes, statistics and reports."""
