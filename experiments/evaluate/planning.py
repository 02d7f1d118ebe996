"""Rollout planning: the agents of one side improve on a policy by trying each action in copies of the world.

In each step one agent after the other looks at what its side would earn in all if it took another action now, given
what those before it have chosen, and all went on by the base policy. The copies go on with fresh noise, so that
nothing is known of what will happen by chance. This is one step of policy improvement (Tesauro and Galperin, "On-line
policy improvement using Monte-Carlo search", 1996), agent by agent (Bertsekas, "Multiagent reinforcement learning:
rollout and policy iteration", 2021). What is earned is a lower bound of the best that the side could earn.

That takes a rollout for each agent. Large sides plan at once: in each copy of the world all agents try actions drawn
for them, so that each has tried all of its own in as many copies as another, and each looks at what it earns itself.
A platform tries each candidate in the first slot, for all users at once; the slates are those of its base policy else.
No improvement is certain then, since agents cannot count on each other; what they earn is a lower bound all the same.

It needs the market itself, to step copies of the worlds, so it is no agent of ``interplay.agents``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from interplay.agents import Offer
from interplay.envs.market import Market
from interplay.envs.noise import Stream, uniform, world_key
from interplay.envs.types import SIDES, InterplayError, Observation, Side
from interplay.envs.world import State, Step
from interplay.experiments.loop.play import advance, look
from interplay.experiments.loop.players import Players

_SEED = (1 << 62) + 54_321  # of all copies; neither training nor evaluation uses it
_IN_TURN = 8
"""Sides of more agents plan at once."""


class Planned(Players):
    """Players of which one side plans.

    Args:
        players: of all sides; those of the side are the base policy.
        side: that plans.
        rollouts: copies of each world for each action.

    Raises:
        InterplayError: there is no such side.
    """

    def __init__(self, players: Players, side: Side, rollouts: int = 16) -> None:
        if side not in players.by_side:
            raise InterplayError(f"side={side!r} cannot plan: choose {', '.join(players.by_side)}")
        self._base, self._side, self._rollouts = players.copied(), side, rollouts
        super().__init__(self._base.by_side)

    def names(self) -> dict[Side, str]:
        """See ``Players.names``."""
        names = super().names()
        return names | {self._side: f"planner({names[self._side]})"}

    def decide(self, market: Market, state: State, seen: Mapping[Side, Observation],
               explore: bool) -> dict[Side, Tensor]:
        """Actions of both sides, where the side that plans moves agent by agent to what is better than its base."""
        action = self._base.act(seen, explore)
        if self._side == "platform":
            return action
        mask = seen[self._side].mask
        if mask.shape[1] > _IN_TURN:
            own = action[self._side]
            gain = self._own_gains(market, state, action, mask)
            better = _better(gain.flatten(0, 1), mask.flatten(0, 1), own.flatten())
            return {**action, self._side: better.view_as(own)}
        for agent in range(mask.shape[1]):
            gain = self._gains(market, state, action, agent, mask.shape[2])
            own = action[self._side].clone()
            own[:, agent] = _better(gain, mask[:, agent], own[:, agent])
            action = {**action, self._side: own}
        return action

    def _gains(self, market: Market, state: State, action: dict[Side, Tensor], agent: int, count: int) -> Tensor:
        """What each action of one agent is worth to its side until the horizon, less that of its own action.

        Returns:
            float32 ``[B, A, R]``: the noise of a rollout is the same for all actions.
        """
        shape = (len(state.key), count, self._rollouts)
        rows = torch.arange(shape[0], device=market.device).repeat_interleave(count * self._rollouts)
        tried = {side: own.index_select(0, rows) for side, own in action.items()}
        tried[self._side][:, agent] = torch.arange(count, device=market.device).repeat_interleave(
            self._rollouts).repeat(shape[0])
        worth = self._rolled_out(market, state.rows(rows).evolve(key=self._fresh_keys(state, count)), tried).view(shape)
        own = action[self._side][:, agent].view(-1, 1, 1).expand(-1, 1, self._rollouts)
        return worth - worth.gather(1, own)

    def fill(self, market: Market, state: State, seen: Observation, explore: bool) -> Offer:
        """Slates of the base policy, each with the candidate first that is better there."""
        offer = super().fill(market, state, seen, explore)
        if self._side != "platform":
            return offer
        keep, mask = torch.zeros_like(offer.slots[..., 0]), seen.mask.clone()
        mask[..., 0] = True  # nothing first: the slate as it is

        def rolled_out(rows: Tensor, keys: Tensor, first: Tensor) -> Tensor:
            copies = state.rows(rows).evolve(key=keys)
            copies = market.offer(copies, _promoted(offer.slots.index_select(0, rows), first))
            seen_there = {side: market.observe(copies, side, self[side].sees_expected_reward) for side in SIDES}
            return self._rolled_out(market, copies, self._base.act(seen_there, explore=False), each=True)

        gain = self._tried_at_once(state, mask, keep, rolled_out)
        first = _better(gain.flatten(0, 1), mask.flatten(0, 1), keep.flatten()).view_as(keep)
        return Offer(_promoted(offer.slots, first))

    def _own_gains(self, market: Market, state: State, action: dict[Side, Tensor], mask: Tensor) -> Tensor:
        """What each action of each agent is worth to it, less that of its own action: float32 ``[B, N, A, R]``."""
        def rolled_out(rows: Tensor, keys: Tensor, tried: Tensor) -> Tensor:
            others = {side: each.index_select(0, rows) for side, each in action.items()}
            copies = state.rows(rows).evolve(key=keys)
            return self._rolled_out(market, copies, {**others, self._side: tried}, each=True)

        return self._tried_at_once(state, mask, action[self._side], rolled_out)

    def _tried_at_once(self, state: State, mask: Tensor, own: Tensor,
                       rolled_out: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
        """What each choice of each agent is worth to it, less that of its own: float32 ``[B, N, A, R]``.

        In copy k of rollout r an agent tries choice k + s, modulo their number, with s drawn for the agent and r.

        Args:
            state: the worlds.
            mask: bool ``[B, N, A]``, which choices are allowed; others are replaced by its own.
            own: int64 ``[B, N]``.
            rolled_out: what agents earn, ``[copies, N]``, by worlds of the copies, noise keys, and what is tried.
        """
        worlds, agents, count = mask.shape
        keys = self._fresh_keys(state, count)
        shift = uniform(keys.view(worlds, count, self._rollouts, 2)[:, 0].flatten(0, 1), 0, Stream.ACTION, (agents,))
        first = (shift * count).long().clamp(max=count - 1).view(worlds, 1, self._rollouts, agents)
        number = (torch.arange(count, device=own.device).view(1, -1, 1, 1) + first) % count
        allowed = mask.gather(2, number.flatten(1, 2).transpose(1, 2)).transpose(1, 2).view_as(number)
        tried = torch.where(allowed, number, own.view(worlds, 1, 1, agents)).flatten(0, 2)
        rows = torch.arange(worlds, device=own.device).repeat_interleave(count * self._rollouts)
        worth = rolled_out(rows, keys, tried).view(number.shape)
        by_choice = torch.empty_like(worth).scatter_(1, number, worth).permute(0, 3, 1, 2)
        return by_choice - by_choice.gather(2, own.view(worlds, agents, 1, 1).expand(-1, -1, 1, self._rollouts))

    def _fresh_keys(self, state: State, count: int) -> Tensor:
        """Noise keys of the copies, int32 ``[B * A * R, 2]``: new in each step."""
        numbers = torch.arange(len(state.key) * self._rollouts, device=state.key.device)
        keys = world_key(_SEED, numbers + int(state.time[0]) * len(numbers))
        return keys.view(-1, 1, self._rollouts, 2).expand(-1, count, -1, -1).reshape(-1, 2)

    def _rolled_out(self, market: Market, state: State, action: dict[Side, Tensor], each: bool = False) -> Tensor:
        """What the side earns from these actions on, if all follow the base policy afterwards: float32 ``[worlds]``.

        With ``each`` what each of its agents does: ``[worlds, N]``.
        """
        left = market.config.horizon - int(state.time[0])
        state, step = market.step(state, action["users"], action["items"])
        earned = self._earned(step, each)
        now = look(market, self._base, state)
        for _ in range(left - 1):
            now, step, _ = advance(market, self._base, now, explore=False)
            earned = earned + self._earned(step, each)
        return earned

    def _earned(self, step: Step, each: bool) -> Tensor:
        earned = step.item_own if self._side == "items" else step.user_own  # a platform earns what its users earn
        return earned if each else earned.sum(1)


def _better(gain: Tensor, mask: Tensor, own: Tensor) -> Tensor:
    """The action of the highest mean gain, or its own where no gain is more than its standard error.

    Args:
        gain: float32 ``[B, A, R]``.
        mask: bool ``[B, A]``.
        own: int64 ``[B]``.
    """
    mean = gain.mean(2).masked_fill(~mask, 0.0)
    error = gain.std(2) / gain.shape[2] ** 0.5 if gain.shape[2] > 1 else torch.zeros_like(mean)
    sure = torch.where(mean > error + 1e-6, mean, 0.0)
    return torch.where(sure.amax(1) > 0.0, sure.argmax(1), own)


def _promoted(slots: Tensor, first: Tensor) -> Tensor:
    """Slates ``[B, N, K]`` with the candidates ``first [B, N]`` before the others; with 0, as they are."""
    wide = torch.cat([first.unsqueeze(2), slots], dim=2)
    again = torch.cat([torch.zeros_like(wide[..., :1]), (slots == first.unsqueeze(2)).long()], dim=2)
    promoted = wide.gather(2, again.argsort(dim=2, stable=True))[..., :-1]
    return torch.where(first.unsqueeze(2) > 0, promoted, slots)
