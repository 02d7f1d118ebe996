"""recsim-arena's market of creators (github.com/ozeidan9/recsim-arena), from its description and its numbers.

50 users with tastes round 5 centres, 20 creators. In each of 200 rounds a creator chooses the direction of its content,
its quality q and its bait b; each user is shown 5 creators and clicks on one, with logit <taste, content> + .3 q + .5 b
(1 - f). Its fatigue f then becomes .95 f + b of what it clicked. A creator earns its clicks less .5 q^2. Creators learn
by independent PPO, episode after episode; sessions with tastes of their own run side by side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from interplay.experiments.studies.reproductions.arena_nets import Episode, Learners, Ranker

QUALITY_PULL, BAIT_PULL, QUALITY_COST, REST = 0.3, 0.5, 0.5, 0.95
_RETRIEVED = 10


@dataclass(frozen=True)
class Arena:
    """Sizes.

    Attributes:
        users, centres, creators, size, rounds, slate: of the market, as above; ``size`` is that of vectors.
    """

    users: int = 50
    centres: int = 5
    creators: int = 20
    size: int = 16
    rounds: int = 200
    slate: int = 5


class Content(NamedTuple):
    """What creators offer in a round: ``vector [S, C, D]`` of length 1, ``quality`` and ``bait [S, C]`` in (0, 1)."""

    vector: Tensor
    quality: Tensor
    bait: Tensor


Ranking = Callable[[Tensor, Content], Tensor]
"""From tastes ``[S, U, D]`` and content to scores ``[S, U, C]``, by which the highest are shown."""


def by_chance(chance: torch.Generator) -> Ranking:
    """Any creators: the control in which nothing is ranked."""
    return lambda taste, content: torch.rand((*taste.shape[:2], content.bait.shape[1]), generator=chance)


def by_engagement(temperature: float = 1.0) -> Ranking:
    """M1: relevance, divided by the temperature, plus half the bait."""
    return lambda taste, content: ((taste @ content.vector.transpose(1, 2)) / temperature
                                   + 0.5 * content.bait.unsqueeze(1))


class Learnt:
    """M2: half of the creators are retrieved by two towers, and ranked by a network that predicts clicks.

    M3 lets pass only those of them that have at least as much quality as bait, or the best in this if they are too few.
    """

    def __init__(self, ranker: Ranker, slate: int, gated: bool) -> None:
        self.ranker, self._slate, self._gated = ranker, slate, gated

    def __call__(self, taste: Tensor, content: Content) -> Tensor:
        """See ``Ranking``."""
        near, score = self.ranker.scores(taste, content.vector, torch.stack([content.quality, content.bait], dim=2))
        barred = _rank(near) >= _RETRIEVED
        if self._gated:
            gate = (content.quality - content.bait).unsqueeze(1).expand_as(near).masked_fill(barred, -math.inf)
            barred = barred | ((gate < 0.0) & (_rank(gate) >= self._slate))
        return score.masked_fill(barred, -math.inf)


def _rank(score: Tensor) -> Tensor:
    """The place of each score among those of its row, 0 for the highest."""
    return score.argsort(2, descending=True).argsort(2)


class Measured(NamedTuple):
    """Of an episode, float64 ``[S]`` each: Gini's index of clicks, mean quality and bait of its last round."""

    gini: Tensor
    quality: Tensor
    bait: Tensor


class Market:
    """S sessions.

    Args:
        arena: sizes.
        sessions: S.
        ranking: made of the market's chance.
        seed: of all chance; session k differs from the same session of another number of sessions.
    """

    def __init__(self, arena: Arena, sessions: int, ranking: Callable[[torch.Generator], Ranking], seed: int) -> None:
        self._arena, self._sessions = arena, sessions
        self._chance = chance = torch.Generator().manual_seed(seed)
        centre = _unit(torch.randn(sessions, arena.centres, arena.size, generator=chance))
        group = torch.randint(arena.centres, (sessions, arena.users), generator=chance)
        spread = 0.3 * torch.randn(sessions, arena.users, arena.size, generator=chance)
        self.taste = _unit(centre.gather(1, group.unsqueeze(2).expand(-1, -1, arena.size)) + spread)
        self._first = _unit(torch.randn(sessions, arena.creators, arena.size, generator=chance))
        self._ranking = ranking(chance)
        self._learners = Learners(sessions * arena.creators, arena.size + 5, arena.size + 2, chance)

    def episodes(self, count: int) -> Iterator[Measured]:
        """Play and learn so many episodes."""
        for _ in range(count):
            episode, measured = self._play()
            self._learners.learn(episode)
            yield measured

    def _play(self) -> tuple[Episode, Measured]:
        arena, shape = self._arena, (self._sessions, self._arena.creators)
        half = torch.full(shape, 0.5)  # raw actions of 0
        content, clicks, total = Content(self._first, half, half), torch.zeros(shape), torch.zeros(shape)
        fatigue, steps = torch.zeros(self._sessions, arena.users), []
        for _ in range(arena.rounds):
            seen = self._seen(content, clicks).flatten(0, 1).unsqueeze(1)
            raw, log_prob, value = self._learners.act(seen)
            content = self._content(raw[:, 0].tanh().view(*shape, -1))
            clicks, fatigue = self._round(content, fatigue)
            reward = (clicks - QUALITY_COST * content.quality.square()).view(-1, 1)
            steps.append(Episode(seen, raw, log_prob, value, reward))
            total += clicks
        episode = Episode(*(torch.cat(each, dim=1) for each in zip(*steps, strict=True)))
        return episode, Measured(gini(total), content.quality.double().mean(1), content.bait.double().mean(1))

    def _content(self, action: Tensor) -> Content:
        quality, bait = ((action[..., self._arena.size:] + 1.0) / 2.0).unbind(2)
        return Content(_unit(action[..., :self._arena.size]), quality, bait)

    def _round(self, content: Content, fatigue: Tensor) -> tuple[Tensor, Tensor]:
        """Clicks ``[S, C]``, and users' fatigue ``[S, U]`` after them."""
        shown = self._ranking(self.taste, content).topk(self._arena.slate, dim=2).indices
        offered = (QUALITY_PULL * content.quality.unsqueeze(1)
                   + BAIT_PULL * content.bait.unsqueeze(1) * (1.0 - fatigue.unsqueeze(2)))
        logit = (self.taste @ content.vector.transpose(1, 2) + offered).gather(2, shown)
        noise = torch.rand(logit.shape, generator=self._chance).clamp(min=1e-12)
        slot = (logit - (-noise.log()).log()).argmax(2, keepdim=True)
        taken = shown.gather(2, slot)[..., 0]
        if isinstance(self._ranking, Learnt):
            self._report(self._ranking.ranker, content, shown, slot)
        clicks = torch.zeros(content.bait.shape).scatter_add_(1, taken, torch.ones(taken.shape))
        return clicks, REST * fatigue + content.bait.gather(1, taken)

    def _report(self, ranker: Ranker, content: Content, shown: Tensor, slot: Tensor) -> None:
        """Show the ranking model what became of the slates."""
        slots = shown.shape[2]
        items = shown.flatten(1)
        extra = torch.stack([content.quality, content.bait], dim=2)
        clicked = (torch.arange(slots) == slot).float().flatten(1)
        user = self.taste.unsqueeze(2).expand(-1, -1, slots, -1).flatten(1, 2)
        creator, extra = (each.gather(1, items.unsqueeze(2).expand(-1, -1, each.shape[2]))
                          for each in (content.vector, extra))
        ranker.meet(user, creator, extra, clicked)

    def _seen(self, content: Content, clicks: Tensor) -> Tensor:
        """What creators see, ``[S, C, D + 5]``: their own content, their clicks, and how near the nearest rival is.

        In recsim-arena the last column but one is the entropy of eight clusters of content, which is nearly constant
        there; here it is 1.
        """
        near = content.vector @ content.vector.transpose(1, 2) - 3.0 * torch.eye(content.vector.shape[1])
        own = (content.quality, content.bait, clicks / self._arena.users, torch.ones_like(clicks), near.amax(2))
        return torch.cat([content.vector, torch.stack(own, dim=2)], dim=2)


def gini(clicks: Tensor) -> Tensor:
    """Gini's index of clicks ``[S, C]``: 0 = all have as many, 1 = one has all; float64 ``[S]``."""
    ordered, count = clicks.double().sort(dim=1).values, clicks.shape[1]
    number = torch.arange(1, count + 1, dtype=torch.float64)
    return 2.0 * (number * ordered).sum(1) / (count * ordered.sum(1)) - (count + 1.0) / count


def _unit(vector: Tensor) -> Tensor:
    return nn.functional.normalize(vector, dim=-1)
