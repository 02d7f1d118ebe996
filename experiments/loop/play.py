"""Playing: one step with both sides, and what an episode adds up to. Training and evaluation share it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from interplay.agents import Offer
from interplay.envs.kernels import compiled, usable
from interplay.envs.market import Market
from interplay.envs.records import WorldRecord
from interplay.envs.transitions import transitions
from interplay.envs.types import SIDES, Observation, Side
from interplay.envs.world import State, Step
from interplay.experiments.loop.players import Players


class Snapshot(NamedTuple):
    """Worlds between two steps.

    Attributes:
        state: the worlds, their slates filled.
        seen: what each side sees of them, and what a platform saw before it filled the slates.
        slots: what it filled them with, int64 ``[B, U, K]``; None where the market draws its own.
    """

    state: State
    seen: dict[Side, Observation]
    slots: Tensor | None = None


class Played(NamedTuple):
    """One step of all worlds, for those that watch an evaluation.

    Attributes:
        before: the snapshot that it started from.
        action: what each side did, int64 ``[B, N]``.
        step: what happened.
        after: the snapshot that followed; after the last step of an episode, the last that was seen of it.
        players: the agents.
        explore: whether they explored.
    """

    before: Snapshot
    action: dict[Side, Tensor]
    step: Step
    after: Snapshot
    players: Players
    explore: bool

    def log_propensity(self, side: Side) -> Tensor | None:
        """Log-probability of each action, float32 ``[B, N]``; None where a player does not know."""
        return self.players.log_propensity(side, self.before.seen[side], self.action[side], self.explore)


def look(market: Market, players: Players, state: State, explore: bool = False,
         slots: Tensor | None = None) -> Snapshot:
    """Let a platform fill the slates, if there is one, and each side see ``state``.

    Only oracle baselines see the expected rewards.

    Args:
        market: the market.
        players: the agents.
        state: the worlds.
        explore: whether the platform explores.
        slots: what it had filled the slates of ``state`` with, where that was decided before.
    """
    seen: dict[Side, Observation] = {}
    if players.has_platform:
        seen["platform"] = market.observe(state, "platform", players["platform"].sees_expected_reward)
        offer = (players.fill(market, state, seen["platform"], explore) if slots is None
                 else Offer(slots, state.slate.log_propensity))
        slots, state = offer.slots, market.offer(state, *offer)
    seen |= {side: market.observe(state, side, players[side].sees_expected_reward) for side in SIDES}
    return Snapshot(state, seen, slots)


def advance(market: Market, players: Players, now: Snapshot,
            explore: bool) -> tuple[Snapshot, Step, dict[Side, Tensor]]:
    """Both sides act on what they see and the worlds go on: the next snapshot, what happened, and the actions."""
    action = players.decide(market, now.state, now.seen, explore)
    state, step = market.step(now.state, action["users"], action["items"])
    return look(market, players, state, explore), step, action


def iterate(market: Market, players: Players, now: Snapshot) -> tuple[Snapshot, Step, dict[str, Tensor]]:
    """One whole training iteration: act, step, and let both sides learn. Never touches the host.

    Returns:
        The next snapshot, what happened, and the learners' metrics as ``users/loss`` and so on.
    """
    after, step, action = advance(market, players, now, explore=True)
    moved = transitions(market, now.state, now.seen, action, step, after.seen, now.slots)
    return after, step, players.learn(moved)


@dataclass(frozen=True)
class EpisodeStats(WorldRecord):
    """Sums over the steps of one episode so far, kept on the device.

    Attributes:
        user_return: float32 ``[B, U]``, unblended.
        item_return: float32 ``[B, I]``, unblended.
        taken, responses: float32 ``[B]``, items taken by users, and responses.
        session: float32 ``[B, U]``, steps until the user first left.
        left, returned: bool ``[B, U]``, whether the user has ever left, and ever come back.
        exposure: float32 ``[B, I]``, slots that showed the item.
        cost: float32 ``[B, I]``, what the item's boosts cost.
        boost: float32 ``[B, I]``, sum of boost factors, and of those only steps 2.. count.
        steps: int64, how many.
    """

    user_return: Tensor
    item_return: Tensor
    taken: Tensor
    responses: Tensor
    session: Tensor
    left: Tensor
    returned: Tensor
    exposure: Tensor
    cost: Tensor
    boost: Tensor
    steps: Tensor

    @classmethod
    def empty(cls, state: State) -> EpisodeStats:
        """Nothing yet."""
        users, items = torch.zeros_like(state["mood"]), torch.zeros_like(state["energy"])
        never = torch.zeros_like(state.active)
        return cls(users, items, users[:, 0], users[:, 0], users, never, never, items, items, items,
                   torch.zeros_like(state.time[0]).long())

    def add(self, market: Market, before: State, step: Step) -> EpisodeStats:
        """This and one step more. ``before`` is the state that the step started from."""
        if usable(before.key):
            return self._add_by_loop(market, before, step)
        left = self.left | ~before.active
        slate = before.slate
        shown = torch.zeros_like(self.exposure).scatter_add(1, slate.items.flatten(1), slate.valid.flatten(1).float())
        started = (self.steps > 0).float()  # no boost can be served in the first step
        return EpisodeStats(
            self.user_return + step.user_own, self.item_return + step.item_own,
            self.taken + (step.position > 0).sum(1), self.responses + step.response.sum(1),
            self.session + ~left, left, self.returned | (self.left & before.active),
            self.exposure + shown, self.cost + step.cost, self.boost + started * market.boosts(before), self.steps + 1)

    def _add_by_loop(self, market: Market, before: State, step: Step) -> EpisodeStats:
        """What ``add`` gives, to the same bits."""
        old, (steps,) = self.arrays(*_SUMS), self.arrays("steps")
        new = tuple(map(np.empty_like, old))
        whole = compiled("episode_kernels").add(
            *before.arrays("active", "boost_level"), *before.slate.arrays("items", "valid"),
            market.constants.built_in.boosts.by_level.factor.numpy(), int(steps > 0),  # the first step serves none
            *step.arrays("user_own", "item_own", "position", "response", "cost"), tuple(old), new)
        sums = dict(zip(_SUMS, new, strict=True))
        if not whole:  # torch adds up real numbers in an order of its own
            sums["responses"] = (self.responses + step.response.sum(1)).numpy()
        return EpisodeStats.of(**sums, steps=np.array(steps + 1))


_SUMS = ("user_return", "item_return", "taken", "responses", "session", "left", "returned", "exposure", "cost", "boost")
