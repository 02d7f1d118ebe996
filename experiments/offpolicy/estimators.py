"""Estimators of what a target policy would have earned, each one small pure function of the same few columns.

Every one is ``mean(direct) + sum(correction) / sum(normaliser)`` over rounds, with columns of its own. So one bootstrap
serves them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from interplay.experiments.offpolicy.feedback import BanditFeedback, Floats, check_policy


class Case(NamedTuple):
    """A log seen from a target policy. ``N`` rounds, or episodes, that were drawn independently.

    Attributes:
        weight: float64 ``[N]``, the target's probability of what was done over the logging policy's.
        reward: float64 ``[N]``.
        predicted: float64 ``[N]``, a model's reward of what was done; 0 where there is no model.
        direct: float64 ``[N]``, a model's reward of what the target would do; 0 where there is no model.
        robust_predicted, robust_direct: the same of the model fitted for MRDR.
    """

    weight: Floats
    reward: Floats
    predicted: Floats
    direct: Floats
    robust_predicted: Floats
    robust_direct: Floats


class Terms(NamedTuple):
    """An estimate in parts: ``mean(direct) + sum(correction) / sum(normaliser)``.

    Attributes:
        direct, correction, normaliser: float64 ``[N]``.
        weight: float64 ``[N]``, the importance weights as they were used; those that the log has where none were.
    """

    direct: Floats
    correction: Floats
    normaliser: Floats
    weight: Floats

    @property
    def value(self) -> float:
        """The estimate."""
        total = self.normaliser.sum()
        return float(self.direct.mean() + (self.correction.sum() / total if total > 0.0 else 0.0))


Estimator = Callable[[Case], Terms]


def make_case(feedback: BanditFeedback, policy: Floats, model: Floats, robust: Floats | None = None) -> Case:
    """The columns that estimators need.

    Args:
        feedback: the log.
        policy: float64 ``[N, A]``, the target's probability of each action in each round.
        model: float64 ``[N, A]``, expected rewards, cross-fitted.
        robust: the same from the model of MRDR; None = ``model``.

    Raises:
        InterplayError: ``policy`` is no policy for these rounds.
    """
    check_policy(policy, feedback)
    robust = model if robust is None else robust
    rows = np.arange(len(feedback))
    taken = (rows, feedback.action)
    return Case(policy[taken] / feedback.propensity, feedback.reward, model[taken], (policy * model).sum(1),
                robust[taken], (policy * robust).sum(1))


def mrdr_weight(feedback: BanditFeedback, policy: Floats) -> Floats:
    """Rounds' weights in the least squares that make the doubly robust estimator vary least, float64 ``[N]``.

    ``pi^2 (1 - p) / p^2`` with the target's probability pi and the propensity p, of what was done: the diagonal of
    the variance in Farajtabar et al., "More robust doubly robust off-policy evaluation" (ICML 2018), section 4. For
    a target that always does one thing that is all of it; for others the products of two actions are left out, which
    costs efficiency and adds no bias.
    """
    done = policy[np.arange(len(feedback)), feedback.action]
    with np.errstate(over="ignore", divide="ignore"):
        weight: Floats = (done / feedback.propensity) ** 2 * (1.0 - feedback.propensity)
    return weight


def direct_method(case: Case) -> Terms:
    """DM: the model's prediction for the target. It is as good as the model, and has no variance from weights."""
    none = np.zeros_like(case.reward)
    return Terms(case.direct, none, np.ones_like(none), case.weight)


def ips(case: Case) -> Terms:
    """Inverse propensity scoring (Horvitz and Thompson 1952): unbiased if the log covers all that the target does."""
    return _weighted(case, case.weight)


def clipped_ips(case: Case, bound: float | None = None) -> Terms:
    """IPS with weights of at most ``bound``; by default sqrt(N), which keeps it consistent (Ionides 2008, section 2).

    With that bound it is equal to IPS unless overlap is poor. Bound 0 leaves nothing, infinity leaves IPS.
    """
    bound = clip_bound(case.weight) if bound is None else bound
    return _weighted(case, np.minimum(case.weight, bound))


def snips(case: Case) -> Terms:
    """Self-normalised IPS: divided by the weights' sum, not by N (Swaminathan and Joachims, NeurIPS 2015)."""
    return _weighted(case, case.weight, case.weight)


def doubly_robust(case: Case) -> Terms:
    """DR: the model, corrected by IPS of its errors (Dudík et al., ICML 2011). Unbiased if propensities are right."""
    return _corrected(case, case.weight)


def self_normalised_dr(case: Case) -> Terms:
    """SNDR: the same with the correction divided by the weights' sum."""
    return _corrected(case, case.weight, case.weight)


def shrunk_dr(case: Case, shrinkage: float | None = None) -> Terms:
    """DRos: DR with weights w turned to ``s w / (w^2 + s)`` (Su et al., ICML 2020, section 3.2, optimistic).

    Args:
        case: the columns.
        shrinkage: s; 0 leaves DM, infinity DR. None = the s of least estimated squared error: the variance, and the
            squared upper bound of the bias that the shrinking makes (the same paper, section 4).
    """
    weight = case.weight
    return _corrected(case, shrunk(weight, best_shrinkage(case) if shrinkage is None else shrinkage))


def more_robust_dr(case: Case) -> Terms:
    """MRDR: DR with the model that makes it vary least (Farajtabar et al., ICML 2018); see ``mrdr_weight``."""
    return doubly_robust(case._replace(predicted=case.robust_predicted, direct=case.robust_direct))


ESTIMATORS: dict[str, Estimator] = {
    "DM": direct_method, "IPS": ips, "clipped IPS": clipped_ips, "SNIPS": snips, "DR": doubly_robust,
    "SNDR": self_normalised_dr, "DRos": shrunk_dr, "MRDR": more_robust_dr}
"""All estimators of a contextual bandit, by the name that tables give them."""

WEIGHTING: dict[str, Estimator] = {"IPS": ips, "clipped IPS": clipped_ips, "SNIPS": snips}
"""Those that need no reward model."""


def clip_bound(weight: Floats) -> float:
    """sqrt(N), the bound of clipped IPS."""
    return float(np.sqrt(len(weight)))


def shrunk(weight: Floats, shrinkage: float) -> Floats:
    """``s w / (w^2 + s)``, float64 ``[N]``."""
    if np.isinf(shrinkage):
        return weight
    least: Floats = shrinkage * weight / np.maximum(weight**2 + shrinkage, np.finfo(float).tiny)
    return least


def best_shrinkage(case: Case) -> float:
    """The s of DRos with the least estimated squared error, among none, all, and 30 that span the weights."""
    positive = case.weight[case.weight > 0.0]
    if len(positive) == 0:
        return 0.0
    grid = [0.0, *np.geomspace(0.1 * positive.min() ** 2, 10.0 * positive.max() ** 2, 30), np.inf]
    return float(min(grid, key=lambda s: _squared_error(case, s)))


def _squared_error(case: Case, shrinkage: float) -> float:
    """Estimated variance of DRos, and its bias, squared, at its upper 95 % bound."""
    wrong, weight = case.reward - case.predicted, shrunk(case.weight, shrinkage)
    lost = (case.weight - weight) * wrong
    bias = abs(lost.mean()) + 1.645 * lost.std() / np.sqrt(len(lost))
    return float(bias**2 + (case.direct + weight * wrong).var() / len(wrong))


def _weighted(case: Case, weight: Floats, normaliser: Floats | None = None) -> Terms:
    ones = np.ones_like(weight)
    return Terms(0.0 * ones, weight * case.reward, ones if normaliser is None else normaliser, weight)


def _corrected(case: Case, weight: Floats, normaliser: Floats | None = None) -> Terms:
    terms = _weighted(case, weight, normaliser)
    return terms._replace(direct=case.direct, correction=weight * (case.reward - case.predicted))
