"""How fast the market is, beside its peers and beside what the machine could do: ``scripts/bench.py``."""
