"""A market's steps as a log: what each user saw, was offered, took and got, and how likely its slate was.

What a market writes can be evaluated off-policy, since the slates' propensities are the true ones, and can be read
back as a log to train on (``envs/data/market_log.py``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.behaviour.logged import LoggedBehaviour
from interplay.envs.data.market_log import SUFFIX
from interplay.envs.market import Market
from interplay.envs.slates import count_candidates
from interplay.envs.types import InterplayError, Observation
from interplay.experiments.loop.play import Played


class Recorder:
    """Collects steps, one row for each world, step and user. Made for ``watch`` of ``evaluate``.

    The columns, also those of the file:

    ======================  ============================================================================================
    world, step             int64; the step counts from 0
    user                    text; ``world0/user_3``, or in a log's market, whose users are the same in each world, the
                            log's own id
    item                    text as above; null where the user skipped
    reward                  float32, the user's own, unblended; the same as the response
    response                float32
    position                int64, the slot of the item, from 1; 0 = skipped. It is the user's action
    active                  bool, False for a user who has left and can only skip
    slate                   list of K int64, items by their number in the world; null for an empty slot
    log_propensity          float32, log-probability of the slate in its order; null where a platform filled it that
                            does not know
    num_candidates          int64, how many items could have been shown to the user
    context                 list of F float32, what the user saw: its own features, then those of each slot
    mask                    list of 1 + K bool, which actions (positions) were allowed
    log_action_propensity   float32, log-probability of the position under the agent that plays the users; null where
                            that agent does not know
    terminated              bool, True in the step after which the user is gone for good
    truncated               bool, True in the last step of the episode, for users who are not gone for good
    final_context           list of F float32, what the user saw after that step, if it is terminated or truncated; null
                            otherwise, since the next row of the user has it
    final_mask              list of 1 + K bool as above
    ======================  ============================================================================================

    Args:
        market: whose steps these will be.
    """

    def __init__(self, market: Market) -> None:
        # Items of two synthetic worlds with one number are two items.
        self._ids = market.behaviour.ids if isinstance(market.behaviour, LoggedBehaviour) else None
        self._constants = market.constants
        self._frames: list[pl.DataFrame] = []

    def __call__(self, played: Played) -> None:
        """Take down one step."""
        columns = _rows(played, len(self._frames), count_candidates(self._constants, played.before.state))
        gone_for_good = ~played.before.state.active if not self._constants.config.users_return else None
        self._frames.append(columns.with_columns(**_trajectory(played, gone_for_good)))

    def frame(self) -> pl.DataFrame:
        """All steps so far."""
        if not self._frames:
            raise InterplayError("export: no step was played: play one before it is written")
        return pl.concat(self._frames).with_columns(self._name("user"), self._name("item"))

    def write(self, path: Path) -> None:
        """Write all steps as Parquet.

        Raises:
            InterplayError: the file cannot be written.
        """
        try:
            self.frame().write_parquet(path)
        except OSError as error:
            raise InterplayError(f"export={str(path)!r} cannot be written ({str(error).splitlines()[0]}): give a file "
                                 "in a folder that exists") from error

    def _name(self, column: Literal["user", "item"]) -> pl.Expr:
        """Numbers as ids of the log, or as the names that agents have in the facade; null stays so."""
        if self._ids is not None:
            return pl.col(column).replace_strict(dict(enumerate(map(str, self._ids[column]))), default=None)
        name = pl.lit(f"{column}_") + pl.col(column).cast(pl.String)
        return (pl.lit("world") + pl.col("world").cast(pl.String) + pl.lit("/") + name).alias(column)


def check_export(path: Path) -> None:
    """Refuse, before anything is played, a file whose name would not say what is in it, or that has no folder.

    Raises:
        InterplayError: with what it should be called.
    """
    if not path.name.endswith(SUFFIX):
        raise InterplayError(f"export={str(path)!r}: a market's log is recognised by its name: call it NAME{SUFFIX}")
    if not path.resolve().parent.is_dir():
        raise InterplayError(f"export={str(path)!r}: there is no folder {str(path.resolve().parent)!r}: make it first")


def context_of(seen: Observation) -> Tensor:
    """What users see, as it is written: own features, then those of each slot, float32 ``[B, U, F]``."""
    return torch.cat([seen.own, seen.options.flatten(2)], dim=2)


def _trajectory(played: Played, gone_for_good: Tensor | None) -> dict[str, pl.Series | pl.Expr]:
    """The columns that make steps a whole trajectory of the users' agent."""
    step, chance = played.step, played.log_propensity("users")
    terminated = step.user_terminated
    truncated = step.truncated.unsqueeze(1) & ~terminated
    truncated = truncated if gone_for_good is None else truncated & ~gone_for_good
    before, after = played.before.seen["users"], played.after.seen["users"]
    columns: dict[str, pl.Series | pl.Expr] = {
        "mask": _lists(before.mask), "terminated": pl.Series(_flat(terminated)),
        "truncated": pl.Series(_flat(truncated)),
        "log_action_propensity": pl.lit(None, pl.Float32) if chance is None else pl.Series(_flat(chance))}
    ended = pl.Series(_flat(terminated | truncated))
    for name, values in (("context", context_of(after)), ("mask", after.mask)):
        columns[f"final_{name}"] = pl.when(ended).then(_lists(values))
    return columns


def _rows(played: Played, number: int, num_candidates: Tensor) -> pl.DataFrame:
    """One step of all users in all worlds, ``B * U`` rows."""
    now, step = played.before, played.step
    worlds, users = step.position.shape
    slate = now.state.slate
    position = _flat(step.position)
    return pl.DataFrame({
        "world": np.repeat(np.arange(worlds), users), "step": np.full(worlds * users, number),
        "user": np.tile(np.arange(users), worlds),
        "item": pl.Series(_flat(step.chosen)).set(pl.Series(position == 0), None),
        "reward": _flat(step.user_own), "response": _flat(step.response), "position": position,
        "active": _flat(now.state.active),
        "slate": _lists(torch.where(slate.valid, slate.items, -1), empty=-1),
        "log_propensity": pl.Series(_flat(slate.log_propensity)).fill_nan(None),
        "num_candidates": _flat(num_candidates), "context": _lists(context_of(now.seen["users"]))})


def _flat(values: Tensor) -> NDArray[np.generic]:
    """``[B, U, ...]`` to ``[B * U, ...]`` on the host."""
    flat: NDArray[np.generic] = values.flatten(0, 1).cpu().numpy()
    return flat


def _lists(values: Tensor, empty: int | None = None) -> pl.Series:
    """``[B, U, F]`` as lists of F, with null where the value is ``empty``."""
    flat = pl.Series(_flat(values).reshape(-1))
    flat = flat if empty is None else flat.set(flat == empty, None)
    return flat.reshape((-1, values.shape[2])).arr.to_list()
