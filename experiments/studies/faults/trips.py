"""Signals that a command sends to itself at a chosen step, so that a kill falls on the same spot on every machine."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from interplay.envs.market import Market
from interplay.experiments.evaluate.evaluation import HELD_OUT_SEED
from interplay.experiments.recommend import command


class Trip(NamedTuple):
    """Where a signal is sent.

    Attributes:
        step: kind of step: play (a training step of the market), evaluate (one of the evaluation), learn (a step of an
            optimiser), judge (figures of a model), write (a checkpoint, half written), replace (a new file takes the
            place of the old one).
        number: which of them, from 1.
        signal: what is sent.
    """

    step: str
    number: int
    signal: int


@contextmanager
def armed(trip: Trip | None) -> Iterator[None]:
    """Send the signal at its step within the block."""
    counts: Counter[str] = Counter()

    def taken(step: str) -> None:
        counts[step] += 1
        if trip is not None and (step, counts[step]) == trip[:2]:
            os.kill(os.getpid(), trip.signal)

    with _watched(taken):
        yield


@contextmanager
def counted(path: Path | None) -> Iterator[None]:
    """Write how often each kind of step was taken within the block."""
    counts: Counter[str] = Counter()
    with _watched(lambda step: counts.update([step])):
        yield
    if path is not None:
        path.write_text(json.dumps(counts), encoding="utf-8")


@contextmanager
def _watched(taken: Callable[[str], None]) -> Iterator[None]:
    """Call ``taken`` at each step. Checkpoints are cut in half for the time of the call."""
    reset, step = Market.reset, Market.step
    playing = "play"

    def resetting(market: Market, worlds: Any, seed: int = 0) -> Any:
        nonlocal playing
        playing = "evaluate" if seed == HELD_OUT_SEED else "play"
        return reset(market, worlds, seed)

    def stepping(*given: Any) -> Any:
        taken(playing)
        return step(*given)

    def noted(kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*given: Any) -> Any:
            taken(kind)
            return function(*given)

        return called

    judging = [(command, name, noted("judge", getattr(command, name))) for name in ("make_trial", "judge")]
    hook = register_optimizer_step_post_hook(lambda *_: taken("learn"))
    try:
        with _replaced([(Market, "reset", resetting), (Market, "step", stepping),
                        (torch, "save", _saving(torch.save, taken)), (os, "replace", noted("replace", os.replace)),
                        *judging]):
            yield
    finally:
        hook.remove()


def _saving(save: Callable[..., None], taken: Callable[[str], None]) -> Callable[..., None]:
    """``torch.save`` that calls ``taken`` when half of the file is written."""
    def saving(state: Any, file: Any, **options: Any) -> None:
        save(state, file, **options)
        path = Path(file.name if hasattr(file, "name") else file)
        if hasattr(file, "flush"):
            file.flush()
        written = path.read_bytes()
        os.truncate(path, len(written) // 2)
        taken("write")
        path.write_bytes(written)

    return saving


@contextmanager
def _replaced(changes: Sequence[tuple[Any, str, Any]]) -> Iterator[None]:
    """Attributes (owner, name, value) that are other ones within the block."""
    before = [getattr(owner, name) for owner, name, _ in changes]
    for owner, name, new in changes:
        setattr(owner, name, new)
    try:
        yield
    finally:
        for (owner, name, _), old in zip(changes, before, strict=True):
            setattr(owner, name, old)
