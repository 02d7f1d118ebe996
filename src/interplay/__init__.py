"""Interplay: a recommender system as a market in which users and items are both agents.

::

    import interplay as ip

    run = ip.train("kale", users="dqn", items="rest", seed=0, episodes=100)
    run.score, run.curve, run.plot("learning.png"), run.evaluate(worlds=512, users="greedy")
    run = ip.load(run.folder).resume(episodes=50)
    table = ip.benchmark(["kale", "contest"], agents=["pqn", ip.agents.DQN(double=False)], seeds=3)
    estimates = ip.ope.evaluate("choices.csv", target="uniform")

The sources live in the top-level folders ``envs``, ``agents`` and ``experiments``, and import as
``interplay.envs``, ``interplay.agents`` and ``interplay.experiments``. Importing this package registers the
Gymnasium environment ``interplay/Recommend-v0``, and nothing else: names are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import interplay.envs  # noqa: F401  (registers the Gymnasium environment)

if TYPE_CHECKING:
    from interplay import agents, experiments
    from interplay.envs.presets import Preset, Training
    from interplay.envs.types import InterplayError
    from interplay.experiments.api import ope
    from interplay.experiments.api.benchmarking import Table, benchmark
    from interplay.experiments.api.fitting import fit
    from interplay.experiments.api.markets import Log, log, market, pettingzoo
    from interplay.experiments.api.run import Run, load, recommend, train
    from interplay.experiments.api.seeds import train_seeds
    from interplay.experiments.evaluate.during import Evaluate
    from interplay.experiments.common.looping import Callback
    from interplay.experiments.loop.progress import Progress

__version__ = "0.2.0"

__all__ = ["Callback", "Evaluate", "InterplayError", "Log", "Preset", "Progress", "Run", "Table", "Training", "agents",
           "benchmark", "experiments", "fit", "load", "log", "market", "ope", "pettingzoo", "recommend", "train",
           "train_seeds"]

_MODULES = {
    "interplay.envs.presets": ("Preset", "Training"),
    "interplay.envs.types": ("InterplayError",),
    "interplay.experiments.api.benchmarking": ("Table", "benchmark"),
    "interplay.experiments.api.fitting": ("fit",),
    "interplay.experiments.api.markets": ("Log", "log", "market", "pettingzoo"),
    "interplay.experiments.api.run": ("Run", "load", "recommend", "train"),
    "interplay.experiments.api.seeds": ("train_seeds",),
    "interplay.experiments.evaluate.during": ("Evaluate",),
    "interplay.experiments.common.looping": ("Callback",),
    "interplay.experiments.loop.progress": ("Progress",)}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name in ("agents", "experiments"):
        return import_module(f"interplay.{name}")
    if name == "ope":
        return import_module("interplay.experiments.api.ope")
    if name not in _HOME:
        raise AttributeError(f"module 'interplay' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
