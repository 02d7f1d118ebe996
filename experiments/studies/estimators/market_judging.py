"""Three questions to a market's log, and how right the answers are.

step
    What each user earns in the last step if all choose there as the target does, after the logger chose before: the
    question of a contextual bandit.
episode
    What a user earns in all steps if only this user follows the target. Users affect each other through the items that
    they wear out and keep alive: if all followed the target, weights would be products over all users. The log cannot
    answer that.
slate
    What each user earns in the last step, choosing as logged, but from slates of another temperature.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from interplay.envs.types import InterplayError
from interplay.experiments.common.progress import each
from interplay.experiments.offpolicy.episodes import evaluate_episodes
from interplay.experiments.offpolicy.estimators import WEIGHTING
from interplay.experiments.offpolicy.evaluation import Evaluation, evaluate_case, evaluate_policy
from interplay.experiments.offpolicy.feedback import Floats
from interplay.experiments.studies.estimators.accuracy import Accuracy, accuracies
from interplay.experiments.studies.estimators.market import LoggedMarket, MarketLog, Policy, Snapshot

FRESH_WORLDS = 4_000
"""Worlds that the truth is the mean of."""
_AT_ONCE = 500
_FRESH = 1 << 32  # added to the seed: those worlds are in no log


class Truth(NamedTuple):
    """What is true, in responses of one user.

    Attributes:
        value: if the target were followed.
        error: its standard error, from the fresh worlds' spread.
        logged: what the logger earns.
    """

    value: float
    error: float
    logged: float


class Answer(NamedTuple):
    """A question's truth, and how the estimators did."""

    truth: Truth
    accuracy: list[Accuracy]


def judge_market(market: LoggedMarket, num_worlds: int, repeats: int = 100, folds: int = 3,
                 fresh: int = FRESH_WORLDS) -> dict[str, Answer]:
    """How every estimator does over ``repeats`` logs of ``num_worlds`` worlds, by question.

    Raises:
        InterplayError: there are no repeats, or fewer worlds than folds.
    """
    if repeats < 1 or num_worlds < 1:
        raise InterplayError(f"repeats={repeats} and worlds={num_worlds} must be at least 1")
    truths = find_truths(market, fresh)
    found: dict[str, list[list[Evaluation]]] = {question: [] for question in truths}
    for repeat in each(range(repeats), "logs"):
        for question, evaluations in ask_log(market.log(num_worlds, repeat), folds, repeat).items():
            found[question].append(evaluations)
    return {question: Answer(truth, accuracies(found[question], truth.value)) for question, truth in truths.items()}


def ask_log(log: MarketLog, folds: int, seed: int) -> dict[str, list[Evaluation]]:
    """Estimates by question; of slates only where the log has them."""
    found = {"step": evaluate_policy(*log.last_step(), folds, seed=seed),
             "episode": evaluate_episodes(log.episodes, log.policy, seed=seed)}
    if log.slates is not None:
        found["slate"] = evaluate_case(log.slates, WEIGHTING, seed, unit=log.episodes.unit)
    return found


def find_truths(market: LoggedMarket, fresh: int = FRESH_WORLDS) -> dict[str, Truth]:
    """By playing ``fresh`` worlds, which are in no log; rewards are expected ones, not drawn."""
    one, all_steps, target = _played(market, market.logger, fresh)
    alone = _played(market, deviation(market), fresh)[1][:, -1]
    # The deviator beside itself in the same world as it was logged: less chance than in what it earns.
    gained = alone - all_steps[:, -1]
    truths = {"step": _truth(target.mean(1), one.mean(1)),
              "episode": _truth(gained + all_steps.mean(1), all_steps.mean(1))}
    if market.draws_slates:
        others = _played(market, market.logger, fresh, other_slates=True)[0]
        truths["slate"] = _truth(others.mean(1), one.mean(1))
    return truths


def all_deviate(market: LoggedMarket, fresh: int = FRESH_WORLDS) -> Truth:
    """What a user earns in all steps if all follow the target, which no log of single users shows."""
    return _truth(_played(market, market.target, fresh)[1].mean(1),
                  _played(market, market.logger, fresh)[1].mean(1))


def deviation(market: LoggedMarket) -> Policy:
    """The last user follows the target, all others the logger. Users are drawn alike, so that any would do."""
    return lambda seen: torch.cat([market.logger(seen)[:, :-1], market.target(seen)[:, -1:]], dim=1)


def _played(market: LoggedMarket, policy: Policy, fresh: int, other_slates: bool = False) -> tuple[Floats, ...]:
    """Expected rewards in fresh worlds, each ``[B, U]``.

    Of the last step and of all steps, and of the last step if the target chose in it.
    """
    parts = [_sums(market, market.play(policy, range(start, min(start + _AT_ONCE, fresh)), market.seed + _FRESH,
                                       other_slates)) for start in range(0, fresh, _AT_ONCE)]
    return tuple(torch.cat(column).numpy() for column in zip(*parts, strict=True))


def _sums(market: LoggedMarket, moments: Iterator[Snapshot]) -> tuple[Tensor, Tensor, Tensor]:
    """Expected rewards of the last step, of all, and of the last one if the target chose: each ``[B, U]``."""
    total = torch.zeros(())
    for now in moments:
        earned, total = _expected(now, now.chances), total + _expected(now, now.chances)
        last = _expected(now, market.target(now.seen))
    return earned, total, last


def _expected(now: Snapshot, chances: Tensor) -> Tensor:
    assert now.seen.expected is not None
    return (chances.exp() * now.seen.expected).sum(2)


def _truth(values: Floats, logged: Floats) -> Truth:
    """From a value for each world."""
    return Truth(float(values.mean()), float(values.std() / np.sqrt(len(values))), float(logged.mean()))
