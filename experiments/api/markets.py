"""Markets as arguments: presets with other numbers, logs, and the doors to other libraries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from interplay.envs.checking import check_names, hints_of, shown
from interplay.envs.market import Market
from interplay.envs.market_v0 import MarketParallelEnv, parallel_env
from interplay.envs.mechanisms import Mechanism
from interplay.envs.noise import Stream, any_of
from interplay.envs.presets import Preset, find_preset
from interplay.envs.types import SIDES, InterplayError
from interplay.envs.world import State
from interplay.experiments.api.border import public
from interplay.experiments.api.names import check_path, mechanism_name, pairs, plain, preset_name
from interplay.experiments.common.flags import check_flags
from interplay.experiments.common.logs import logged_parts
from interplay.experiments.common.settings import LoggedMarketSettings, TrainSettings


class PresetMarket(Market):
    """The market of a preset: tensors of many worlds. ``train`` and ``benchmark`` take it too.

    Args:
        preset: its name, or the preset itself.
        device: where all tensors live.
        changes: numbers of the market to change; see ``interplay.envs.config.MarketConfig``.
        mechanisms: to add, as names, classes or instances.
    """

    def __init__(self, preset: str | Preset, device: torch.device | str, changes: Mapping[str, Any],
                 mechanisms: Sequence[str | Mechanism | type[Mechanism]] = ()) -> None:
        if isinstance(mechanisms, str) or not isinstance(mechanisms, Sequence):
            raise InterplayError(f"mechanisms={shown(mechanisms)} must be a list, as in mechanisms=['drift']")
        changes = {name: plain(value) for name, value in changes.items()}
        found = preset if isinstance(preset, Preset) else find_preset(preset)
        objects = [each() if isinstance(each, type) else each for each in mechanisms]
        made = found.market(device, **{**changes, "mechanisms": objects})
        super().__init__(made.config, made.behaviour, device, made.name)
        self._preset, self._changes, self._mechanisms = preset, changes, mechanisms

    def random_actions(self, state: State) -> tuple[Tensor, Tensor]:
        """Any allowed action of each user and of each item, each as likely; the same for equal worlds at one time."""
        users, items = (self.observe(state, side).mask for side in SIDES)
        return (any_of(state.key, state.time, Stream.ACTION, users),
                any_of(state.key, state.time, Stream.ACTION, items, offset=users[0].numel()))

    def __repr__(self) -> str:
        return f"PresetMarket({self.name!r}, users={self.config.num_users}, items={self.config.num_items})"

    @property
    def settings(self) -> dict[str, Any]:
        """What trains on it, as fields of ``TrainSettings``."""
        named = [mechanism_name(mechanism) for mechanism in self._mechanisms]
        values = {name: value for _, own in named for name, value in own.items()}
        return {"preset": preset_name(self._preset), "market": pairs({**values, **self._changes}),
                "mechanism": tuple(name for name, _ in named)}


@public
def market(preset: str | Preset = "town", *, device: torch.device | str = "cpu",
           mechanisms: Sequence[str | Mechanism | type[Mechanism]] = (), **changes: Any) -> PresetMarket:
    """A preset's market, with some of its numbers changed: ``market("kale", satiation={"gain": 2.0})``.

    Args:
        preset: its name, or the preset itself.
        device: where all tensors live.
        mechanisms: to add, as names (``"price:Price"``), classes or instances (``Price(sensitivity=0.5)``).
        changes: of ``interplay.envs.config.MarketConfig``; ``satiation={"gain": 2.0}`` sets parameters of a mechanism,
            which is added if it is one of this package, and ``satiation=False`` leaves it out.

    Raises:
        InterplayError: there is no such preset or number, or a number cannot have this value.
    """
    return PresetMarket(preset, device, changes, mechanisms)


class Log:
    """A log of what users responded to items, which ``train`` makes a market of.

    Args:
        path: of a CSV or Parquet file or of a data set's folder, or the name of a public data set.
        columns: names of its columns: ``user``, ``item``, ``reward``, ``time``, ``propensity``.
        options: settings of ``LoggedMarketSettings``, such as ``split``, ``held_out`` and ``missing``.

    Attributes:
        settings: all of them, as fields of ``TrainSettings``.
    """

    def __init__(self, path: str | Path, columns: Mapping[str, str | None], options: Mapping[str, Any]) -> None:
        check_names("log", options, [f.name for f in fields(LoggedMarketSettings)])
        check_path("log", path)
        twice = [name for name, column in columns.items() if column is not None and f"{name}_column" in options]
        if twice:
            raise InterplayError(f"{twice[0]} and {twice[0]}_column both name a column: leave one of the two out")
        given = {f"{name}_column": column for name, column in columns.items() if column is not None}
        self.settings = {name: setting(name, value) for name, value in ({"log": path} | given | dict(options)).items()}
        check_flags(LoggedMarketSettings(**self.settings))

    @cached_property
    @public
    def summary(self) -> str:
        """What was read, dropped and changed, and the sizes of both parts."""
        return logged_parts(LoggedMarketSettings(**self.settings), seed=0).summary

    def __repr__(self) -> str:
        return f"Log({str(self.settings['log'])!r})"


@public
def log(path: str | Path, *, user: str | None = None, item: str | None = None, reward: str | None = None,
        time: str | None = None, propensity: str | None = None, **options: Any) -> Log:
    """A log to train on: ``log("ratings.csv", user="person", item="film", reward="stars", split="last")``.

    Args:
        path: of a CSV or Parquet file or of a data set's folder, or the name of a public data set such as movielens-1m.
        user: column with the user's id; by default called user.
        item: column with the item's id; by default called item.
        reward: column with the reward; by default called reward.
        time: column with the time, if any.
        propensity: column with the propensity, if any.
        options: what else ``interplay train --help`` says about logs, such as ``split``, ``held_out``, ``missing``.

    Raises:
        InterplayError: an unknown option, or a value that it cannot have.
    """
    columns = {"user": user, "item": item, "reward": reward, "time": time, "propensity": propensity}
    return Log(path, columns, options)


@public
def pettingzoo(preset: str | Preset | PresetMarket = "town", **options: Any) -> MarketParallelEnv:
    """A market as a PettingZoo parallel environment with ``user_0 ..`` and ``item_0 ..``.

    Args:
        preset: a name, a preset or a market.
        options: of ``MarketParallelEnv``, or numbers of the market to change.
    """
    if isinstance(preset, PresetMarket):
        return parallel_env(market=preset, **options)
    return parallel_env(preset, **options)


def market_settings(given: str | Preset | PresetMarket | Log) -> dict[str, Any]:
    """What trains on this market, as fields of ``TrainSettings``.

    Raises:
        InterplayError: it is no market.
    """
    return dict(given.settings) if isinstance(given, PresetMarket | Log) else {"preset": preset_name(given)}


def setting(name: str, value: Any) -> Any:
    """A value for a field of ``TrainSettings``: a path may be text, and a tuple any sequence."""
    hint = hints_of(TrainSettings).get(name)
    kinds = (hint, *get_args(hint))
    if isinstance(value, str) and Path in kinds:
        return Path(value)
    return tuple(map(plain, value)) if isinstance(value, list | tuple) else plain(value)
