"""Interplay: a recommender system as a market in which users and items are both agents.

The sources live in the top-level folders ``envs``, ``agents`` and ``experiments``, and import as
``interplay.envs``, ``interplay.agents`` and ``interplay.experiments``. Importing this package registers the
Gymnasium environment ``interplay/Recommend-v0``.
"""

import interplay.envs  # noqa: F401  (registers the Gymnasium environment)

__version__ = "0.1.0"
