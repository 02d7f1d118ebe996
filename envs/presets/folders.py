"""Presets that stand in a folder: markets that were fitted to a log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from interplay.envs.behaviour.fitted import FittedBehaviour, FittedTables
from interplay.envs.config import MarketConfig
from interplay.envs.files import whole
from interplay.envs.mechanisms import find_mechanism
from interplay.envs.messages import shortened
from interplay.envs.presets.base import Preset, Training
from interplay.envs.types import InterplayError

MARKET = "market.pt"
"""The file of a folder that holds the preset."""

_VERSION = 1


@dataclass(frozen=True)
class FittedPreset(Preset):
    """A market that was fitted to a log, and how to play it as the log was made.

    Attributes:
        log_users: agent that takes what people of the log would take.
        log_horizon: steps after which every user's activity is over.
        folder: where it was read from; empty if it was not.
    """

    log_users: str = "first"
    log_horizon: int = 1
    folder: str = ""

    def as_log(self, num_users: int) -> dict[str, int]:
        """Numbers of the market for worlds in which so many users live through all of their activity."""
        return {"num_users": num_users, "horizon": self.log_horizon}


def fitted_preset(name: str, config: MarketConfig, tables: FittedTables, training: Training, summary: str,
                  log_horizon: int) -> FittedPreset:
    """The preset of these tables."""
    return FittedPreset(name, config, partial(FittedBehaviour, tables), training, summary, log_horizon=log_horizon)


def save_preset(folder: Path, preset: FittedPreset, tables: FittedTables) -> None:
    """Write it into a folder, for ``load_preset``. An older one there stays until the new one is whole.

    Raises:
        InterplayError: the folder cannot be written.
    """
    state = {"version": _VERSION, "config": preset.config.numbers(), "tables": tables.state_dict(),
             "training": asdict(preset.training), "summary": preset.summary, "log_horizon": preset.log_horizon}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole(folder / MARKET) as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError where a disk is full
        message = f"{str(folder)!r} cannot be written ({error}): choose another folder"
        raise InterplayError(shortened(message)) from error


def is_preset(name: str) -> bool:
    """Whether this is a folder with a preset in it."""
    try:
        return (Path(name) / MARKET).is_file()
    except OSError:  # such as a name too long for a folder
        return False


def found_anywhere(name: str) -> str:
    """A preset's name that holds in every working directory: a folder becomes absolute."""
    return str(Path(name).resolve()) if is_preset(name) else name


def load_preset(folder: str) -> FittedPreset:
    """The preset in a folder.

    Raises:
        InterplayError: there is none, or it cannot be read.
    """
    file = Path(folder).resolve() / MARKET
    return _load(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _load(file: Path, changed: int) -> FittedPreset:
    """The preset in a file that was last changed then."""
    try:
        state = torch.load(file, weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise InterplayError(f"{str(file)!r} cannot be read ({type(error).__name__}): fit it again") from error
    if state.get("version") != _VERSION:
        raise InterplayError(f"{str(file)!r} has version {state.get('version')}, not {_VERSION}: fit it again")
    made = fitted_preset(file.parent.name, _config(state["config"]), FittedTables.from_state(state["tables"]),
                         Training(**state["training"]), state["summary"], state["log_horizon"])
    return replace(made, folder=str(file.parent))


def _config(numbers: Mapping[str, Any]) -> MarketConfig:
    """The config that ``MarketConfig.numbers`` gave these numbers of."""
    own = {name: value for name, value in numbers.items() if not isinstance(value, dict)}
    mechanisms = tuple(type(find_mechanism(name))(**numbers[name]) for name in numbers["mechanisms"])
    return MarketConfig(**(own | {"mechanisms": mechanisms}))
