"""Off-policy evaluation of slates that were drawn by Plackett-Luce, as the market draws them.

A slate is one action, with the probability of all its slots in their order (``State.slate.log_propensity``). So weights
multiply over slots, and the target must not be far from the log's policy. No reward model is made of slates: the
estimators are those of ``WEIGHTING``.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import Tensor

from interplay.envs.constants import MarketConstants
from interplay.envs.indexing import gather_rows
from interplay.envs.slates import candidates_of, log_boosts
from interplay.envs.types import InterplayError
from interplay.envs.world import Slate, State
from interplay.experiments.offpolicy.estimators import Case
from interplay.experiments.offpolicy.feedback import Floats, Integers


def plackett_luce_log_probability(score: Floats, slate: Integers, valid: NDArray[np.bool_] | None = None) -> Floats:
    """Log-probability of ordered slates: each next slot is drawn from softmax over what is left (Luce 1959).

    Args:
        score: float64 ``[N, I]``; -inf for what must not be shown.
        slate: int64 ``[N, K]``, the item in each slot.
        valid: bool ``[N, K]``, False for slots with nothing in them, behind all others; None = all are filled.

    Returns:
        float64 ``[N]``; -inf for a slate that shows what must not be shown.

    Raises:
        InterplayError: an item stands in two slots of a slate.
    """
    valid = np.ones(slate.shape, dtype=np.bool_) if valid is None else valid
    rows, left, total = np.arange(len(slate)), score.astype(np.float64), np.zeros(len(slate))
    possible = np.ones(len(slate), dtype=np.bool_)
    for k in range(slate.shape[1]):
        if (valid[:, k, None] & valid[:, :k] & (slate[:, :k] == slate[:, k, None])).any():
            raise InterplayError(f"slate: an item of slot {k + 1} stands in an earlier slot of its slate too: show "
                                 "each item once")
        chosen = left[rows, slate[:, k]]
        possible &= ~valid[:, k] | np.isfinite(chosen)
        drawn = valid[:, k] & possible
        total[drawn] += chosen[drawn] - logsumexp(left[drawn], axis=1)
        left[rows[valid[:, k]], slate[valid[:, k], k]] = -np.inf
    return np.where(possible, total, -np.inf)


def drawn_log_probability(constants: MarketConstants, state: State, slate: Slate) -> Floats:
    """Log-probability of slates where the market itself draws them, float64 ``[B * U]``.

    Args:
        constants: of the market that is asked; its slates must be ranked, not in a fixed order.
        state: the worlds that slates were filled in.
        slate: the slates, of any policy.
    """
    items, valid = (x.flatten(0, 1).cpu().numpy() for x in (slate.items, slate.valid))
    return plackett_luce_log_probability(_draw_scores(constants, state).flatten(0, 1).cpu().numpy(), items, valid)


def _draw_scores(constants: MarketConstants, state: State) -> Tensor:
    """The scores of the draw, float32 ``[B, U, I]``: -inf for items that could not be shown."""
    score = state.user_vector @ state.population.item_vector.transpose(1, 2) / constants.config.temperature
    could = candidates_of(constants, state)
    # Added up, since lists of unequal length are padded with some item's number.
    shown = torch.zeros_like(score).scatter_add_(2, could.items, could.valid.to(score.dtype)) > 0.0
    return (score + gather_rows(log_boosts(constants, state), state.population.segment)).masked_fill(~shown, -torch.inf)


def slate_case(reward: Floats, log_propensity: Floats, log_probability: Floats, source: str = "slates") -> Case:
    """The columns that ``WEIGHTING`` needs.

    Args:
        reward: float64 ``[N]``, what each slate earned.
        log_propensity: float64 ``[N]``, of the slate under the policy that drew it.
        log_probability: float64 ``[N]``, of the same slate under the target.
        source: what errors call it.

    Raises:
        InterplayError: a slate has no propensity, since a platform filled it that does not know.
    """
    unknown = ~np.isfinite(log_propensity)
    if unknown.any():
        row = unknown.argmax()
        raise InterplayError(f"{source}: log_propensity is {log_propensity[row]} in row {row}: the platform that "
                             "filled it does not know its own; take slates of the market or of a platform that does, "
                             "such as `dqn` with `evaluate RUN --export ... --explore`, or give the platform's agent "
                             "an `offer`")
    none = np.zeros_like(reward)
    return Case(np.exp(log_probability - log_propensity), reward, none, none, none, none)
