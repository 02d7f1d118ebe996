"""A market in which users choose by chance: its logs, to estimate from, and what is played to know the truth.

All users choose from their slates while items rest. The logging policy goes by items' appeal alone and knows nothing of
the user's taste, satiation or mood: it is skewed towards what it wrongly holds to be good. The target goes by the
response that is to be expected, as the agent `conditional-logit` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from interplay.agents.parts.choosing import log_policy
from interplay.envs.market import Market
from interplay.envs.noise import Stream, gumbel
from interplay.envs.presets import Preset
from interplay.envs.types import InterplayError, Observation
from interplay.envs.world import State, Step
from interplay.experiments.offpolicy.episodes import EpisodeFeedback
from interplay.experiments.offpolicy.estimators import Case
from interplay.experiments.offpolicy.feedback import BanditFeedback, Floats
from interplay.experiments.offpolicy.slates import drawn_log_probability, slate_case

Policy = Callable[[Observation], Tensor]
"""From what users see to log-probabilities of their actions, float64 ``[B, U, 1 + K]``."""

_OTHER_TEMPERATURE = 1.4  # of the slates that a log is asked about, in units of the market's own


class Snapshot(NamedTuple):
    """A step of all users: the worlds before it, what was seen, how likely each action was, which was taken."""

    state: State
    seen: Observation
    chances: Tensor
    action: Tensor
    step: Step


class MarketLog(NamedTuple):
    """What the logger did in some worlds: ``E`` users in ``T`` steps.

    Attributes:
        episodes: all of it; the unit is the world, since its users share its items.
        policy: float64 ``[E, T, 1 + K]``, the target's probabilities.
        slates: of the last step, as seen from slates of another temperature; None where the market draws none.
    """

    episodes: EpisodeFeedback
    policy: Floats
    slates: Case | None

    def last_step(self) -> tuple[BanditFeedback, Floats]:
        """The last step as rounds of a bandit, and the target's probabilities ``[E, 1 + K]`` in them."""
        e = self.episodes
        rounds = BanditFeedback(e.features[:, -1], e.action[:, -1], e.reward[:, -1], e.propensity[:, -1],
                                e.num_actions, unit=e.unit)
        return rounds, self.policy[:, -1]


@dataclass(frozen=True)
class LoggedMarket:
    """A preset's market, in which users choose by a softmax; skipping scores 0.

    Raises:
        InterplayError: there is no step, or more than an episode has, or the temperature is not above 0.
    """

    preset: Preset
    steps: int = 10
    """T, from the start of an episode."""
    temperature: float = 1.0
    """Of both policies; smaller means greedier, and less overlap."""
    seed: int = 0
    """Of the worlds."""

    def __post_init__(self) -> None:
        horizon = self.preset.config.horizon
        if not 1 <= self.steps <= horizon:
            raise InterplayError(f"steps={self.steps}: give at least 1 and at most {horizon}, the horizon of "
                                 f"{self.preset.name}")
        if not 0.0 < self.temperature < np.inf:
            raise InterplayError(f"temperature={self.temperature} must be a number above 0")

    @cached_property
    def market(self) -> Market:
        """As the preset has it."""
        return self.preset.market(torch.device("cpu"))

    @cached_property
    def other(self) -> Market:
        """The same market, but that its slates are drawn at another temperature."""
        return self.preset.market(torch.device("cpu"), temperature=_OTHER_TEMPERATURE * self.preset.config.temperature)

    @property
    def draws_slates(self) -> bool:
        """Whether slates are a Plackett-Luce draw from all items that live."""
        config = self.preset.config
        return config.slate_order == "ranked" and config.num_candidates in (0, config.num_items)

    def logger(self, seen: Observation) -> Tensor:
        """By appeal alone."""
        appeal = self.market.specs["users"].option_features.index("appeal")
        return self._softmax(seen.options[..., appeal], seen)

    def target(self, seen: Observation) -> Tensor:
        """By the response that is to be expected."""
        assert seen.expected is not None
        return self._softmax(torch.logit(seen.expected[..., 1:], eps=1e-6), seen)

    def _softmax(self, score: Tensor, seen: Observation) -> Tensor:
        score = torch.cat([torch.zeros_like(score[..., :1]), score], dim=-1)
        return log_policy(score.double(), seen.mask, self.temperature)

    def play(self, policy: Policy, worlds: range, seed: int, other_slates: bool = False) -> Iterator[Snapshot]:
        """Play ``worlds`` from the start; if ``other_slates``, those of the last step are the other market's."""
        last = self.other if other_slates else self.market
        drawing = [self.market] * (self.steps - 1) + [last, self.market]  # whose slates each step starts from
        state = drawing[0].reset(worlds, seed)
        rest = torch.zeros_like(state["boost_level"])
        for following in drawing[1:]:
            seen = following.observe(state, "users", expected=True)
            chances = policy(seen)
            action = (chances + gumbel(state.key, state.time, Stream.ACTION, tuple(chances.shape[1:]))).argmax(2)
            after, step = following.step(state, action, rest)
            yield Snapshot(state, seen, chances, action, step)
            state = after

    def log(self, num_worlds: int, repeat: int) -> MarketLog:
        """What the logger does in ``num_worlds`` worlds; in other ones for each ``repeat``."""
        worlds = range(repeat * num_worlds, (repeat + 1) * num_worlds)
        moments = list(self.play(self.logger, worlds, self.seed))
        taken = _column(moments, lambda m: m.action)
        chances = _column(moments, lambda m: m.chances)
        propensity = np.exp(np.take_along_axis(chances, taken[..., None], axis=2)[..., 0])
        reward = _column(moments, lambda m: m.step.response).astype(np.float64)
        unit = np.repeat(np.asarray(worlds), len(taken) // num_worlds)
        episodes = EpisodeFeedback(_column(moments, _features).astype(np.float64), taken, reward, propensity,
                                   np.ones(taken.shape, dtype=np.bool_), chances.shape[2], unit)
        policy = _column(moments, lambda m: self.target(m.seen).exp())
        return MarketLog(episodes, policy, self._slates(moments[-1].state, reward[:, -1]))

    def _slates(self, state: State, reward: Floats) -> Case | None:
        """The slates of one step as the other market would have drawn them."""
        if not self.draws_slates:
            return None
        logged = state.slate.log_propensity.double().flatten().numpy()
        return slate_case(reward, logged, drawn_log_probability(self.other.constants, state, state.slate))


def _features(moment: Snapshot) -> Tensor:
    """1, and what a user sees: of itself, and of each slot."""
    seen = moment.seen
    return torch.cat([torch.ones_like(seen.own[..., :1]), seen.own, seen.options.flatten(2)], dim=2)


def _column(moments: list[Snapshot], of: Callable[[Snapshot], Tensor]) -> np.ndarray:
    """One thing of every user in every step, ``[E, T, ...]``."""
    return torch.stack([of(m) for m in moments], dim=2).flatten(0, 1).numpy()
