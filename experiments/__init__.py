"""Experiments: training, evaluation, oracles, statistics, plots. The only place that knows both sides."""
