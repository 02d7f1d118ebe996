"""Slates: retrieve candidates for each segment, then draw each user's slate from them."""

from __future__ import annotations

import torch
from torch import Tensor

from interplay.envs import kernels
from interplay.envs.kernels import edges, top_k
from interplay.envs.noise import Stream, gumbel
from interplay.envs.rules import Rules
from interplay.envs.world import Slate, State, take

_CHUNK = 1 << 22  # scores held at once while users are ranked: 16 MiB of float32


def plackett_luce(score: Tensor, noise: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw ordered slates without replacement, each next slot with probability softmax over what is left.

    Adding Gumbel noise and taking the top ``size`` is exactly that draw (Yellott 1977; Kool et al., "Stochastic
    beams and where to find them", ICML 2019).

    Args:
        score: float32 ``[..., M]``; -inf for what must not be shown.
        noise: standard Gumbel draws of the same shape.
        size: K.

    Returns:
        ``(index, valid, log_propensity)``: int64 ``[..., K]``, bool ``[..., K]`` (False where nothing was left
        to show) and float32 ``[...]``, the log-probability of the slate in its order.
    """
    top, index = top_k(score + noise, size)
    valid = top > -torch.inf
    chosen = score.gather(-1, index)
    rest = score.scatter(-1, index, -torch.inf).logsumexp(-1, keepdim=True)
    # Mass that is left when slot k is drawn: what no slot took, and what slots k.. take.
    left = torch.logaddexp(chosen.flip(-1).logcumsumexp(-1).flip(-1), rest)
    return index, valid, torch.where(valid, chosen - left, 0.0).sum(-1)


def log_boosts(rules: Rules, state: State) -> Tensor:
    """log x_i[c], float32 ``[B, C, I]``: 0 except in the segment that the item courts."""
    if kernels.usable(state.energy):
        return edges.log_boosts(rules, state)
    worlds, items = state.energy.shape
    boosts = state.energy.new_zeros(worlds, rules.config.num_segments, items)
    return boosts.scatter_(1, state.boost_segment.unsqueeze(1), rules.log_factor.take(state.boost_level).unsqueeze(1))


def segment_means(rules: Rules, state: State) -> Tensor:
    """Mean taste of each segment, float32 ``[B, C, D]``."""
    segments = state.population.segments(rules.config.num_segments)
    return segments.member.bmm(state.user_vector).div_(segments.divisor.unsqueeze(2))


def build_slates(rules: Rules, state: State) -> Slate:
    """The slates that users choose from next (README, step 5).

    Args:
        rules: the market's.
        state: the worlds, with boosts and budgets already up to date; its old slate is not read.
    """
    config = rules.config
    if config.slate_order == "fixed":
        return _fixed(rules, state)
    if rules.lists is None and kernels.usable(state.energy):
        return _drawn(rules, state)
    boosts = log_boosts(rules, state)
    retrieved = _retrieve(rules, state, boosts)
    num_worlds, width = state.key.shape[0], num_candidates(rules)
    each = config.num_items if _dense(rules, width) else width * config.embedding_size
    chunk = max(1, _CHUNK // (num_worlds * each))
    parts = [_rank(rules, state, boosts, retrieved, slice(u, min(u + chunk, config.num_users)))
             for u in range(0, config.num_users, chunk)]
    return Slate(*(torch.cat(column, dim=1) for column in zip(*parts, strict=True)))


def _drawn(rules: Rules, state: State) -> Slate:
    """The same slates by the kernel, but those that it leaves to torch.

    These are drawn for one user at a time. Torch may add up products of one user in another order than those of all,
    so that where two values are within a rounding of each other, all at once could still have given the other.
    """
    retrieved = _retrieve(rules, state, log_boosts(rules, state)) if _retrieves(rules) else None
    slate, close = edges.draw_slates(rules, state, retrieved)
    for world, user in close:
        one = state.of_one(world)
        exact = _rank(rules, one, log_boosts(rules, one), None if retrieved is None else retrieved[world:world + 1],
                      slice(user, user + 1))
        for column, values in zip(slate.tensors(), exact, strict=True):
            column[world, user] = values[0, 0]
    return slate


def num_candidates(rules: Rules) -> int:
    """M, how many items each user's slate is filled from."""
    if rules.lists is not None:
        return rules.lists[0].shape[1]
    return rules.config.num_candidates if _retrieves(rules) else rules.config.num_items


def draws_of_slates(rules: Rules) -> int:
    """Draws of noise of one world that its next slates take."""
    return 0 if rules.config.slate_order == "fixed" else rules.config.num_users * num_candidates(rules)


def candidates_of(rules: Rules, state: State) -> Slate:
    """Everything that users' next slates could hold, as one long slate ``[B, U, M]`` in no particular order."""
    retrieved = _retrieve(rules, state, log_boosts(rules, state))
    segment = state.population.segment
    items = _candidates(rules, retrieved, segment, slice(None))
    if items is None:
        items = torch.arange(rules.config.num_items, device=segment.device).expand(*segment.shape, -1)
    valid = take(state.alive, items)
    if rules.lists is not None:
        valid = valid & rules.lists[1]
    return Slate(items, valid, torch.full_like(state.mood, torch.nan))


def filled(candidates: Slate, slots: Tensor) -> Slate:
    """The slates that a platform fills: candidates by number, from 1, in ``slots`` int64 ``[B, U, K]``.

    A slot is left empty by 0, by a candidate that is not valid, and by one that stands in an earlier slot.
    """
    index = (slots - 1).clamp(0, candidates.items.shape[2] - 1)
    good = (slots - 1 == index) & candidates.valid.gather(2, index)
    earlier = (index.unsqueeze(3) == index.unsqueeze(2)).tril(-1) & good.unsqueeze(2)
    return Slate(candidates.items.gather(2, index), good & ~earlier.any(3), candidates.log_propensity)


def _retrieves(rules: Rules) -> bool:
    """Whether each segment's candidates are chosen first."""
    return rules.lists is None and 0 < rules.config.num_candidates < rules.config.num_items


def _candidates(rules: Rules, retrieved: Tensor | None, segment: Tensor, users: slice) -> Tensor | None:
    """Numbers of the items that ``users``, in their ``segment [B, U']``, may be shown: ``[B, U', M]``; None = all."""
    if retrieved is not None:
        return take(retrieved, segment)
    return None if rules.lists is None else rules.lists[0][users].expand(segment.shape[0], -1, -1)


def _dense(rules: Rules, width: int) -> bool:
    """Whether scoring all items is cheaper than gathering the vectors of ``width`` candidates for each user."""
    return rules.config.num_items <= width * rules.config.embedding_size


def _fixed(rules: Rules, state: State) -> Slate:
    config = rules.config
    shape = (state.key.shape[0], config.num_users, config.slate_size)
    items = torch.arange(config.num_items, device=state.key.device).expand(shape)
    return Slate(items, state.alive.unsqueeze(1).expand(shape), torch.zeros_like(state.mood))


def _retrieve(rules: Rules, state: State, boosts: Tensor) -> Tensor | None:
    """The M items of each segment that suit its mean taste best, boosts counted: int64 ``[B, C, M]``; None = all."""
    if not _retrieves(rules):
        return None
    config = rules.config
    score = segment_means(rules, state) @ state.population.item_vector.transpose(1, 2) / config.temperature + boosts
    return score.masked_fill(~state.alive.unsqueeze(1), -torch.inf).topk(config.num_candidates, dim=-1).indices


def _rank(rules: Rules, state: State, boosts: Tensor, retrieved: Tensor | None,
          users: slice) -> tuple[Tensor, Tensor, Tensor]:
    """Slates of some of the users, from all items, from their segment's candidates or from their own list."""
    config, lists = rules.config, rules.lists
    taste, segment = state.user_vector[:, users], state.population.segment[:, users]
    count = segment.shape[1]
    candidates = _candidates(rules, retrieved, segment, users)
    if candidates is None or _dense(rules, candidates.shape[2]):
        score = taste @ state.population.item_vector.transpose(1, 2) / config.temperature + take(boosts, segment)
        score = score.masked_fill(~state.alive.unsqueeze(1), -torch.inf)
        score = score if candidates is None else score.gather(2, candidates)
    else:
        vector = take(state.population.item_vector, candidates)
        cell = segment.unsqueeze(2) * config.num_items + candidates
        score = (vector @ taste.unsqueeze(3)).squeeze(3) / config.temperature + take(boosts.flatten(1), cell)
        score = score.masked_fill(~take(state.alive, candidates), -torch.inf)
    if lists is not None:
        score = score.masked_fill(~lists[1][users], -torch.inf)
    width = score.shape[-1]
    noise = gumbel(state.key, state.time, Stream.SLATE, (count, width), offset=users.start * width)
    index, valid, log_propensity = plackett_luce(score, noise, config.slate_size)
    if candidates is not None:
        index = candidates.gather(-1, index)
    return index, valid, log_propensity
