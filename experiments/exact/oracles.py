"""Optima that can be computed: by dynamic programming on small games, in closed form for the contest.

They are written from the game's equations in NumPy, apart from the tensor core, so that each checks the other. A
game is recognised by its rules, its people and its response formula, not by its name: a new preset with the same
structure has its optimum at once. A behaviour with a response or with people of its own has none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interplay.envs.discovery import discover
from interplay.envs.market import Market
from interplay.envs.mechanisms.boosts import Boosts
from interplay.envs.mechanisms.mood import Mood
from interplay.envs.mechanisms.satiation import Satiation
from interplay.envs.population import Population
from interplay.experiments.exact.base import Array, ExactGame, Oracle, acting
from interplay.experiments.exact.budgets import budget_game
from interplay.experiments.exact.contest import contest_game
from interplay.experiments.exact.known import as_array, is_whole, known_population

_MOST_CELLS = 1_000_000  # states times actions; more would take minutes


def solve(market: Market) -> Oracle | None:
    """The exact answer for ``market``, or None where no method here knows one."""
    game = single_user_game(market) or budget_game(market) or contest_game(market) or game_of_mechanisms(market)
    return None if game is None else game.oracle()


def game_of_mechanisms(market: Market) -> ExactGame | None:
    """The game that the market is by its mechanisms; see ``ExactGame``."""
    if not market.config.further:
        return None
    kinds: dict[str, type[ExactGame]] = discover(sys.modules[__package__], ExactGame)
    found = (kind.of(market) for kind in kinds.values())
    return next((game for game in found if game is not None), None)


def greedy_is_optimal(market: Market) -> bool:
    """Whether nothing that users do now changes what they could earn later, as long as items take no notice of it.

    Then every step is a contextual bandit, and no policy is better than the best response now.
    """
    if market.behaviour.formula is None or market.constants.mechanisms.have("user_reward"):
        return False  # its responses or rewards may depend on anything that users did
    return not any(mechanism.carries_over for mechanism in market.config.mechanisms)


def single_user_game(market: Market) -> SingleUserGame | None:
    """One user, all items always shown, whole-number satiation and mood: a small Markov decision process."""
    c, population = market.config, known_population(market)
    satiation, mood = c.built_in.satiation, c.built_in.mood
    if population is None or not acting(c) <= {Satiation, Mood, Boosts} or mood.leaving:
        return None
    moves = (satiation.gain * as_array(population.topics), as_array(population.mood_effect), satiation.recovery,
             satiation.max, mood.max)
    whole = all(is_whole(x) for x in moves) and satiation.decay == mood.decay == 1.0
    if not (c.num_users == 1 and c.slate_order == "fixed" and c.response_mode == "sampled" and c.position_bias == 0.0
            and whole):
        return None
    if (satiation.max + 1) ** c.num_topics * (2 * mood.max + 1) * (1 + c.num_items) > _MOST_CELLS:
        return None
    return SingleUserGame.of(market, population)


Policy = Callable[[Array], Array]
"""From action values ``[A, states]`` to what they are worth under a policy, ``[states]``."""


def best_response(values: Array) -> Array:
    """The optimal policy's value."""
    best: Array = values.max(0)
    return best


def uniform(values: Array) -> Array:
    """Any action, skipping included."""
    mean: Array = values.mean(0)
    return mean


def uniform_items(values: Array) -> Array:
    """Any item, never skipping."""
    mean: Array = values[1:].mean(0)
    return mean


@dataclass(frozen=True)
class SingleUserGame:
    """Tables of the one-user game; a state is (satiation of each topic, mood), flattened.

    Attributes:
        rate: ``[1 + I, states]``, probability of a response; row 0 is the skip.
        hit, miss: int ``[1 + I, states]``, the next state with and without a response.
        satiation, mood: ``[G, states]`` and ``[states]``, what each state is.
        start: the state at time 0.
        horizon: steps.
    """

    rate: Array
    hit: NDArray[np.int64]
    miss: NDArray[np.int64]
    satiation: Array
    mood: Array
    start: int
    horizon: int

    @classmethod
    def of(cls, market: Market, population: Population) -> SingleUserGame:
        """The tables for a market of this kind (steps 1, 2 and 4 of the game)."""
        c, tiring, feeling = market.config, market.config.built_in.satiation, market.config.built_in.mood
        axes = [np.arange(tiring.max + 1)] * c.num_topics + [np.arange(-feeling.max, feeling.max + 1)]
        shape = tuple(len(axis) for axis in axes)
        grid = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(len(axes), -1)
        satiation, mood = grid[:-1], grid[-1]
        taste, topics = as_array(population.user_vector)[0, 0], as_array(population.topics)[0]
        weighted = as_array(population.preference_weight)[0] * taste
        base = as_array(population.item_vector)[0] @ weighted + as_array(population.appeal)[0]
        mood_effect = as_array(population.mood_effect)[0]

        def after(gain: Array, lift: float) -> NDArray[np.int64]:
            tired = np.clip(satiation + gain[:, None] - tiring.recovery, 0, tiring.max)
            lifted = np.clip(mood + lift, -feeling.max, feeling.max) + feeling.max
            digits = (*np.rint(tired).astype(np.int64), np.rint(lifted).astype(np.int64))
            return np.asarray(np.ravel_multi_index(digits, shape), dtype=np.int64)

        idle = after(np.zeros(c.num_topics), 0.0)
        logit = base[:, None] - tiring.weight * topics @ satiation + feeling.weight * mood
        rate = np.concatenate([np.zeros((1, grid.shape[1])), 1.0 / (1.0 + np.exp(-logit))])
        hits = [idle] + [after(tiring.gain * g, n) for g, n in zip(topics, mood_effect, strict=True)]
        start = int(np.flatnonzero((satiation == 0).all(0) & (mood == 0))[0])
        return cls(rate, np.stack(hits), np.stack([idle] * len(hits)), satiation, mood, start, c.horizon)

    def oracle(self) -> Oracle:
        """The optimum beside greedy and random users."""
        return Oracle("optimum", user_return=self.value(best_response), greedy=self.value(self.greedy),
                      random=self.value(uniform))

    def value(self, policy: Policy) -> float:
        """Expected return of a policy that may use the action values, from the start to the horizon."""
        ahead = np.zeros(self.rate.shape[1])
        for _ in range(self.horizon):
            ahead = policy(self.rate * (1.0 + ahead[self.hit]) + (1.0 - self.rate) * ahead[self.miss])
        return float(ahead[self.start])

    def greedy(self, values: Array) -> Array:
        """The myopic policy: the first action of highest response probability."""
        choice = self.rate.argmax(0)
        picked: Array = np.take_along_axis(values, choice[None], 0)[0]
        return picked
