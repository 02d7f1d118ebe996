"""Plausible people: draws from what a log leaves open about each user.

The most likely numbers of a user are drawn to the mean where rows are few, so that people who had exactly those would
differ less than real ones do. Draws from the posterior (here normal, with the curvature of the likelihood) do not have
this fault: the plausible values of Mislevy, "Randomization-based inference about latent variables", Psychometrika 1991.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from interplay.experiments.fit.responding import Responses
from interplay.experiments.fit.rows import Rows
from interplay.experiments.fit.taking import Takes, chunks_of

_PROPOSALS = 10  # of which each person takes the last that is accepted


def plausible_responses(model: Responses, rows: Rows, generator: torch.Generator) -> Responses:
    """The model with biases and factors of users drawn again."""
    if len(model.levels) < 2:
        return model
    user, item = torch.from_numpy(rows.user), torch.from_numpy(rows.item)
    column = torch.cat([torch.ones(rows.num_items, 1), model.item_factor], dim=1)
    information = model.information(rows)
    size = column.shape[1]
    outer = (column.unsqueeze(2) * column.unsqueeze(1)).flatten(1)
    curvature = torch.zeros(rows.num_users, size * size).index_add_(0, user, information.unsqueeze(1) * outer[item])
    penalty = torch.tensor([model.penalties[0], *[model.penalties[1]] * (size - 1)])
    mean = torch.cat([model.user_bias.unsqueeze(1), model.user_factor], dim=1)
    own = _drawn(mean, curvature.view(-1, size, size), penalty, torch.randn(mean.shape, generator=generator))
    return replace(model, user_bias=own[:, 0].contiguous(), user_factor=own[:, 1:].contiguous())


def plausible_takes(model: Takes, rows: Rows, generator: torch.Generator) -> Takes:
    """The model with tastes and likings of users drawn again."""
    column = torch.cat([model.item_factor, model.topics], dim=1)
    size = column.shape[1]
    outer = (column.unsqueeze(2) * column.unsqueeze(1)).flatten(1)
    parts = []
    for users in chunks_of(rows):
        share = torch.softmax(model.scores(users), dim=1)
        mean = share @ column
        parts.append((share @ outer).view(-1, size, size) - mean.unsqueeze(2) * mean.unsqueeze(1))
    count = torch.from_numpy(rows.lifetimes).float()
    rank, mean = model.user_factor.shape[1], torch.cat([model.user_factor, model.liking], dim=1)
    curvature, penalty = torch.cat(parts) * count[:, None, None], torch.full((size,), model.penalty)

    def with_users(own: Tensor) -> Takes:
        return replace(model, user_factor=own[:, :rank].contiguous(), liking=own[:, rank:].contiguous())

    def chance(own: Tensor) -> Tensor:
        return with_users(own).of_each_user(rows) - model.penalty * own.square().sum(1) / 2.0

    return with_users(_moved(mean, chance, curvature, penalty, generator))


def _moved(mean: Tensor, chance: Callable[[Tensor], Tensor], curvature: Tensor, penalty: Tensor,
           generator: torch.Generator) -> Tensor:
    """Draws from a posterior that is not normal: normal ones are proposals, each accepted by Metropolis and Hastings.

    Args:
        mean: where each user begins, ``[U, F]``.
        chance: the logarithm of the posterior of each user, but for a constant.
        curvature: of the normal proposals, as in ``_drawn``.
        penalty: the same.
        generator: draws.
    """
    now, height, far = mean, chance(mean), torch.zeros(len(mean))
    for _ in range(_PROPOSALS):
        noise = torch.randn(mean.shape, generator=generator)
        new = _drawn(mean, curvature, penalty, noise)
        new_height, new_far = chance(new), noise.square().sum(1) / 2.0
        log_ratio = new_height - height + new_far - far
        better = torch.rand(len(mean), generator=generator).log() < log_ratio
        now = torch.where(better.unsqueeze(1), new, now)
        height, far = torch.where(better, new_height, height), torch.where(better, new_far, far)
    return now


def _drawn(mean: Tensor, curvature: Tensor, penalty: Tensor, noise: Tensor) -> Tensor:
    """Normal draws ``[U, F]`` around ``mean``, whose precision is ``curvature [U, F, F]`` and ``penalty [F]``.

    ``noise`` are standard normal draws of the same shape.
    """
    factor = torch.linalg.cholesky(curvature + torch.diag(penalty))
    spread: Tensor = torch.linalg.solve_triangular(factor.mT, noise.unsqueeze(2), upper=True).squeeze(2)
    return mean + spread
