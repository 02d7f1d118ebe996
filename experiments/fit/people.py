"""Plausible people: draws from what a log leaves open about each user.

The most likely numbers of a user are drawn to the mean where rows are few, so that people who had exactly those would
differ less than real ones do. Draws from the posterior (here normal, with the curvature of the likelihood) do not have
this fault: the plausible values of Mislevy, "Randomization-based inference about latent variables", Psychometrika 1991.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from interplay.experiments.fit.responding import Responses
from interplay.experiments.fit.rows import Rows
from interplay.experiments.fit.taking import Takes, chunks_of


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
    own = _drawn(torch.cat([model.user_bias.unsqueeze(1), model.user_factor], dim=1),
                 curvature.view(-1, size, size), penalty, generator)
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
    own = _drawn(torch.cat([model.user_factor, model.liking], dim=1), torch.cat(parts) * count[:, None, None],
                 torch.full((size,), model.penalty), generator)
    rank = model.user_factor.shape[1]
    return replace(model, user_factor=own[:, :rank].contiguous(), liking=own[:, rank:].contiguous())


def _drawn(mean: Tensor, curvature: Tensor, penalty: Tensor, generator: torch.Generator) -> Tensor:
    """Normal draws ``[U, F]`` around ``mean``, whose precision is ``curvature [U, F, F]`` and ``penalty [F]``."""
    factor = torch.linalg.cholesky(curvature + torch.diag(penalty))
    noise = torch.randn(*mean.shape, 1, generator=generator)
    spread: Tensor = torch.linalg.solve_triangular(factor.mT, noise, upper=True).squeeze(2)
    return mean + spread
