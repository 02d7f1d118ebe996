python scripts/faults.py --out experiments/results/faults
