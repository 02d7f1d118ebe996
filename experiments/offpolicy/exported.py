"""Slates that ``interplay evaluate RUN --export NAME.market.parquet`` wrote, for off-policy evaluation.

What is estimated is what a target's slates would have earned, each in the situation in which the log's user was when it
was shown its own. What the target's slates would have led to is another question, which needs whole episodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from interplay.agents.parts.choosing import any_slate_log_propensity
from interplay.envs.checking import shown
from interplay.envs.data.columns import read_ids, read_numbers, refuse
from interplay.envs.data.reading import read_frame
from interplay.envs.messages import choice
from interplay.envs.types import InterplayError
from interplay.experiments.offpolicy.estimators import WEIGHTING, Case
from interplay.experiments.offpolicy.evaluation import Evaluation, evaluate_case
from interplay.experiments.offpolicy.feedback import Floats, Integers
from interplay.experiments.offpolicy.slates import slate_case

_TYPES: dict[str, pl.DataType | type[pl.DataType]] = {
    "world": pl.Int64, "step": pl.Int64, "user": pl.String, "reward": pl.Float32, "response": pl.Float32,
    "position": pl.Int64, "active": pl.Boolean, "slate": pl.List(pl.Int64), "log_propensity": pl.Float32,
    "num_candidates": pl.Int64, "context": pl.List(pl.Float32)}
"""The columns that are read, of those that ``Recorder`` writes."""

_MAY_LACK = ("log_propensity",)
_ROUNDING = 1e-4  # of a float32 log-propensity


class Size(NamedTuple):
    """How much was played: ``T`` steps of ``U`` users in each of ``B`` worlds."""

    steps: int
    worlds: int
    users: int


@dataclass(frozen=True, eq=False)
class SlateLog:
    """``N`` slates, a row for each step, world and user.

    Attributes:
        source: name of the file.
        frame: the table with the columns of ``Recorder``, checked.
        unit: int64 ``[N]``, what was drawn independently, as in ``BanditFeedback``.
    """

    source: str
    frame: pl.DataFrame
    unit: Integers

    def __len__(self) -> int:
        return self.frame.height

    @cached_property
    def slate(self) -> Integers:
        """Items by number in each slot, int64 ``[N, K]``; -1 for a slot with nothing in it."""
        return _matrix(self.frame["slate"], empty=-1)

    @cached_property
    def context(self) -> NDArray[np.float32]:
        """What the user saw, float32 ``[N, F]``."""
        return _matrix(self.frame["context"])

    @property
    def reward(self) -> Floats:
        """What each slate earned, float64 ``[N]``."""
        return read_numbers(self.frame["reward"], self.source).astype(np.float64)

    @property
    def log_propensity(self) -> Floats:
        """Of each slate under the policy that filled it, float64 ``[N]``; NaN where it is not known."""
        return self.frame["log_propensity"].cast(pl.Float64).fill_null(np.nan).to_numpy()

    @property
    def active(self) -> NDArray[np.bool_]:
        """Whether the user was present, ``[N]``."""
        return self.frame["active"].to_numpy()

    def size(self) -> Size:
        """How much was played.

        Raises:
            InterplayError: rows lack, or are in another order than they were written in.
        """
        world, step = (self.frame[name].to_numpy() for name in ("world", "step"))
        steps, worlds = int(step.max()) + 1, int(world.max()) + 1
        users, rest = divmod(len(self), steps * worlds)
        if rest or not ((world == np.tile(np.repeat(np.arange(worlds), users), steps)).all()
                        and (step == np.repeat(np.arange(steps), worlds * users)).all()):
            raise InterplayError(f"{self.source}: {len(self):,} rows of {worlds} worlds and {steps} steps are not all, "
                                 "or not in the order of step, world and user: give the file as it was exported")
        return Size(steps, worlds, users)


def read_slates(path: Path, unit_column: str | None = None) -> SlateLog:
    """The slates in a file that ``Recorder`` wrote.

    Args:
        path: the file.
        unit_column: with what was drawn independently; None = each user of each world.

    Raises:
        InterplayError: a column is not there or of another type, there is no row, or a value is none that it can be.
    """
    frame = read_frame(path)
    _check_types(frame.schema, path.name, unit_column)
    if frame.is_empty():
        raise InterplayError(f"{path.name}: there are 0 rows: export at least one step")
    _check_values(frame, path.name)
    unit, known = read_ids(frame["world" if unit_column is None else unit_column], path.name)
    if unit_column is None:  # a log's user has one id in all worlds, and is another user in each
        unit = unit + len(known) * read_ids(frame["user"], path.name)[0]
    return SlateLog(path.name, frame, unit)


def _check_types(found: pl.Schema, source: str, unit_column: str | None) -> None:
    for name, kind in _TYPES.items():
        if name not in found:
            raise InterplayError(f"{source}: no column {name!r}, which `interplay evaluate RUN --export {source}` "
                                 "writes today: export it again")
        if found[name] != kind:
            raise InterplayError(f"{source}: column {name!r} has type {found[name]}, but {kind} is what is exported: "
                                 "give the file as it was written")
    if unit_column is not None and unit_column not in found:
        raise InterplayError(f"{source}: no column {shown(unit_column)}: "
                             f"{choice(map(repr, found), repr(unit_column))}")


def _check_values(frame: pl.DataFrame, source: str) -> None:
    """Reject values that no export holds; the error names column, value and row."""
    for name in _TYPES:
        if name not in _MAY_LACK:
            refuse(frame[name].is_null(), frame[name], "but every row needs it: export the log again", source)
    for name in ("slate", "context"):
        length = frame[name].list.len().alias(f"length of {name}")
        refuse(length != length[0], length, f"but {length[0]} in the first: give the file as it was written", source)
    for name in ("world", "step", "position", "num_candidates"):
        refuse(frame[name] < 0, frame[name], "which is less than 0: give the file as it was written", source)
    chance = frame["log_propensity"]
    refuse((chance > _ROUNDING).fill_null(False), chance, "which is no log of a probability: it is at most 0", source)


def uniform_slates(log: SlateLog) -> Floats:
    """Log-probability of each slate if all possible slates are equally likely, float64 ``[N]``.

    That is the platform `random`, which leaves no slot empty while there is something to show.
    """
    count, filled = log.frame["num_candidates"].to_numpy(), (log.slate >= 0).sum(1)
    counts, row = np.unique(count, return_inverse=True)
    mask = torch.arange(-1, counts[-1]) < torch.from_numpy(counts).unsqueeze(1)  # action 0 is before the first
    chance = any_slate_log_propensity(mask.unsqueeze(0), log.slate.shape[1])[0].double().numpy()
    return np.where(filled == np.minimum(count, log.slate.shape[1]), chance[row], -np.inf)


def evaluate_slates(log: SlateLog, log_probability: Floats, seed: int = 0) -> list[Evaluation]:
    """Estimates of a target by ``WEIGHTING``. Slates of absent users do not count.

    Args:
        log: the slates.
        log_probability: float64 ``[N]``, of each under the target; -inf where it would never show it.
        seed: of the bootstrap.

    Raises:
        InterplayError: a slate's propensity is not known, all were certain and the target shows others, or no user
            was there.
    """
    _check_overlap(log, log_probability)
    case = slate_case(log.reward, log.log_propensity, log_probability, log.source)
    there = log.active
    if not there.any():
        raise InterplayError(f"{log.source}: active is False in all {len(log):,} rows, so that no user saw a slate: "
                             "export a market in which users stay")
    return evaluate_case(Case(*(column[there] for column in case)), WEIGHTING, seed, unit=log.unit[there])


def _check_overlap(log: SlateLog, log_probability: Floats) -> None:
    """Reject slates of a deterministic policy, unless the target shows the same slates."""
    certain = (np.abs(log.log_propensity) < _ROUNDING).all()
    if certain and (np.abs(log_probability) > _ROUNDING).any():
        raise InterplayError(f"{log.source}: log_propensity is 0 in every row, so that the platform left nothing to "
                             "chance and the log has no overlap with any other: export slates of one that explores, as "
                             f"in `interplay evaluate RUN --export {log.source} --explore`")


def _matrix(lists: pl.Series, empty: int = 0) -> NDArray[Any]:
    """Lists of one length F as ``[N, F]``, with ``empty`` for null."""
    return lists.explode(empty_as_null=True, keep_nulls=True).fill_null(empty).to_numpy().reshape(len(lists), -1)
