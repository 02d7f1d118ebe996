"""Many agents on many markets with many seeds: trainings, scores, curves, pictures and reports."""
