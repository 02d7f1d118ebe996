"""What a platform fills slates with: all that users may be offered, or, of long lists, what a first stage leaves."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from interplay.envs.constants import MarketConstants
from interplay.envs.kernels import top_k
from interplay.envs.noise import Stream, as_gumbel, uniform_rows
from interplay.envs.slates import boosts_of_living, candidates_of, num_candidates, of_lists, scored_lists
from interplay.envs.world import Slate, State


def has_first_stage(constants: MarketConstants) -> bool:
    """Whether users' lists are longer than what a platform sees of them.

    The first stage leaves the items that a slate of ``num_candidates`` slots would hold, were it drawn as the market
    draws its own. So a table of all users is not as wide as the longest list, and every item can come up.
    """
    return constants.lists is not None and num_candidates(constants) < constants.lists.longest


def platform_candidates(constants: MarketConstants, state: State) -> Slate:
    """What a platform can fill slates with now, as one long slate ``[B, U, M]`` in no particular order."""
    if constants.lists is None or not has_first_stage(constants):
        return candidates_of(constants, state)
    size, boosts = num_candidates(constants), boosts_of_living(constants, state)
    return of_lists(constants.lists, [
        _first(state, candidates, score, first_draw, size)
        for candidates, score, first_draw in scored_lists(constants, state, boosts, constants.lists)])


def _first(state: State, items: Tensor, score: Tensor, first_draw: Tensor, size: int) -> Slate:
    """The first ``size`` items of a Plackett-Luce draw from each list; all of a list that is not longer."""
    width = items.shape[2]
    if width > size:
        noise = as_gumbel(uniform_rows(state.key, state.time, Stream.SLATE, first_draw, width))
        top, index = top_k(score + noise, size)
        items, valid = items.gather(2, index), top > -torch.inf
    else:
        items, valid = pad(items, (0, size - width)), pad(score > -torch.inf, (0, size - width))
    return Slate(items, valid, torch.full_like(score[..., 0], torch.nan))


def filled(candidates: Slate, slots: Tensor) -> Slate:
    """The slates that a platform fills: candidates by number, from 1, in ``slots`` int64 ``[B, U, K]``.

    A slot is left empty by 0, by a candidate that is not valid, and by one that stands in an earlier slot.
    """
    index = (slots - 1).clamp(0, candidates.items.shape[2] - 1)
    good = (slots - 1 == index) & candidates.valid.gather(2, index)
    earlier = (index.unsqueeze(3) == index.unsqueeze(2)).tril(-1) & good.unsqueeze(2)
    return Slate(candidates.items.gather(2, index), good & ~earlier.any(3), candidates.log_propensity)
