python -m interplay.experiments.studies.interval_coverage --out experiments/results/intervals --repeats 8000
