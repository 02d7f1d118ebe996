"""What the facades share: one side of the market as flat numpy arrays, as spaces, and as text."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs import dispatch, view_dispatch
from interplay.envs.checking import check_arguments, check_names, is_flag, shown
from interplay.envs.config import MarketConfig
from interplay.envs.constants import MarketConstants
from interplay.envs.market import Market
from interplay.envs.observing import affinity, item_view, user_view
from interplay.envs.presets import Preset, find_preset
from interplay.envs.types import FEATURE_BOUND, InterplayError, SideSpec, UnexpectedArgumentError
from interplay.envs.world import State, Step, View

ACTION_BOUNDS = (-1, 2**31)
"""What lies beyond is in no mask either, and int64 may not hold it."""

_LISTED = 8  # agents that a text names before it goes on with "..."


class Flat(NamedTuple):
    """One side of ``B`` worlds as numpy arrays.

    Attributes:
        features: float32 ``[B, N, F]``: an agent's own features, then those of each option, then those of each
            step of its history, where the market keeps one: ``F = F_own + M * F_option + H * F_history``.
        mask: int8 ``[B, N, 1 + M * L]``, 1 = allowed.
    """

    features: NDArray[np.float32]
    mask: NDArray[np.int8]


def flatten(view: View, agents: slice | None = None) -> Flat:
    """What all or some agents see, in arrays that share no memory with the view."""
    own, options, mask = view.arrays("own", "options", "mask")
    history = [] if view.history is None else [view.history.cpu().numpy()]
    if agents is not None:
        own, options, mask, *history = (table[:, agents] for table in (own, options, mask, *history))
    rows = [own, *(table.reshape(*own.shape[:2], -1) for table in (options, *history))]
    return Flat(np.concatenate(rows, axis=2), mask.astype(np.int8))


def flat_sides(constants: MarketConstants, state: State, shapes: Sequence[tuple[int, int, int]]) -> list[Flat]:
    """What users and items see, in new arrays; ``shapes`` are those of ``flat_shape``."""
    if constants.config.history_length == 0 and dispatch.plays_at_once(constants, state):
        match = None if constants.kernel.knows_affinity else affinity(constants, state)
        return [Flat(*seen) for seen in view_dispatch.flat_views(constants, state, match, shapes)]
    return [flatten(user_view(constants, state)), flatten(item_view(constants, state))]


def num_features(spec: SideSpec) -> int:
    """The width of ``Flat.features``."""
    return (len(spec.own_features) + spec.num_options * len(spec.option_features)
            + spec.history_length * len(spec.history_features))


def flat_shape(spec: SideSpec) -> tuple[int, int, int]:
    """How many agents, features and actions a side has."""
    return spec.num_agents, num_features(spec), spec.num_actions


def feature_box(size: int) -> gymnasium.spaces.Box:
    """The space of ``size`` features."""
    return gymnasium.spaces.Box(-FEATURE_BOUND, FEATURE_BOUND, (size,), np.float32)


def make_market(owner: str, preset: str | Preset, market: Market | None, options: dict[str, Any]) -> Market:
    """The ready market if there is one, otherwise the preset's with these options.

    Args:
        owner: the constructor that was called, for messages.
        preset: a preset or its name.
        market: a ready market.
        options: fields of ``MarketConfig``.

    Raises:
        InterplayError: an unknown preset or option, or options for a market that is ready.
    """
    check_arguments(make_market, preset=preset, market=market)
    if market is None:
        chosen = find_preset(preset) if isinstance(preset, str) else preset
        return chosen.market_of(chosen.config.changed(owner, options))
    check_names(owner, options, MarketConfig.__dataclass_fields__)
    if options:
        name, value = next(iter(options.items()))
        raise InterplayError(f"{name}={shown(value)} comes too late for a ready market: set it in the market's config")
    return market


def check_render_mode(owner: str, value: object, modes: list[str]) -> None:
    """Check what ``render`` is asked to do.

    Raises:
        UnexpectedArgumentError: it cannot be done. Clients that ask for pictures then go on without any.
    """
    if value is not None and (not isinstance(value, str) or value not in modes):
        raise UnexpectedArgumentError(f"{owner}() got an unexpected keyword argument 'render_mode', "
                                      f"{shown(value)}: choose from {', '.join(modes)} or None")


def as_action(agent: str, action: object) -> int:
    """An action as an integer that int64 can hold; what is out of every range stays so.

    Args:
        agent: whose it is, for the message.
        action: a Python or numpy integer, or an array of one integer and no axes.

    Raises:
        InterplayError: it is not an integer.
    """
    try:
        if is_flag(action):
            raise TypeError
        number = operator.index(action)  # type: ignore[arg-type]  # clients send many types
    except TypeError as error:
        raise InterplayError(f"action of {agent} is {shown(action)}: give one integer, such as int(action)") from error
    lowest, highest = ACTION_BOUNDS
    return min(max(number, lowest), highest)


def describe(state: State, happened: Step | None, horizon: int, world: int = 0) -> str:
    """One world in a few lines: time, moods, users that left, budgets, and the last step's responses."""
    begun = int(state.time[world]) > 0
    lines = [f"step      {int(state.time[world])} of {horizon}",
             f"mood      {_numbers(state['mood'][world])}",
             f"left      {_absent('user', state.active[world])}",
             f"budget    {_numbers(state['energy'][world])}",
             f"dead      {_absent('item', state.alive[world])}",
             f"response  {_numbers(happened.response[world]) if begun and happened is not None else 'none yet'}"]
    return "\n".join(lines)


def _numbers(values: Tensor) -> str:
    return f"{_listed(f'{x:.2f}' for x in values.tolist())}  (mean {float(values.mean()):.2f})"


def _absent(kind: str, present: Tensor) -> str:
    names = [f"{kind}_{k}" for k, here in enumerate(present.tolist()) if not here]
    return f"{_listed(names)}  ({len(names)} of {len(present)})" if names else "none"


def _listed(words: Iterable[str]) -> str:
    """The first few, and whether there are more."""
    some = list(islice(words, _LISTED + 1))
    return " ".join([*some[:_LISTED], "..."] if len(some) > _LISTED else some)
