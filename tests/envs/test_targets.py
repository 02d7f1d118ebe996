"""Targets from logs: by hand, and in the mean over every log that a small world could have written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from interplay.envs.targets import (
    Targets,
    doubly_robust,
    imputed,
    inverse_propensity,
    ips,
    masked,
    observed,
    replay,
)
from refusals import refused

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TRUTH = np.array([[1.0, 0.0, 0.3], [0.8, 0.5, 0.0], [0.2, 0.9, 0.6]])
CHANCE = np.array([[0.9, 0.1, 0.3], [0.8, 0.5, 0.1], [0.2, 0.7, 0.4]])  # what is liked is rated more often
GUESS = np.array([[0.5, 0.5, 0.5], [0.9, 0.1, 0.4], [0.0, 1.0, 0.7]])
POLICY = CHANCE / CHANCE.sum(1, keepdims=True)  # of who takes one of three actions


def as_numpy(values: Any) -> NDArray[Any]:
    return np.asarray(values)


def as_torch(values: Any) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values))


def logs(chance: Floats) -> Iterator[tuple[float, Bools]]:
    """All 512 sets of pairs that could have been rated, each with its probability."""
    for bits in product([False, True], repeat=9):
        known = np.array(bits).reshape(3, 3)
        yield float(np.where(known, chance, 1.0 - chance).prod()), known


def over_logs(value: Callable[[Bools], float], chance: Floats = CHANCE) -> float:
    return sum(probability * value(known) for probability, known in logs(chance))


def hidden(known: Bools) -> Floats:
    """What a log shows: NaN where it knows nothing."""
    return np.where(known, TRUTH, np.nan)


def over_choices(value: Callable[[NDArray[np.int64]], float], policy: Floats) -> float:
    """The mean over all 27 logs of three users who take one action each."""
    total = 0.0
    for actions in product(range(3), repeat=3):
        taken = np.array(actions)
        total += float(policy[np.arange(3), taken].prod()) * value(taken)
    return total


class TestByHand:
    @pytest.mark.parametrize("make", [as_numpy, as_torch])
    def test_each_of_them(self, make: Callable[[Any], Any]) -> None:
        reward, known = make([1.0, np.nan, 0.25]), make([True, False, True])
        guess, propensity = make([0.5, 0.75, 0.5]), make([0.5, np.nan, 0.1])
        seen = masked(reward, known)
        assert values_of(seen) == ([1.0, 0.0, 0.25], [True, False, True], [1.0, 0.0, 1.0])
        assert values_of(imputed(seen, guess)) == ([1.0, 0.75, 0.25], [True] * 3, [1.0] * 3)
        assert values_of(ips(seen, propensity)) == ([1.0, 0.0, 0.25], [True, False, True], [2.0, 0.0, 10.0])
        assert values_of(ips(seen, propensity, clip=4.0))[2] == [2.0, 0.0, 4.0]
        assert values_of(doubly_robust(seen, guess, propensity)) == ([1.5, 0.75, -2.0], [True] * 3, [1.0] * 3)
        assert values_of(doubly_robust(seen, guess, propensity, clip=4.0))[0] == [1.5, 0.75, -0.5]
        assert values_of(observed(guess)) == ([0.5, 0.75, 0.5], [True] * 3, [1.0] * 3)
        matched = replay(guess, make([2, 0, 1]), make([2, 1, 1]))
        assert values_of(matched) == ([0.5, 0.0, 0.5], [True, False, True], [1.0, 0.0, 1.0])

    def test_means(self) -> None:
        weighted = ips(masked(np.array([1.0, 9.0, 0.5]), np.array([True, False, True])), np.array([0.5, 1.0, 0.25]))
        assert weighted.mean() == pytest.approx(4.0 / 3.0)
        assert weighted.normalised_mean() == pytest.approx(4.0 / 6.0)
        assert masked(np.ones(2), np.zeros(2, dtype=bool)).normalised_mean() == 0.0

    def test_they_keep_their_kind_and_change_nothing_that_they_got(self) -> None:
        reward = torch.tensor([0.5, float("nan")], dtype=torch.float32)
        targets = ips(masked(reward, torch.tensor([True, False])), torch.tensor([0.5, 0.0]))
        assert targets.reward.dtype == targets.weight.dtype == torch.float32
        assert targets.valid.dtype == torch.bool
        assert torch.isnan(reward[1])

    def test_weights_are_clipped(self) -> None:
        assert inverse_propensity(np.array([1.0, 0.5, 0.01]), 3.0).tolist() == [1.0, 2.0, 3.0]


class TestOverAllLogs:
    def test_ips_is_unbiased(self) -> None:
        assert over_logs(lambda known: ips(masked(hidden(known), known), CHANCE).mean()) == pytest.approx(TRUTH.mean())

    def test_dr_is_unbiased_for_any_guess(self) -> None:
        for guess in (GUESS, np.full((3, 3), -7.0)):
            mean = over_logs(lambda known, g=guess: doubly_robust(masked(hidden(known), known), g, CHANCE).mean())
            assert mean == pytest.approx(TRUTH.mean())

    def test_every_place_of_dr_is_right_in_the_mean(self) -> None:
        mean = sum(p * doubly_robust(masked(hidden(known), known), GUESS, CHANCE).reward for p, known in logs(CHANCE))
        assert mean == pytest.approx(TRUTH)

    def test_dr_is_right_with_wrong_propensities_if_the_guess_is_right(self) -> None:
        wrong = np.full((3, 3), 0.05)
        assert over_logs(lambda known: doubly_robust(masked(hidden(known), known), TRUTH, wrong).mean()) == (
            pytest.approx(TRUTH.mean()))
        assert abs(over_logs(lambda known: ips(masked(hidden(known), known), wrong).mean()) - TRUTH.mean()) > 1.0

    def test_a_good_guess_saves_variance(self) -> None:
        def spread(value: Callable[[Bools], float]) -> float:
            return over_logs(lambda known: (value(known) - TRUTH.mean()) ** 2)

        near = TRUTH + np.where(np.eye(3) > 0, 0.1, -0.1)
        assert spread(lambda known: doubly_robust(masked(hidden(known), known), near, CHANCE).mean()) < (
            0.5 * spread(lambda known: ips(masked(hidden(known), known), CHANCE).mean()))

    def test_what_is_masked_or_imputed_is_biased_by_what_users_chose(self) -> None:
        assert over_logs(lambda known: masked(hidden(known), known).normalised_mean()) > TRUTH.mean() + 0.1
        guessed = over_logs(lambda known: imputed(masked(hidden(known), known), GUESS).mean())
        assert guessed == pytest.approx((CHANCE * TRUTH + (1.0 - CHANCE) * GUESS).mean())
        assert abs(guessed - TRUTH.mean()) > 0.02

    def test_the_bias_of_clipping_is_what_it_cuts_off(self) -> None:
        clipped = over_logs(lambda known: ips(masked(hidden(known), known), CHANCE, clip=2.0).mean())
        assert clipped == pytest.approx((np.minimum(2.0 * CHANCE, 1.0) * TRUTH).mean())
        assert clipped < TRUTH.mean() - 0.01

    def test_self_normalised_ips_is_nearer_than_no_weights(self) -> None:
        naive, weighted = (over_logs(lambda known, w=w: ips(masked(hidden(known), known), w).normalised_mean())
                           for w in (np.ones((3, 3)), CHANCE))
        assert abs(weighted - TRUTH.mean()) < 0.5 * abs(naive - TRUTH.mean())


class TestReplayOverAllChoices:
    chosen = np.array([0, 2, 1])
    worth = float(TRUTH[np.arange(3), np.array([0, 2, 1])].mean())

    def matched(self, taken: NDArray[np.int64]) -> Targets[NDArray[Any]]:
        return replay(TRUTH[np.arange(3), taken], taken, self.chosen)

    def test_of_uniform_logs_it_is_unbiased_where_anything_matched(self) -> None:
        """(2/3)^3 of the logs have no match, and say nothing: their mean is 0."""
        uniform = np.full((3, 3), 1.0 / 3.0)
        mean = over_choices(lambda taken: self.matched(taken).normalised_mean(), uniform)
        assert mean / (1.0 - (2.0 / 3.0) ** 3) == pytest.approx(self.worth)

    def test_of_other_logs_it_is_biased_and_its_propensities_correct_it(self) -> None:
        none = over_choices(lambda taken: float(not self.matched(taken).valid.any()), POLICY)
        plain = over_choices(lambda taken: self.matched(taken).normalised_mean(), POLICY) / (1.0 - none)
        assert abs(plain - self.worth) > 0.1
        assert over_choices(lambda taken: ips(self.matched(taken), POLICY[np.arange(3), taken]).mean(), POLICY) == (
            pytest.approx(self.worth))

    def test_dr_of_a_choice(self) -> None:
        guess = GUESS[np.arange(3), self.chosen]
        assert over_choices(lambda taken: doubly_robust(self.matched(taken), guess, POLICY[np.arange(3), taken]).mean(),
                            POLICY) == pytest.approx(self.worth)


HALF, TWO = np.array([0.5, 0.5]), np.array([True, False])


@pytest.mark.parametrize(("call", "named", "fix"), [
    (lambda: observed(np.array([1.0, np.nan])), ["reward"], "known"),
    (lambda: masked(np.array([np.inf, 1.0]), TWO), ["reward"], "known"),
    (lambda: masked(HALF, np.array([True])), ["known", (1,), "reward", (2,)], ()),
    (lambda: masked(HALF, np.array([1, 0])), ["known", "int64"], "bool"),
    (lambda: masked(torch.ones(2), torch.ones(2)), ["known", "torch.float32"], "bool"),
    (lambda: replay(HALF, np.array([1]), np.array([1, 2])), ["logged", (1,)], ()),
    (lambda: replay(HALF, np.array([1, 2]), np.array([1])), ["chosen", (1,)], ()),
    (lambda: imputed(masked(HALF, TWO), np.array([1.0, np.nan])), ["guess", "reward"], ()),
    (lambda: doubly_robust(masked(HALF, TWO), np.array([np.nan, 1.0]), HALF), ["guess"], "doubly robust"),
    (lambda: ips(masked(HALF, TWO), np.array([0.0, 0.5])), ["propensity", 0, "(0, 1]"], ()),
    (lambda: ips(masked(HALF, TWO), np.array([np.nan, 0.5])), ["propensity", np.nan, "(0, 1]"], ()),
    (lambda: ips(masked(HALF, TWO), np.array([1.5, 0.5])), ["propensity", 1.5, "(0, 1]"], ()),
    (lambda: ips(masked(HALF, TWO), np.array([0.5])), ["propensity", (1,)], ()),
    (lambda: ips(masked(HALF, TWO), HALF, clip=0.5), ["clip", 0.5], 1)])
def test_what_is_wrong_is_named(call: Callable[[], object], named: list[Any], fix: Any) -> None:
    with refused(*named, fix=fix):
        call()


def values_of(targets: Targets[Any]) -> tuple[list[float], list[bool], list[float]]:
    return targets.reward.tolist(), targets.valid.tolist(), targets.weight.tolist()
