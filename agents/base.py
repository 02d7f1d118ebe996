"""The contract between agents and the code that runs them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from inspect import signature
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from interplay.agents.parts.choosing import Offer, choose, chosen_slate, filled, log_chance
from interplay.agents.parts.player import Player, Setting
from interplay.envs.indexing import one_hot
from interplay.envs.types import SIDES, InterplayError, Observation, Side, SideSpec, Transition

# Players of one run have different numbers, so that they draw different noise.
_NUMBERS: dict[Side, int] = {"users": 0, "items": 1, "platform": 3}
_BOTH = 2


class Agent(Player):
    """Plays one side of the market for all its agents in all worlds at once, or fills the slates of a platform.

    Must be overridden: ``scores`` or ``act``. May be overridden: ``offer``, ``log_propensity``, and what ``Player``
    says.

    Args:
        spec: the side's shapes.
        setting: seed, device and length of the run.
        options: an instance of the class's ``Options``.
    """

    def __init__(self, spec: SideSpec, setting: Setting, options: Any = None) -> None:
        super().__init__(setting, options, _NUMBERS[spec.side])
        self.spec = spec
        self._build()

    @classmethod
    def of(cls, specs: Mapping[Side, SideSpec], setting: Setting, options: Any = None) -> Self:
        """An agent for the only side of ``specs``."""
        (spec,) = specs.values()
        return cls.made(spec, setting, options)

    @property
    def num_agents(self) -> int:
        """N, how many agents play this side."""
        return self.spec.num_agents

    @property
    def num_actions(self) -> int:
        """A, how many actions each of them has."""
        return self.spec.num_actions

    def one_hot(self, action: Tensor) -> Tensor:
        """1 at the place of each action, else 0: int64 ``[...]`` to float32 ``[..., A]``."""
        return one_hot(action, self.num_actions)

    @torch.no_grad()
    def act(self, observation: Observation, explore: bool) -> Tensor:
        """Actions for all agents, int64 ``[B, N]``; ``explore=False`` asks for the best that it knows.

        Unless overridden, the allowed action of the highest score; while exploring, any allowed action with probability
        ``epsilon``, if the options say one.
        """
        return choose(self, self.scores(observation), observation.mask, explore)

    def scores(self, observation: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """Value of each action, the higher the better: ``[B, N, 1 + M * L]``. Forbidden actions get one too.

        Without exploration ``act`` takes the best of them. With an argument ``agent_ids`` it can be asked for lists of
        any items: there may be more options than ``spec`` says, and rows of some agents alone.

        Args:
            observation: of all agents, or of those in ``agent_ids``.
            agent_ids: int64 ``[N']``, whose rows these are; None = all agents.

        Raises:
            InterplayError: it has none, or has not learnt any yet.
        """
        raise InterplayError(f"{self.name!r} gives what it may choose no scores: take an agent that does, such as "
                             "dqn, or override Agent.scores")

    @torch.no_grad()
    def offer(self, observation: Observation, size: int, explore: bool) -> Offer:
        """As a platform: slates of ``size`` candidates, and how likely they were, where it is known.

        Unless overridden, it acts for one slot after the other, each time without what it has taken. So an agent that
        scores options fills slates with those of the highest scores. ``log_propensity`` says how likely each slot was.
        """
        if self._acts_by_scores:  # for forbidden actions too, so that they serve all slots
            return chosen_slate(self, self.scores(observation), observation.mask, size, explore)

        def take(mask: Tensor) -> tuple[Tensor, Tensor | None]:
            left = replace(observation, mask=mask)
            slot = self.act(left, explore)
            return slot, self.log_propensity(left, slot, explore)

        return filled(observation.mask, size, take)

    @torch.no_grad()
    def log_propensity(self, observation: Observation, action: Tensor, explore: bool) -> Tensor | None:
        """Log-probability with which ``act`` chooses ``action`` (int64 ``[B, N]``), float32 ``[B, N]``, if it is known.

        Unless overridden, it is known for an agent that acts by its scores as ``Agent.act`` does, and 0 for another
        that leaves nothing to chance.
        """
        if self._acts_by_scores:
            return log_chance(self, self.scores(observation), observation.mask, action, explore)
        fixed = self.deterministic or (not explore and type(self).scores is not Agent.scores)
        return torch.zeros(action.shape, device=action.device) if fixed else None

    @property
    def _acts_by_scores(self) -> bool:
        return type(self).act is Agent.act

    def act_as(self, side: Side, seen: Observation, explore: bool) -> Tensor:
        """See ``act``."""
        return self.act(seen, explore)

    @torch.no_grad()
    def scores_as(self, side: Side, seen: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """See ``scores``."""
        if agent_ids is None:
            return self.scores(seen)
        if "agent_ids" not in signature(self.scores).parameters:
            raise InterplayError(f"{self.name!r} scores all agents at once: give its scores an argument agent_ids, as "
                                 "Agent.scores has it")
        return self.scores(seen, agent_ids)

    def log_propensity_as(self, side: Side, seen: Observation, action: Tensor, explore: bool) -> Tensor | None:
        """See ``log_propensity``."""
        return self.log_propensity(seen, action, explore)

    def _learn(self, steps: Mapping[Side, Transition]) -> Mapping[str, Tensor] | None:
        (step,) = steps.values()
        return self.learn(step)


class JointAgent(Player):
    """Plays one side or both with one brain: learns from all that it plays, acts from what each side sees.

    Must be overridden: ``learn``, and ``scores`` or ``act``. May be overridden: what ``Player`` says.

    Args:
        specs: shapes of the sides that it plays.
        setting: seed, device and length of the run.
        options: an instance of the class's ``Options``.
    """

    plays: ClassVar[tuple[Side, ...]] = SIDES

    def __init__(self, specs: Mapping[Side, SideSpec], setting: Setting, options: Any = None) -> None:
        super().__init__(setting, options, _BOTH if len(specs) > 1 else _NUMBERS[next(iter(specs))])
        self.specs = dict(specs)
        self._build()

    @classmethod
    def of(cls, specs: Mapping[Side, SideSpec], setting: Setting, options: Any = None) -> Self:
        """An agent for all of these sides."""
        return cls.made(specs, setting, options)

    @torch.no_grad()
    def act(self, side: Side, observation: Observation, explore: bool) -> Tensor:
        """Actions for all agents of one side, int64 ``[B, N]``, decided from what that side sees alone.

        Unless overridden, by their scores, as ``Agent.act`` does.
        """
        return choose(self, self.scores(side, observation), observation.mask, explore)

    def scores(self, side: Side, observation: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """What each action of one side is worth to it, ``[B, N, 1 + M * L]``; see ``Agent.scores``."""
        raise InterplayError(f"{self.name!r} gives what it may choose no scores: take an agent that does, such as "
                             "shared-critic, or override JointAgent.scores")

    @torch.no_grad()
    def log_propensity(self, side: Side, observation: Observation, action: Tensor, explore: bool) -> Tensor | None:
        """Log-probability with which ``act`` chooses ``action``; see ``Agent.log_propensity``."""
        if type(self).act is JointAgent.act:
            return log_chance(self, self.scores(side, observation), observation.mask, action, explore)
        fixed = self.deterministic or (not explore and type(self).scores is not JointAgent.scores)
        return torch.zeros(action.shape, device=action.device) if fixed else None

    @abstractmethod
    def learn(self, steps: Mapping[Side, Transition]) -> Mapping[str, Tensor] | None:
        """Learn from one step of each side that it plays; see ``Player.learn``."""

    def act_as(self, side: Side, seen: Observation, explore: bool) -> Tensor:
        """See ``act``."""
        return self.act(side, seen, explore)

    @torch.no_grad()
    def scores_as(self, side: Side, seen: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """See ``scores``."""
        return self.scores(side, seen, agent_ids)

    def log_propensity_as(self, side: Side, seen: Observation, action: Tensor, explore: bool) -> Tensor | None:
        """See ``log_propensity``."""
        return self.log_propensity(side, seen, action, explore)
