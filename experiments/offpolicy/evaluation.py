"""Estimates with what is needed to judge them: an interval, how much data they rest on, and a warning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from interplay.experiments.common.progress import advance, progress
from interplay.experiments.common.statistics import Estimate, check_finite
from interplay.experiments.common.tables import table
from interplay.experiments.offpolicy.estimators import (
    ESTIMATORS,
    Case,
    Estimator,
    Terms,
    clip_bound,
    make_case,
    mrdr_weight,
)
from interplay.experiments.offpolicy.feedback import BanditFeedback, Floats, Integers, units_of
from interplay.experiments.offpolicy.reward_models import cross_fitted

_RESAMPLES = 1_000

# When the log says too little of the target, or says it wrongly; judged by the weights before any clipping.
_FEW_ROUNDS = 100.0  # effective rounds
_SMALL_SHARE = 0.01  # of the rounds are effective
_LARGE_WEIGHT = 0.1  # of all weight is in one round
_MOST = 0.9  # of the rounds are effective: a log that is small has no lack of overlap
_FAR = 4.0  # standard errors of the mean weight from 1
_UNEQUAL = 0.05  # and this far from it
_FEW_UNITS = 20  # below it a bootstrap's intervals cover less than 93 %, see results/intervals

_NARROW = {name: f"the interval is too narrow: it held the truth in {share} of 100 logs of town, whose values are not "
                 "linear" for name, share in (("fitted Q", 77), ("weighted fitted Q", 90))}


class Evaluation(NamedTuple):
    """One estimator's estimate of a target policy.

    Attributes:
        name: of the estimator.
        estimate: the value, in units of the reward, and its 95 % percentile-bootstrap interval over rounds, or over
            units of rounds that were drawn together. The reward model is not fitted again in each resample. Its error
            is in the interval only where the rounds' corrections show it, so where there are none, as in DM, there is
            no interval.
        effective_size: (sum w)^2 / sum w^2 of the weights as used, in rounds (Kish 1965); DM's are the log's.
        clipped: share of rounds whose weight is above the bound of clipped IPS, also for estimators that do not clip.
        warning: why the log says too little of the target, or says it wrongly; empty if nothing seems wrong.
        note: what must be known of this estimator's value and interval; empty if nothing.
    """

    name: str
    estimate: Estimate
    effective_size: float
    clipped: float
    warning: str
    note: str = ""


def evaluate_policy(feedback: BanditFeedback, policy: Floats, folds: int = 3, ridge: float = 1.0, seed: int = 0,
                    estimators: Mapping[str, Estimator] = ESTIMATORS) -> list[Evaluation]:
    """All estimates of a target policy's expected reward for each round.

    Args:
        feedback: the log.
        policy: float64 ``[N, A]``, the target's probability of each action in each round.
        folds: of the reward models, see ``cross_fitted``.
        ridge: of the reward models.
        seed: of folds and bootstrap.
        estimators: by name.

    Raises:
        InterplayError: ``policy`` is no policy for these rounds, or folds are too many.
    """
    model = cross_fitted(feedback, folds, ridge, seed)
    weight = mrdr_weight(feedback, policy)
    check_finite(weight, "weights of MRDR", "correct the propensities, of which the lowest is "
                 f"{feedback.propensity.min():.3g}")
    robust = cross_fitted(feedback, folds, ridge, seed, weight)
    return evaluate_case(make_case(feedback, policy, model, robust), estimators, seed, unit=feedback.unit)


def evaluate_case(case: Case, estimators: Mapping[str, Estimator] = ESTIMATORS, seed: int = 0,
                  bound: float | None = None, unit: Integers | None = None) -> list[Evaluation]:
    """What each of ``estimators`` says; all from the same resamples. See ``evaluate_terms``."""
    terms = {name: estimator(case) for name, estimator in estimators.items()}
    return evaluate_terms(terms, case.weight, case.reward, seed, bound, unit)


def evaluate_terms(terms: Mapping[str, Terms], weight: Floats, reward: Floats | None = None, seed: int = 0,
                   bound: float | None = None, unit: Integers | None = None) -> list[Evaluation]:
    """The same from terms.

    Args:
        terms: of each estimator, by its name.
        weight: float64 ``[N]``, the importance weights of the log.
        reward: float64 ``[N]``; None = not to be judged.
        seed: of the bootstrap.
        bound: above which weights count as clipped; None = sqrt(N).
        unit: int64 ``[N]``, what is resampled, as in ``BanditFeedback.unit``; None = each row.
    """
    check_finite(weight, "importance weights", "correct the propensities or the target")
    for name, t in terms.items():
        check_finite([t.direct, t.correction, t.normaliser], f"terms of {name}", "correct the rewards or the policy")
    intervals = bootstrap(list(terms.values()), seed, unit)
    bound = clip_bound(weight) if bound is None else bound
    clipped = float((weight > bound).mean())
    warning = "; ".join(filter(None, (weight_warning(weight, unit), overlap_warning(weight), size_warning(weight, unit),
                                      "" if reward is None else spread_warning(weight, reward))))
    return [Evaluation(name, Estimate(t.value, interval if t.correction.any() else None), effective_size(t.weight),
                       clipped, warning, _note(name, t, clipped, bound))
            for (name, t), interval in zip(terms.items(), intervals, strict=True)]


def _note(name: str, terms: Terms, clipped: float, bound: float) -> str:
    if terms.direct.any() and not terms.correction.any():
        return "no interval: resampling does not show how wrong the reward model is"
    if name == "clipped IPS":
        return (f"weights above {bound:,.4g} are cut, and the interval does not know of that bias" if clipped > 0.0
                else f"equal to IPS: no weight is above {bound:,.4g}")
    return _NARROW.get(name, "")


def bootstrap(all_terms: list[Terms], seed: int, unit: Integers | None = None) -> list[tuple[float, float]]:
    """95 % percentile intervals, over resamples with replacement of rounds, or of units with all their rounds."""
    columns = [column for t in all_terms for column in (t.direct, t.correction, t.normaliser)]
    number, size = units_of(unit, len(columns[0]))
    columns.append(np.ones_like(columns[0]))
    totals: Floats = np.column_stack(columns if unit is None else [np.bincount(number, column) for column in columns])
    rng = np.random.default_rng(seed)
    with progress("intervals", _RESAMPLES):
        sums = np.stack([_resampled(rng, size, totals) for _ in range(_RESAMPLES)])
    direct, correction, total = np.moveaxis(sums[:, :-1].reshape(_RESAMPLES, len(all_terms), 3), 2, 0)
    # A resample without any weight corrects nothing, as in Terms.value.
    values = direct / sums[:, -1:] + np.divide(correction, total, out=np.zeros_like(total), where=total > 0.0)
    low, high = np.quantile(values, [0.025, 0.975], axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _resampled(rng: np.random.Generator, size: int, totals: Floats) -> Floats:
    """Sums over one resample of the units."""
    sums: Floats = np.bincount(rng.integers(size, size=size), minlength=size) @ totals
    advance()
    return sums


def effective_size(weight: Floats) -> float:
    """(sum w)^2 / sum w^2, the rounds that weights are worth; 0 where there is no weight (Kish 1965)."""
    squares = (weight**2).sum()
    return float(weight.sum() ** 2 / squares) if squares > 0.0 else 0.0


def weight_warning(weight: Floats, unit: Integers | None = None) -> str:
    """What a mean of the weights ``[N]`` says that is not 1 within chance; empty if it is.

    Its expectation is 1 if propensities are right, the target is a distribution and the log has all that it does.
    What the log lacks can only lower it.
    """
    mean, error = float(weight.mean()), _standard_error(weight, unit)
    off = abs(mean - 1.0)
    if mean == 0.0 or off <= max(_UNEQUAL, _FAR * error):
        return ""
    cause = ("propensities are too low, or the target's probabilities add up to more than 1" if mean > 1.0 else
             "propensities are too high, or the target does what the log never does")
    return f"mean weight {mean:.2f}, not 1: {cause}"


def _standard_error(weight: Floats, unit: Integers | None) -> float:
    """Of the mean weight, if the units were drawn independently."""
    number, size = units_of(unit, len(weight))
    apart = np.bincount(number, weight - weight.mean(), size)
    return float(np.sqrt(np.square(apart).sum()) / len(weight))


def overlap_warning(weight: Floats) -> str:
    """That few of the rounds count for a target, by their weights ``[N]``; empty if enough do."""
    size, count = effective_size(weight), len(weight)
    if weight.max() == 0.0:
        return "no overlap: the log has nothing that the target does"
    reasons = [f"{size:.0f} effective of {count:,} rounds"] if size < _SMALL_SHARE * count or (
        size < _FEW_ROUNDS and size < _MOST * count) else []
    if weight.max() > _LARGE_WEIGHT * weight.sum() and count > 1.0 / _LARGE_WEIGHT:
        reasons.append(f"one round has {weight.max() / weight.sum():.0%} of the weight")
    return "little overlap: " + ", ".join(reasons) if reasons else ""


def size_warning(weight: Floats, unit: Integers | None = None) -> str:
    """That too few were drawn independently for a bootstrap; empty if there are enough."""
    size = units_of(unit, len(weight))[1]
    what = "rounds" if unit is None else "units"
    return f"only {size} {what}: intervals are too narrow" if size < _FEW_UNITS else ""


def spread_warning(weight: Floats, reward: Floats) -> str:
    """A warning if rewards ``[N]`` do not vary where weights ``[N]`` are above 0: resampling gives no interval then."""
    counted = reward[weight > 0.0]
    if len(counted) == 0 or counted.min() < counted.max():
        return ""
    return f"no spread: all {len(counted):,} rounds with a weight have the reward {counted[0]:g}"


HEADER = ("estimator", "value", "95 % interval", "effective size", "clipped", "note", "warning")


def evaluation_table(evaluations: list[Evaluation]) -> str:
    """One row for each estimate, in Markdown."""
    return table(HEADER, [_row(e) for e in evaluations])


def _row(found: Evaluation) -> list[str]:
    interval = "-" if found.estimate.ci95 is None else "[{:.5f}, {:.5f}]".format(*found.estimate.ci95)
    return [found.name, f"{found.estimate.mean:.5f}", interval, f"{found.effective_size:,.1f}",
            f"{found.clipped:.2%}", found.note, found.warning]
