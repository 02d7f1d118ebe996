"""How many actions and exact states there are with a market's mechanisms."""

from __future__ import annotations

from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.base import Mechanism
from interplay.envs.types import InterplayError, Side


def num_levels(config: MarketConfig) -> int:
    """Levels of item actions for each segment: boosts and those of mechanisms."""
    more = (m.item_actions for m in config.mechanisms)
    return len(config.built_in.boosts.levels) + sum(len(levels.values) for levels in more if levels is not None)


def states_of_mechanism(config: MarketConfig, side: Side) -> int:
    """How many states of tabular agents of a side a mechanism has."""
    count = _states(with_states(config, side), config, side)
    assert count is not None  # since it was chosen for that
    return count


def _states(mechanism: Mechanism, config: MarketConfig, side: Side) -> int | None:
    return mechanism.num_user_states(config) if side == "users" else mechanism.num_item_states(config)


def with_states(config: MarketConfig, side: Side) -> Mechanism:
    """The mechanism that numbers the states of tabular agents of a side."""
    found = [m for m in config.mechanisms if _states(m, config, side) is not None]
    if len(found) != 1:
        raise InterplayError(f"{side[:-1]}_state='mechanism' needs one mechanism with num_{side[:-1]}_states, but "
                             f"{[m.name for m in found]} have them: choose another state, or leave mechanisms out")
    return found[0]
