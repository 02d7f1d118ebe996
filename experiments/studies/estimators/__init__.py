"""How far off-policy estimators are off, and how often their intervals hold, where the truth is known."""
