"""Networks of one shape side by side, and learners that are trained with them: independent PPO, and a ranking model.

What recsim-arena has one by one (github.com/ozeidan9/recsim-arena), from its description and its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

Activation = Callable[[Tensor], Tensor]


class Stacked(nn.Module):
    """Networks of linear layers, each with parameters of its own: ``[N, B, in]`` to ``[N, B, out]``.

    Args:
        count: N.
        sizes: of the layers, from the input to the output.
        gains: of the orthogonal first weights of each layer.
        activation: between layers, and after the last one too if ``ends_active``.
        chance: of the first weights.
        ends_active: whether the output is activated.
    """

    def __init__(self, count: int, sizes: Sequence[int], gains: Sequence[float], activation: Activation,
                 chance: torch.Generator, ends_active: bool = False) -> None:
        super().__init__()
        self._activation, self._ends_active = activation, ends_active
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for (inputs, outputs), gain in zip(pairwise(sizes), gains, strict=True):
            each = [nn.init.orthogonal_(torch.empty(outputs, inputs), gain, generator=chance).T for _ in range(count)]
            self.weights.append(nn.Parameter(torch.stack(each)))
            self.biases.append(nn.Parameter(torch.zeros(count, 1, outputs)))

    def forward(self, x: Tensor) -> Tensor:
        """See above."""
        for place, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if self._ends_active or place < len(self.weights) - 1:
                x = self._activation(x)
        return x


def clip_each(parameters: Sequence[Tensor], most: float) -> None:
    """Scale the gradients of each of the N networks whose norm is above ``most`` down to it."""
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = torch.stack([g.flatten(1).square().sum(1) for g in grads]).sum(0).sqrt()
    scale = (most / (norm + 1e-6)).clamp(max=1.0)
    for g in grads:
        g.mul_(scale.view(-1, *[1] * (g.dim() - 1)))


class Episode(NamedTuple):
    """What L learners saw, did and earned in T steps, ``[L, T, ...]``: ``raw`` actions are those before the tanh."""

    seen: Tensor
    raw: Tensor
    log_prob: Tensor
    value: Tensor
    reward: Tensor


class Learners:
    """L independent learners by proximal policy optimisation, with actions in (-1, 1).

    Args:
        count: L.
        num_seen, num_actions: sizes of what they see and of their actions.
        chance: of first weights, actions and minibatches.
    """

    RATE, DISCOUNT, DECAY, CLIP, ENTROPY, VALUE, NORM = 3e-4, 0.99, 0.95, 0.2, 0.01, 0.5, 0.5
    EPOCHS, BATCH, WIDTH = 4, 64, 64

    def __init__(self, count: int, num_seen: int, num_actions: int, chance: torch.Generator) -> None:
        root = math.sqrt(2.0)
        self._chance = chance
        self._body = Stacked(count, (num_seen, self.WIDTH, self.WIDTH), (root, root), torch.tanh, chance, True)
        self._mean = Stacked(count, (self.WIDTH, num_actions), (0.01,), torch.tanh, chance)
        self._critic = Stacked(count, (self.WIDTH, 1), (root,), torch.tanh, chance)
        self._log_std = nn.Parameter(torch.full((count, 1, num_actions), -0.5))
        nets = (self._body, self._mean, self._critic)
        self._parameters = [*(p for net in nets for p in net.parameters()), self._log_std]
        self._optimiser = torch.optim.Adam(self._parameters, lr=self.RATE, eps=1e-5)

    @torch.no_grad()
    def act(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Raw actions ``[L, B, A]``, their log-probabilities and values ``[L, B]``, for ``seen [L, B, F]``."""
        mean, std, value = self._forward(seen)
        raw = mean + std * torch.randn(mean.shape, generator=self._chance)
        return raw, _log_prob(mean, std, raw), value

    def learn(self, episode: Episode) -> None:
        """Several epochs over an episode, which ends with its last step."""
        advantage = self._advantages(episode)
        target = advantage + episode.value
        centred = advantage - advantage.mean(1, keepdim=True)
        advantage = centred / (centred.square().mean(1, keepdim=True).sqrt() + 1e-8)
        learners, steps = episode.reward.shape
        for _ in range(self.EPOCHS):
            order = torch.rand(learners, steps, generator=self._chance).argsort(1)
            for first in range(0, steps, self.BATCH):
                rows = order[:, first:first + self.BATCH]
                self._step(Episode(*(_taken(each, rows) for each in episode)), _taken(advantage, rows),
                           _taken(target, rows))

    def _step(self, batch: Episode, advantage: Tensor, target: Tensor) -> None:
        mean, std, value = self._forward(batch.seen)
        ratio = (_log_prob(mean, std, batch.raw) - batch.log_prob).exp()
        gain = torch.minimum(ratio * advantage, ratio.clamp(1.0 - self.CLIP, 1.0 + self.CLIP) * advantage).mean(1)
        entropy = (std.log() + 0.5 * math.log(2.0 * math.pi * math.e)).sum(2).mean(1)
        loss = self.VALUE * (value - target).square().mean(1) - gain - self.ENTROPY * entropy
        self._optimiser.zero_grad()
        torch.autograd.backward(loss.sum())
        clip_each(self._parameters, self.NORM)
        self._optimiser.step()

    def _advantages(self, episode: Episode) -> Tensor:
        advantage, last = torch.zeros_like(episode.reward), torch.zeros(len(episode.reward))
        ahead = torch.zeros(len(episode.reward))
        for t in reversed(range(episode.reward.shape[1])):
            error = episode.reward[:, t] + self.DISCOUNT * ahead - episode.value[:, t]
            last = error + self.DISCOUNT * self.DECAY * last
            advantage[:, t], ahead = last, episode.value[:, t]
        return advantage

    def _forward(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        body = self._body(seen)
        mean = self._mean(body)
        return mean, self._log_std.clamp(-4.0, 0.0).exp().expand_as(mean), self._critic(body)[..., 0]


def _taken(table: Tensor, rows: Tensor) -> Tensor:
    """``table [L, T, ...]`` at ``rows [L, B]``."""
    return table[torch.arange(len(rows)).unsqueeze(1), rows]


def _log_prob(mean: Tensor, std: Tensor, raw: Tensor) -> Tensor:
    """Of tanh(raw), where raw is normal, ``[L, B]``."""
    normal = -0.5 * ((raw - mean) / std).square() - std.log() - 0.5 * math.log(2.0 * math.pi)
    return (normal - 2.0 * (math.log(2.0) - raw - nn.functional.softplus(-2.0 * raw))).sum(2)


class Ranker:
    """For each of S sessions, two towers that retrieve creators and a network that ranks them, learnt from clicks.

    Args:
        count: S.
        size: of users' and creators' vectors.
        chance: of first weights and samples.
    """

    RATE, WIDTH, EMBEDDING, EVERY, STEPS, BATCH, ROUNDS, NORM = 1e-3, 64, 32, 5, 5, 256, 40, 1.0

    def __init__(self, count: int, size: int, chance: torch.Generator) -> None:
        tower = (size, self.WIDTH, self.EMBEDDING)
        self._chance = chance
        self._user, self._creator = (Stacked(count, tower, (1.0, 1.0), torch.relu, chance) for _ in range(2))
        self._rank = Stacked(count, (2 * self.EMBEDDING + 2, self.WIDTH, 32, 1), (1.0, 1.0, 1.0), torch.relu, chance)
        self._parameters = [p for net in (self._user, self._creator, self._rank) for p in net.parameters()]
        self._optimiser = torch.optim.Adam(self._parameters, lr=self.RATE)
        self._kept: list[tuple[Tensor, ...]] = []
        self._met = 0

    @torch.no_grad()
    def scores(self, users: Tensor, creators: Tensor, extra: Tensor) -> tuple[Tensor, Tensor]:
        """Similarities, which retrieve, and scores, which rank: both ``[S, U, C]``.

        Args:
            users: ``[S, U, D]``.
            creators: ``[S, C, D]``.
            extra: ``[S, C, 2]``, quality and bait.
        """
        user, creator = (nn.functional.normalize(net(x), dim=2)
                         for net, x in ((self._user, users), (self._creator, creators)))
        shape = (*user.shape[:2], creator.shape[1])
        pair = torch.cat([user.unsqueeze(2).expand(*shape, -1), creator.unsqueeze(1).expand(*shape, -1),
                          extra.unsqueeze(1).expand(*shape, -1)], dim=3)
        return user @ creator.transpose(1, 2), self._rank(pair.flatten(1, 2)).view(shape)

    def meet(self, users: Tensor, creators: Tensor, extra: Tensor, clicked: Tensor) -> None:
        """Keep what a round's slates came to, ``[S, R, ...]`` for R shown items, and learn from time to time."""
        self._kept = [*self._kept, (users, creators, extra, clicked)][-self.ROUNDS:]
        self._met += 1
        if self._met % self.EVERY == 0:
            rows = tuple(torch.cat(each, dim=1) for each in zip(*self._kept, strict=True))
            for _ in range(self.STEPS):
                self._step(*rows)

    def _step(self, users: Tensor, creators: Tensor, extra: Tensor, clicked: Tensor) -> None:
        drawn = torch.randint(users.shape[1], (len(users), self.BATCH), generator=self._chance)
        users, creators, extra, clicked = (_taken(each, drawn) for each in (users, creators, extra, clicked))
        user, creator = (nn.functional.normalize(net(x), dim=2)
                         for net, x in ((self._user, users), (self._creator, creators)))
        score = self._rank(torch.cat([user, creator, extra], dim=2))[..., 0]
        loss = nn.functional.binary_cross_entropy_with_logits(score, clicked, reduction="none").mean(1)
        self._optimiser.zero_grad()
        torch.autograd.backward(loss.sum())
        clip_each(self._parameters, self.NORM)
        self._optimiser.step()
