"""From settings to the agents of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interplay.agents import JointAgent, Player, Setting, find_agent
from interplay.envs.types import SIDES, InterplayError, Side, SideSpec
from interplay.experiments.common.options import make_options, parse_pairs
from interplay.experiments.common.settings import OPTION_OF, TrainSettings
from interplay.experiments.loop.players import PLACKETT_LUCE, Players, check_options, check_plays
from interplay.experiments.loop.task import Task


def make_players(settings: TrainSettings, task: Task) -> Players:
    """The agents that the settings name, with their options.

    Raises:
        InterplayError: an unknown agent or option, or a value that it cannot have.
    """
    users, items = (find_agent(_named(settings, side)) for side in SIDES)
    check_options(users, items, settings.item_option)
    players: dict[Side, Player] = {}
    if _named(settings, "platform") != PLACKETT_LUCE:
        players["platform"] = _make_player(settings, task, ("platform",))
    elif settings.platform_option:
        raise InterplayError(f"--platform-option {settings.platform_option[0]!r}: the market itself draws the slates; "
                             "name the agent that fills them with --platform")
    if users is items and issubclass(users, JointAgent):
        both = _make_player(settings, task, SIDES)
        return Players(players | {"users": both, "items": both})
    return Players(players | {side: _make_player(settings, task, (side,)) for side in SIDES})


def _make_player(settings: TrainSettings, task: Task, sides: tuple[Side, ...]) -> Player:
    flag = OPTION_OF[sides[0]]
    pairs = parse_pairs(getattr(settings, flag), "--" + flag.replace("_", "-"))
    return make_player(task, _named(settings, sides[0]), pairs, {side: task.market.spec_of(side) for side in sides},
                       settings.seed)


def make_player(task: Task, name: str, pairs: Mapping[str, Any], specs: Mapping[Side, SideSpec], seed: int) -> Player:
    """An agent with the options that the market recommends, and ``pairs`` in their place."""
    kind = find_agent(name)
    check_plays(kind, next(iter(specs)), name)
    options = make_options(kind.Options, {**task.training.options.get(name, {}), **pairs}, f"agent {name!r}")
    total = task.training.episodes * task.market.config.horizon
    training, of_users = task.training, [*specs] == ["users"]
    discount = training.user_discount if of_users and training.user_discount is not None else training.discount
    setting = Setting(seed, task.market.device, total, discount, training.reward_scale)
    return kind.of(specs, setting, options)


def _named(settings: TrainSettings, side: Side) -> str:
    name: str | None = getattr(settings, side)
    assert name is not None, "with_agents names all"
    return name
