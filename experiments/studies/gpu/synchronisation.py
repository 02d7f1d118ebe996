"""Whether a step of the market or an iteration of training makes the host wait for the GPU."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch

from interplay.agents import agents
from interplay.envs.presets import find_preset, presets
from interplay.experiments.common.settings import OPTION_OF
from interplay.experiments.loop.training import advance
from interplay.experiments.studies.gpu.bench import Bench, Case, Row, repeated
from interplay.experiments.studies.gpu.playing import EAGER, loop_of
from interplay.experiments.studies.gpu.settings import Training, side_of, soon

_WARM_UP, _STEPS = 20, 12


def cases(bench: Bench) -> Iterator[Case]:
    """Market steps of every preset, iterations of every learner, and the reset at the horizon of every preset."""
    for name in presets():
        yield Case({"preset": name, "part": "step"}, partial(_market, bench, name))
        yield Case({"preset": name, "part": "reset"}, partial(_reset, bench, name))
    for agent, kind in agents().items():
        if kind.learns:
            preset = "feed" if kind.plays == ("platform",) else "kale"
            yield Case({"preset": preset, "part": "training", "agent": agent}, partial(_train, bench, preset, agent))


@torch.no_grad()
def _market(bench: Bench, preset: str) -> Row:
    loop = loop_of(EAGER, find_preset(preset).market(bench.device), 4)
    repeated(loop.replay, 2)
    return _watched(bench, loop.replay, 3)


def _reset(bench: Bench, preset: str) -> Row:
    loop = loop_of(EAGER, find_preset(preset).market(bench.device), 4)
    return _watched(bench, loop.reset, 1)


def _train(bench: Bench, preset: str, agent: str) -> Row:
    option = OPTION_OF[side_of(preset, agent)]
    run = Training(preset, agent, worlds=4).start(bench, "off", **{option: soon(agent)})
    repeated(lambda: advance(run), _WARM_UP)
    return _watched(bench, run.step, _STEPS)


def _watched(bench: Bench, call: Callable[[], object], count: int) -> Row:
    """Whether the calls synchronise, and where first. Only a GPU shows it."""
    bench.wait()
    try:
        with _forbidden(bench):
            repeated(call, count)
    except RuntimeError as error:
        if "synchroniz" not in str(error):
            raise
        return {"checked": True, "clean": False, "where": _place(error)}
    return {"checked": bench.on_gpu, "clean": True, "where": ""}


@contextmanager
def _forbidden(bench: Bench) -> Iterator[None]:
    """A block in which torch raises where the host would wait for the GPU."""
    if not bench.on_gpu:
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _place(error: RuntimeError) -> str:
    """The last line of this package that the error came through."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "interplay" in frame.filename
           and "torch" not in frame.filename.split("interplay")[-1]]
    return f"{'/'.join(own[-1].filename.split('/')[-3:])}:{own[-1].lineno}" if own else str(error)[:100]
