"""Fit: a market whose people behave as those of a log, by maximum likelihood.

``rows.py`` brings a log into order; ``responding.py`` (how users respond), ``taking.py`` (what they take, and
repeats) and ``visiting.py`` (how much, and in which sessions) each fit one part and say how well it predicts held-out
rows; ``making.py`` makes a preset of them.
"""
