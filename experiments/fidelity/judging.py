"""The distance of a market from its log, beside distances between resamples of the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from interplay.envs.types import InterplayError
from interplay.experiments.common.progress import each
from interplay.experiments.common.statistics import check_finite
from interplay.experiments.fidelity.aspects import Aspect, Distribution
from interplay.experiments.fidelity.trace import Ints, Trace


@dataclass(frozen=True, eq=False)
class Finding:
    """The comparison in one aspect.

    Attributes:
        aspect: which one.
        log, market: its distributions.
        distance: of the two.
        noise: the 2.5 % and 97.5 % quantiles of the distance of two resamples of the log.
        resamples: distributions of the first resamples, for pictures.
    """

    aspect: Aspect
    log: Distribution
    market: Distribution
    distance: float
    noise: tuple[float, float]
    resamples: tuple[Distribution, ...]

    @property
    def within(self) -> bool:
        """Whether the market is no farther from the log than resamples of the log are from each other."""
        return self.distance <= self.noise[1]


_DRAWN = 40  # resamples that are kept for pictures


def judge(aspects: Sequence[Aspect], log: Trace, market: Trace, resamples: int, seed: int) -> list[Finding]:
    """Compare the market with the log in every aspect.

    What would be no difference at all is measured on the log alone, by the cluster bootstrap (Field and Welsh,
    "Bootstrapping clustered data", JRSS B 2007): whole users are drawn with replacement, since rows of one user hang
    together, or whole worlds where the log was written by several (``Trace.cluster``). One resample has as many users
    as the log, the other as many as the market, so that a small market is allowed the noise of its size.

    Args:
        aspects: that both have.
        log: its trace.
        market: the one that it is compared with.
        resamples: pairs of resamples, at least 20.
        seed: of the bootstrap.

    Raises:
        InterplayError: too few resamples, or rewards that are not finite.
    """
    if resamples < 20:
        raise InterplayError(f"resamples={resamples} must be at least 20, since quantiles of fewer mean nothing")
    for trace, what in ((log, "log"), (market, "market")):
        check_finite(trace.reward, f"rewards of the {what}", "correct them")
    rng = np.random.default_rng(seed)
    share = market.num_users / log.num_users
    pairs = [(_drawn(log, 1.0, rng), _drawn(log, share, rng)) for _ in range(resamples)]
    return [_finding(aspect, log, market, pairs) for aspect in each(aspects, "resamples of the log")]


def _drawn(log: Trace, share: float, rng: np.random.Generator) -> Ints:
    """How often each user is in a resample with ``share`` times as many users (or worlds), int64 ``[U]``."""
    cluster = np.arange(log.num_users) if log.cluster is None else log.cluster
    number = int(cluster.max()) + 1
    times = np.bincount(rng.integers(0, number, max(1, round(share * number))), minlength=number)
    return times[cluster]


def _finding(aspect: Aspect, log: Trace, market: Trace, pairs: Sequence[tuple[Ints, Ints]]) -> Finding:
    real, made = (aspect.of(trace, np.ones(trace.num_users, dtype=np.int64)) for trace in (log, market))
    noise, kept = [], []
    for weights in pairs:
        a, b = (aspect.of(log, weight) for weight in weights)
        noise.append(aspect.apart(a, b))
        kept.append(a)
    low, high = np.quantile(noise, [0.025, 0.975])
    return Finding(aspect, real, made, aspect.apart(real, made), (float(low), float(high)), tuple(kept[:_DRAWN]))
