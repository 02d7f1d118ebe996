"""VMAS beside: its simple_spread on the same device, where the package is installed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from functools import partial

import gymnasium
import torch

from interplay.experiments.studies.gpu.bench import Bench, Case, Row, repeated

_EPISODE = 25


def cases(bench: Bench) -> Iterator[Case]:
    """Some of the numbers of worlds that kale is measured with."""
    if importlib.util.find_spec("vmas") is None:
        yield Case({"peer": "vmas"}, lambda: {"skipped": "vmas is not installed: pip install vmas"})
        return
    for worlds in bench.sized(tuple(1 << n for n in (12, 15, 17, 19)), (4,)):
        yield Case({"peer": "vmas", "worlds": worlds}, partial(_vmas, bench, worlds))


@torch.no_grad()
def _vmas(bench: Bench, worlds: int) -> Row:
    # It asks for the old package gym, and needs its spaces alone, which gymnasium has, too.
    sys.modules.setdefault("gym", gymnasium)
    vmas = importlib.import_module("vmas")
    env = vmas.make_env("simple_spread", num_envs=worlds, device=str(bench.device), continuous_actions=False, seed=0)
    steps = 0

    def play() -> None:
        nonlocal steps
        env.step([env.get_random_action(agent) for agent in env.agents])
        steps += 1
        if steps % _EPISODE == 0:
            env.reset()

    repeated(play, bench.sized(3, 1))
    agents, seconds = worlds * len(env.agents), bench.seconds_of(play)
    return {"agent_steps_per_s": agents / seconds, "ms": 1e3 * seconds, "agents": agents, **bench.memory()}
