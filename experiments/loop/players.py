"""The agents of a run by side: one each, or one for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from interplay.agents import Agent, JointAgent, Offer, Player, find_agent
from interplay.agents.encoders import Pretrained
from interplay.agents.parts.seeds import Seeds
from interplay.envs.market import Market
from interplay.envs.types import SIDES, InterplayError, Observation, Side, Transition
from interplay.envs.world import State

PLACKETT_LUCE = "plackett-luce"
"""How the market draws slates where no platform fills them."""


class Players:
    """The players of a market. A ``JointAgent`` on both sides is one object.

    Args:
        players: the agent of each side, and the one that fills the slates, if there is one.
    """

    def __init__(self, players: Mapping[Side, Player]) -> None:
        self._players: dict[Side, Player] = {side: players[side] for side in SIDES}
        if "platform" in players:
            self._players["platform"] = players["platform"]

    def __getitem__(self, side: Side) -> Player:
        return self._players[side]

    @property
    def by_side(self) -> dict[Side, Player]:
        """The player of each side, and that of the platform, if there is one."""
        return dict(self._players)

    @property
    def has_platform(self) -> bool:
        """Whether somebody fills the slates."""
        return "platform" in self._players

    def each(self) -> list[Player]:
        """Every player once."""
        return [player for _, _, player in self._groups()]

    @classmethod
    def of_players(cls, players: Sequence[Player], like: Players) -> Players:
        """Other players in the places of those of ``like``, in the order in which ``players`` gives them."""
        new = dict(zip(map(id, like.each()), players, strict=True))
        return cls({side: new[id(player)] for side, player in like._players.items()})

    def names(self) -> dict[Side, str]:
        """Names of the players by side."""
        names: dict[Side, str] = {side: type(player).name for side, player in self._players.items()}
        names.setdefault("platform", PLACKETT_LUCE)
        return names

    def act(self, seen: Mapping[Side, Observation], explore: bool) -> dict[Side, Tensor]:
        """Actions of both sides, each decided from what that side sees."""
        return {side: self._players[side].act_as(side, seen[side], explore) for side in SIDES}

    def decide(self, market: Market, state: State, seen: Mapping[Side, Observation],
               explore: bool) -> dict[Side, Tensor]:
        """The same; may be overridden by players that look ahead in copies of the worlds."""
        return self.act(seen, explore)

    def log_propensity(self, side: Side, seen: Observation, action: Tensor, explore: bool) -> Tensor | None:
        """Log-probability of the actions of one side, float32 ``[B, N]``; None where its player does not know."""
        return self._players[side].log_propensity_as(side, seen, action, explore)

    def offer(self, seen: Observation, size: int, explore: bool) -> Offer:
        """What the platform fills slates of ``size`` with; see ``Agent.offer``."""
        platform = self._players["platform"]
        assert isinstance(platform, Agent | Seeds)
        return platform.offer(seen, size, explore)

    def fill(self, market: Market, state: State, seen: Observation, explore: bool) -> Offer:
        """The same; may be overridden by players that look ahead in copies of the worlds."""
        return self.offer(seen, market.config.slate_size, explore)

    def learn(self, transitions: Mapping[Side, Transition]) -> dict[str, Tensor]:
        """Let learners learn; their metrics by name: ``users/loss`` and so on, ``both/loss`` of a joint agent."""
        metrics: dict[str, Tensor] = {}
        for label, sides, player in self._learners():
            found = player.learn_from({side: transitions[side] for side in sides})
            metrics |= {f"{label}/{name}": value for name, value in found.items()}
        return metrics

    def copied(self) -> Players:
        """The same players, with counters of their own: what these draw changes nothing that follows in training."""
        return Players.of_players([player.counting_apart() for player in self.each()], self)

    def replaced(self, side: Side, stand_in: Player | None) -> Players:
        """The same players, but for one side; None takes the platform away."""
        others: dict[Side, Player] = {s: player for s, player in self._players.items() if s != side}
        return Players(others if stand_in is None else {**others, side: stand_in})

    def warm_start(self, pretrained: Pretrained) -> list[str]:
        """Let every player start from what fits of it; a line from each that has something to say."""
        notes = [(type(player).name, player.warm_start(pretrained)) for _, _, player in self._groups()]
        return [f"{name} starts from the encoder's towers: {note}" for name, note in notes if note]

    def state_dict(self) -> dict[str, Any]:
        """Of every player, by side; a joint agent's once."""
        return {label: player.state_dict() for label, _, player in self._groups()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        for label, _, player in self._groups():
            player.load_state_dict(state[label])

    def options(self) -> dict[str, Any]:
        """Options of every player, by side; a joint agent's once, under ``both``."""
        return {label: player.options for label, _, player in self._groups()}

    def _groups(self) -> list[tuple[str, tuple[Side, ...], Player]]:
        """A label, sides and player for each player."""
        joint = self._players["users"] is self._players["items"]
        groups: list[tuple[str, tuple[Side, ...], Player]] = [("both", SIDES, self._players["users"])] if joint else []
        return groups + [(side, (side,), player) for side, player in self._players.items()
                         if not (joint and side in SIDES)]

    def _learners(self) -> list[tuple[str, tuple[Side, ...], Player]]:
        return [group for group in self._groups() if group[2].learns]


def check_plays(kind: type[Player], side: Side, name: str) -> None:
    """Refuse an agent on a side that it does not play."""
    if side not in kind.plays:
        raise InterplayError(f"{side}={name!r} plays {' or '.join(kind.plays)} alone: choose another agent of {side}")


def check_ready(side: Side, name: str) -> None:
    """Check that an agent can play a side without having learnt.

    Raises:
        InterplayError: there is no such agent, it would have to learn first, or it does not play that side.
    """
    if name == PLACKETT_LUCE and side == "platform":
        return
    kind = find_agent(name)
    check_plays(kind, side, name)
    if kind.learns:
        raise InterplayError(f"{side}={name!r} has to learn first: name one that does not, such as greedy or random")


def check_options(users: type[Player], items: type[Player], item_options: tuple[str, ...]) -> None:
    """Refuse options that a joint agent of both sides would never read."""
    if users is items and issubclass(users, JointAgent) and item_options:
        raise InterplayError(f"--item-option {item_options[0]!r}: {users.name!r} plays both sides as one, give its "
                             "options with --user-option")
