"""Slates: retrieve candidates for each segment, then draw each user's slate from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from interplay.envs import dispatch, kernels
from interplay.envs.constants import MarketConstants
from interplay.envs.indexing import gather_rows
from interplay.envs.lists import Lists
from interplay.envs.segment_means import segment_means
from interplay.envs.slate_draws import DRAW_SLATES, draw
from interplay.envs.world import Slate, State

_CHUNK = 1 << 22  # scores held at once while users are ranked: 16 MiB of float32, about a CPU's cache
_CHUNK_ON_GPU = 1 << 27  # where only memory limits them: 512 MiB
_MOST_CELLS, _FEW = 1 << 22, 4  # of a table of whole lists; slates' worth of candidates where it would have more


def log_boosts(constants: MarketConstants, state: State) -> Tensor:
    """log x_i[c], float32 ``[B, C, I]``: 0 except in the segment that the item targets."""
    if kernels.usable(state.key):
        return torch.from_numpy(dispatch.log_boosts(constants, state))
    return constants.built_in.boosts.scores(state, constants.config.num_segments)


def boosts_of_living(constants: MarketConstants, state: State) -> Tensor:
    """The same, but -inf for dead items, which no slate may show."""
    return log_boosts(constants, state).masked_fill(~state.alive.unsqueeze(1), -torch.inf)


def build_slates(constants: MarketConstants, state: State) -> Slate:
    """The slates that users choose from next (README, step 5).

    Args:
        constants: the market's.
        state: the worlds, with boosts and budgets already up to date; its old slate is not read.
    """
    config = constants.config
    if config.slate_order == "fixed":
        return dispatch.fixed_slates(constants, state) if kernels.usable(state.key) else _fixed(constants, state)
    if constants.lists is None and kernels.usable(state.key) and not constants.mechanisms.have("slate_score"):
        return _drawn(constants, state)
    gpu = kernels.of_gpu("interplay.envs.slates_gpu", state.key)
    drawn: Slate | None = None if gpu is None else gpu.build_slates(constants, state)
    if drawn is not None:
        return drawn
    boosts = boosts_of_living(constants, state)
    if constants.lists is not None:
        return _from_lists(constants, state, boosts, constants.lists)
    retrieved = _retrieve(constants, state, boosts) if retrieves(constants) else None
    return _joined([_from_segment(constants, state, boosts, retrieved, users)
                    for users in _chunks(constants, len(state.key), config.num_users, num_candidates(constants))])


def _from_segment(constants: MarketConstants, state: State, boosts: Tensor, retrieved: Tensor | None,
                  users: slice) -> Slate:
    """Slates of neighbouring users, from all items or from those ``retrieved`` for their segment."""
    candidates = None if retrieved is None else gather_rows(retrieved, state.population.segment[:, users])
    score = _score(constants, state, boosts, users, candidates)
    return _slate(constants, state, score, candidates, users.start * num_candidates(constants), None)


def _from_lists(constants: MarketConstants, state: State, boosts: Tensor, lists: Lists) -> Slate:
    """Slates of all users, each from a list of its own."""
    return of_lists(lists, [_slate(constants, state, score, candidates, 0, first_draw)
                            for candidates, score, first_draw in scored_lists(constants, state, boosts, lists)])


def of_lists(lists: Lists, parts: Sequence[Slate]) -> Slate:
    """Slates of all users, from those of each part of ``scored_lists``."""
    return Slate(*(column.index_select(1, lists.place) for column in _joined(parts).tensors()))


def scored_lists(constants: MarketConstants, state: State, boosts: Tensor,
                 lists: Lists) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Some users' lists at a time, in the order of the tables.

    Args:
        constants: the market's.
        state: the worlds.
        boosts: float32 ``[B, C, I]``, what they add to scores; -inf for dead items.
        lists: of all users.

    Yields:
        Items int64 ``[B, U', W]``; their scores, -inf for what must not be shown; and the index of each user's first
        draw of noise, int32 ``[U']``.
    """
    for users, items, valid, first_draw in lists.tables:
        for rows in _chunks(constants, len(state.key), len(users), items.shape[1]):
            candidates = items[rows].expand(len(state.key), -1, -1)
            score = _score(constants, state, boosts, users[rows], candidates).masked_fill(~valid[rows], -torch.inf)
            yield candidates, score, first_draw[rows]


def _chunks(constants: MarketConstants, num_worlds: int, num_users: int, width: int) -> Iterator[slice]:
    """Stretches of users, so few that the scores of their ``width`` candidates fit a CPU's cache or a GPU's memory."""
    each = constants.config.num_items if _dense(constants, width) else width * constants.config.embedding_size
    chunk = max(1, (_CHUNK_ON_GPU if constants.noticed.is_cuda else _CHUNK) // (num_worlds * each))
    return (slice(u, min(u + chunk, num_users)) for u in range(0, num_users, chunk))


def _joined(parts: Sequence[Slate]) -> Slate:
    """Slates of some users and those of the next."""
    columns = zip(*(part.tensors() for part in parts), strict=True)
    return parts[0] if len(parts) == 1 else Slate(*(torch.cat(column, dim=1) for column in columns))


def _drawn(constants: MarketConstants, state: State) -> Slate:
    """The same slates by the kernel, but those that it leaves to torch, close calls, are scored one user at a time.

    Torch may add up products of one user in another order than those of all: all at once could give another slate.
    """
    boosts = boosts_of_living(constants, state) if retrieves(constants) else None
    retrieved = None if boosts is None else _retrieve(constants, state, boosts)
    slate, close = dispatch.draw_slates(constants, state, retrieved)
    for world in dict.fromkeys(world for world, _ in close):
        one, here, users = state.of_one(world), slice(world, world + 1), [user for w, user in close if w == world]
        living = boosts_of_living(constants, one) if boosts is None else boosts[here]
        exact = _of_few(constants, one, living, None if retrieved is None else retrieved[here], users)
        for name, values in zip(("items", "valid", "log_propensity"), exact.tensors(), strict=True):
            slate.arrays(name)[0][world, users] = values[0].numpy()
    return slate


def _of_few(constants: MarketConstants, state: State, boosts: Tensor, own: Tensor | None, users: list[int]) -> Slate:
    """Slates of some users of one world, each scored alone."""
    number = torch.from_numpy(np.array(users))
    candidates = None if own is None else gather_rows(own, state.population.segment[:, number])
    scores = [_score(constants, state, boosts, slice(user, user + 1),
                     None if candidates is None else candidates[:, n:n + 1]) for n, user in enumerate(users)]
    return _slate(constants, state, torch.cat(scores, dim=1), candidates, 0, (number * num_candidates(constants)).int())


def num_candidates(constants: MarketConstants) -> int:
    """M, how many items slates are filled from; of users' own lists, how many a platform sees."""
    config = constants.config
    if constants.lists is not None:
        few = _FEW * config.slate_size if constants.lists.longest * config.num_users > _MOST_CELLS else config.num_items
        return min(constants.lists.longest, config.num_candidates or few)
    return config.num_candidates if retrieves(constants) else config.num_items


def draws_of_slates(constants: MarketConstants) -> int:
    """Draws of noise of one world that its next slates take."""
    if constants.config.slate_order == "fixed":
        return 0
    if constants.lists is not None:
        return constants.lists.num_draws
    return constants.config.num_users * num_candidates(constants)


def candidates_of(constants: MarketConstants, state: State) -> Slate:
    """Everything that users' next slates could hold, as one long slate ``[B, U, M]`` in no particular order."""
    segment, listed = state.population.segment, None
    if constants.lists is not None:
        items, listed = constants.lists.padded()
        items = items.expand(*segment.shape, -1)
    elif retrieves(constants):
        items = gather_rows(_retrieve(constants, state, boosts_of_living(constants, state)), segment)
    else:
        items = torch.arange(constants.config.num_items, device=segment.device).expand(*segment.shape, -1)
    valid = gather_rows(state.alive, items)
    if constants.mechanisms.have("slate_score"):  # -inf is for what must not be shown, by a platform either
        nothing = torch.zeros(items.shape, device=items.device)
        valid = valid & (constants.mechanisms.scored(state, slice(None), items, nothing) > -torch.inf)
    valid = valid if listed is None else valid & listed
    return Slate(items, valid, torch.full_like(state.slate.log_propensity, torch.nan))


def count_candidates(constants: MarketConstants, state: State) -> Tensor:
    """How many items each user's next slate could hold, int64 ``[B, U]``."""
    if constants.lists is None:
        return candidates_of(constants, state).valid.sum(2)
    counts = [(gather_rows(state.alive, table.items.expand(len(state.key), -1, -1)) & table.valid).sum(2)
              for table in constants.lists.tables]
    return torch.cat(counts, dim=1).index_select(1, constants.lists.place)


def retrieves(constants: MarketConstants) -> bool:
    """Whether each segment's candidates are chosen first."""
    return constants.lists is None and 0 < constants.config.num_candidates < constants.config.num_items


def _dense(constants: MarketConstants, width: int) -> bool:
    """Whether scoring all items is cheaper than gathering the vectors of ``width`` candidates for each user."""
    return constants.config.num_items <= width * constants.config.embedding_size


def _fixed(constants: MarketConstants, state: State) -> Slate:
    config = constants.config
    shape = (state.key.shape[0], config.num_users, config.slate_size)
    items = torch.arange(config.num_items, device=state.key.device).expand(shape)
    return Slate(items, state.alive.unsqueeze(1).expand(shape), torch.zeros(shape[:2], device=items.device))


def _retrieve(constants: MarketConstants, state: State, boosts: Tensor) -> Tensor:
    """The M items of each segment that suit its mean taste best, boosts counted: int64 ``[B, C, M]``."""
    config = constants.config
    score = segment_means(constants, state) @ state.population.item_vector.transpose(1, 2) / config.temperature + boosts
    return score.topk(config.num_candidates, dim=-1).indices


def _score(constants: MarketConstants, state: State, boosts: Tensor, users: Tensor | slice,
           candidates: Tensor | None) -> Tensor:
    """Scores of what some of the users may be shown, float32 ``[B, U', M]``; -inf for what they may not.

    Args:
        constants: the market's.
        state: the worlds.
        boosts: float32 ``[B, C, I]``, what they add to scores; -inf for dead items.
        users: int64 ``[U']``.
        candidates: int64 ``[B, U', M]``, the items to rank; None = all.
    """
    config = constants.config
    taste, segment = state.user_vector[:, users], state.population.segment[:, users]
    if candidates is None or _dense(constants, candidates.shape[2]):
        score = taste @ state.population.item_vector.transpose(1, 2) / config.temperature + gather_rows(boosts, segment)
        score = score if candidates is None else score.gather(2, candidates)
    else:
        vector = gather_rows(state.population.item_vector, candidates)
        cell = segment.unsqueeze(2) * config.num_items + candidates
        score = (vector @ taste.unsqueeze(3)).squeeze(3) / config.temperature + gather_rows(boosts.flatten(1), cell)
    return constants.mechanisms.scored(state, users, candidates, score)


def _slate(constants: MarketConstants, state: State, score: Tensor, candidates: Tensor | None, offset: int,
           first: Tensor | None) -> Slate:
    """Slates drawn by these scores of candidates; noise as in ``draw``."""
    size = constants.config.slate_size
    drawing = draw if kernels.usable(score) else DRAW_SLATES
    index, shown, log_propensity = drawing(score, state.key, state.time, offset, first, size)
    return Slate(index if candidates is None else candidates.gather(-1, index), shown, log_propensity)
