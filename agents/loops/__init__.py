"""Compiled loops of networks for a CPU, where numba is installed; torch's code is the reference."""
