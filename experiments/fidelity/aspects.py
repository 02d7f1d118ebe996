"""The compared aspects: each makes a distribution of a trace, and measures the distance of two of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import wasserstein_distance

from interplay.experiments.common.statistics import gini
from interplay.experiments.fidelity.trace import Floats, Ints, Trace


class Distribution(NamedTuple):
    """Values and their weights: float64 ``[n]`` and ``[n]``."""

    value: Floats
    weight: Floats

    @property
    def mean(self) -> float:
        """The weighted mean."""
        return float(np.average(self.value, weights=self.weight))


@dataclass(frozen=True)
class Aspect:
    """One way in which a market may or may not be like its log.

    Attributes:
        name: what it is called in tables.
        unit: what a value is.
        measure: name of the distance; Wasserstein-1 is in the unit of the values.
        of: the distribution of a trace in which user u counts ``weight[u]`` times; weights are whole numbers.
        apart: the distance of two distributions.
        figure: a number that summarises a distribution in tables, and its name.
        drawn: as what: a curve from the largest value down, a cumulative share, or a bar for each value.
    """

    name: str
    unit: str
    of: Callable[[Trace, Ints], Distribution]
    figure: tuple[str, Callable[[Distribution], float]]
    measure: str = "Wasserstein-1"
    apart: Callable[[Distribution, Distribution], float] = lambda a, b: wasserstein(a, b)
    drawn: Literal["ranked", "cumulative", "bars"] = "cumulative"


def wasserstein(a: Distribution, b: Distribution) -> float:
    """Wasserstein-1: the area between the two cumulative (or ranked) curves."""
    return float(wasserstein_distance(a.value, b.value, a.weight, b.weight))


def total_variation(a: Distribution, b: Distribution) -> float:
    """Half the summed difference of the two shares of each value (total variation)."""
    values = np.union1d(a.value, b.value)
    return float(0.5 * np.abs(_shares(a, values) - _shares(b, values)).sum())


def _shares(d: Distribution, values: Floats) -> Floats:
    """The share of each value; 0 of every one where there is no weight, as in a resample without a click."""
    weight = np.bincount(np.searchsorted(values, d.value), weights=d.weight, minlength=len(values))
    return np.asarray(weight / (weight.sum() or 1.0))


def _popularity(trace: Trace, weight: Ints) -> Distribution:
    """Over the mean: catalogues and traces of other sizes then compare.

    Where each world has items of its own, a world that counts twice has two items for one, not one with twice as much.
    """
    nested = trace.item_owner is not None
    row = np.ones(len(trace)) if nested else weight[trace.user]
    count = np.bincount(trace.item, weights=row, minlength=trace.num_items)
    item = weight[trace.item_owner].astype(np.float64) if nested else np.ones(trace.num_items)
    return Distribution(count / np.average(count, weights=item), item)


def _activity(trace: Trace, weight: Ints) -> Distribution:
    """Over the mean, since how many episodes are played decides the mean itself."""
    mean = float(np.average(trace.activity, weights=weight))
    return Distribution(trace.activity / mean, weight.astype(np.float64))


def _session_length(trace: Trace, weight: Ints) -> Distribution:
    length, user = trace.sessions
    return Distribution(length.astype(np.float64), weight[user].astype(np.float64))


def _rewards(trace: Trace, weight: Ints) -> Distribution:
    level, place = trace.levels
    return Distribution(level, np.bincount(place, weights=weight[trace.user], minlength=len(level)).astype(np.float64))


def _repeats(trace: Trace, weight: Ints) -> Distribution:
    again = np.bincount(trace.user, weights=trace.repeated, minlength=trace.num_users)
    return Distribution(again / np.maximum(trace.activity, 1), np.where(trace.activity > 0, weight, 0).astype(float))


def _breadth(trace: Trace, weight: Ints) -> Distribution:
    some = trace.activity > 0
    return Distribution(np.where(some, trace.topic_breadth, 0.0), np.where(some, weight, 0).astype(float))


def _positions(trace: Trace, weight: Ints) -> Distribution:
    """Each slot's share of all reward, such as clicks."""
    assert trace.position is not None
    earned = np.bincount(trace.position, weights=trace.reward * weight[trace.user])
    return Distribution(np.arange(1.0, len(earned)), earned[1:].astype(np.float64))


def _gini(d: Distribution) -> float:
    """Of whole-number weights."""
    return gini(np.repeat(d.value, d.weight.astype(np.int64)))


def _share_of_first(d: Distribution) -> float:
    return float(d.weight[0] / d.weight.sum())


POPULARITY = Aspect("popularity", "responses of an item / mean", _popularity, ("Gini", _gini), drawn="ranked")
ACTIVITY = Aspect("user activity", "responses of a user / mean", _activity, ("Gini", _gini), drawn="ranked")
SESSIONS = Aspect("session length", "responses of a session", _session_length, ("mean", lambda d: d.mean))
REWARDS = Aspect("rewards", "reward, log's range = [0, 1]", _rewards, ("mean", lambda d: d.mean))
REPEATS = Aspect("repeats", "share of a user's responses to items taken before", _repeats, ("mean", lambda d: d.mean))
DIVERSITY = Aspect("topic diversity", "effective topics of a user / topics", _breadth, ("mean", lambda d: d.mean))
POSITIONS = Aspect("positions", "slot", _positions, ("share of slot 1", _share_of_first), "total variation",
                   total_variation, "bars")


def comparable(log: Trace, market: Trace) -> tuple[list[Aspect], dict[str, str]]:
    """The aspects that both have, and the reason for each that is left out."""
    missing = {}
    for aspect, what, attribute in ((DIVERSITY, "topics", "topics"), (POSITIONS, "positions", "position")):
        for source, trace in (("log", log), ("market", market)):
            if getattr(trace, attribute) is None:
                missing[aspect.name] = f"the {source} has no {what}"
                break
        else:
            if aspect is POSITIONS and not (log.reward.sum() > 0.0 and market.reward.sum() > 0.0):
                missing[aspect.name] = "nothing was earned in any slot"
    every = [POPULARITY, ACTIVITY, SESSIONS, REWARDS, REPEATS, DIVERSITY, POSITIONS]
    return [aspect for aspect in every if aspect.name not in missing], missing
