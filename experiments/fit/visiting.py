"""Who comes how often, and for how long: hazards in discrete time.

The hazard of a length n is the probability to end after n steps, of what has lasted so long. Here it is the same within
bins whose bounds grow by a factor (piecewise constant hazards, Cox and Oakes 1984). A constant hazard is the geometric
distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from interplay.experiments.fit.rows import AWAY, Bools, Floats, Ints, Rows
from interplay.experiments.fit.scores import Score

_BINS = (0, 1, 2, 4, 8, 64)  # of each doubling of the length, that are tried for activity
_PRIORS = (1.0, 0.1, 0.01)  # ends at the overall rate that each bin starts from, that are tried
_SLICES = 256  # values that the market has for activity


@dataclass(frozen=True, eq=False)
class Hazard:
    """A distribution of lengths 1, 2, ...

    Attributes:
        bins: bins of each doubling: 1 = lengths 1, 2, 3 to 4, 5 to 8 and so on; 0 = one bin for all.
        rate: float64, the hazard in each bin; the last one holds for all that is longer.
        longest: lengths that are longer count as this, since nothing is known of them.
    """

    bins: int
    rate: Floats
    longest: int = 1 << 20

    def at(self, length: Ints) -> Floats:
        """The hazard of these lengths."""
        found: Floats = self.rate[np.minimum(_bin(length, self.bins), len(self.rate) - 1)]
        return found

    def log_likelihood(self, length: Ints, ended: Bools) -> Floats:
        """Of lengths that were reached; of those that have ended, that they did."""
        hazard = self.at(np.arange(1, int(length.max()) + 1))
        lasted = np.r_[0.0, np.cumsum(np.log1p(-hazard))]
        ending = np.log(np.maximum(hazard[length - 1], 1e-12))
        found: Floats = np.where(ended, lasted[length - 1] + ending, lasted[length])
        return found

    def slices(self, count: int) -> Floats:
        """Means of the distribution's ``count`` equal parts, ascending."""
        most = 1
        while np.log1p(-self.at(np.arange(1, most + 1))).sum() > -12.0 and most < self.longest:
            most *= 2
        hazard = self.at(np.arange(1, most + 1))
        hazard[-1] = 1.0
        reached = np.r_[1.0, np.cumprod(1.0 - hazard)]  # of at least 1, 2, ...
        edges = 1.0 - np.arange(count + 1) / count
        # The area under the curve of lengths over ranks: the mean of a slice is its part of it times ``count``.
        rank = np.r_[0.0, 1.0 - reached[1:]]
        area = np.r_[0.0, np.cumsum(np.arange(1, most + 1) * np.diff(rank))]
        found: Floats = np.diff(np.interp(1.0 - edges, rank, area)) * count
        return found


def fit_hazard(length: Ints, ended: Bools, bins: int, prior: float = 1.0) -> Hazard:
    """By maximum likelihood, with a little weight on the overall rate.

    Args:
        length: int64 ``[N]``, from 1.
        ended: bool ``[N]``; False for lengths of which it is known only that they were reached, without an end.
        bins: see ``Hazard``.
        prior: how many ends at the overall rate each bin starts from.
    """
    most = int(length.max())
    reached = np.bincount(length, minlength=most + 1)[::-1].cumsum()[::-1][1:]
    ends = np.bincount(length[ended], minlength=most + 1)[1:]
    place = _bin(np.arange(1, most + 1), bins)
    overall = ends.sum() / max(reached.sum(), 1)
    exposed, events = np.bincount(place, weights=reached), np.bincount(place, weights=ends)
    rate = np.zeros(len(exposed)) if overall == 0.0 else (events + prior) / (exposed + prior / overall)
    return Hazard(bins, rate.clip(0.0, 1.0 - 1e-6), 8 * most)


def _bin(length: Ints, bins: int) -> Ints:
    if bins == 0:
        return np.zeros_like(length)
    return np.ceil(np.log2(length) * bins - 1e-9).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Visits:
    """How users come and go.

    Attributes:
        activity: distribution of a user's rows.
        session: of the steps of a session, which the end of a user's activity ends too.
        return_rate: the hazard of an absence.
    """

    activity: Hazard
    session: Hazard
    return_rate: float

    def steps(self) -> tuple[float, ...]:
        """As the mechanism ``visits`` takes them."""
        return tuple(np.maximum(self.activity.slices(_SLICES), 1.0).tolist())

    def hazard(self) -> tuple[float, ...]:
        """As the mechanism ``visits`` takes it."""
        return tuple(self.session.rate.tolist())


def fit_visits(rows: Rows, seed: int) -> Visits:
    """Both hazards; the bins of activity are those that predict a fifth of the users best."""
    wanted = np.random.default_rng(seed).permutation(rows.num_users) < rows.num_users // 5
    length, ended = rows.lifetimes, ~rows.open_end
    known, unseen = (length[~wanted], ended[~wanted]), (length[wanted], ended[wanted])
    shape = (max(product(_BINS, _PRIORS), key=lambda shape: _mean(fit_hazard(*known, *shape), *unseen))
             if wanted.any() else (0, 1.0))
    return Visits(fit_hazard(length, ended, *shape), session_hazard(rows), _return_rate(rows))


def session_hazard(rows: Rows) -> Hazard:
    """Of sessions, by their length alone."""
    return fit_hazard(*sessions_of(rows), 1)


def _return_rate(rows: Rows) -> float:
    """How many absences end in a step of them, as if there were one more of two steps."""
    return float((rows.returned.sum() + 1.0) / (rows.absent.sum() + AWAY))


def _mean(hazard: Hazard, length: Ints, ended: Bools) -> float:
    return float(hazard.log_likelihood(length, ended).mean())


def sessions_of(rows: Rows) -> tuple[Ints, Bools]:
    """Steps of each session, and whether it ended while the user's activity went on: ``[S]`` and ``[S]``."""
    last = rows.ends != 0
    return rows.stay[last], rows.ends[last] == 1


def score_visits(visits: Visits, known: Rows, wanted: Rows) -> Sequence[Score]:
    """Of held-out users, beside geometric distributions."""
    ended = ~wanted.open_end
    simple = fit_hazard(known.lifetimes, ~known.open_end, 0)
    found = [Score("who comes how often", f"hazard, {visits.activity.bins} bins a doubling", "geometric",
                   wanted.num_users, _mean(visits.activity, wanted.lifetimes, ended),
                   _mean(simple, wanted.lifetimes, ended))]
    length, ended = sessions_of(wanted)
    if ended.any():
        simple = fit_hazard(*sessions_of(known), 0)
        found.append(Score("how long sessions are", "hazard, a bin for each doubling", "geometric", len(length),
                           _mean(visits.session, length, ended), _mean(simple, length, ended)))
    return found
