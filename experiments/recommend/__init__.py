"""Recommendations for users of a log, and the training and judging of the models behind them."""
