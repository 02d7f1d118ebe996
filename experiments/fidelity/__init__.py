"""Fidelity: how like its log a simulated market is.

Both become a ``Trace`` (``trace.py``; ``playing.py`` writes the market's). Each ``Aspect`` (``aspects.py``,
``next_response.py``) turns a trace into a distribution and says how far two of those are apart; ``judging.py`` sets
that beside how far resamples of the log are apart.
"""
