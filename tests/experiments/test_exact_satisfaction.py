"""The exact values of `lts`, and its market against them."""

import numpy as np
import pytest
import torch

from interplay.agents import Setting, find_agent
from interplay.envs.presets import find_preset
from interplay.experiments.exact.oracles import solve
from interplay.experiments.exact.satisfaction import SatisfactionGame, any_action, any_item, greedy, optimal

VALUES = [("lts", 997.2, 800.6), ("lts-strong", 1629.1, 412.5), ("lts-null", 1108.4, 1108.4)]


def game_of(preset: str, **changes: object) -> SatisfactionGame:
    game = SatisfactionGame.of(find_preset(preset).market(**changes))
    assert game is not None
    return game


def returns(preset, choose, worlds):
    """Returns of users who do what ``choose`` says, by the step and the state, ``[B]``."""
    market = find_preset(preset).market()
    state, total = market.reset(range(worlds), seed=5), 0.0
    rest = torch.zeros(worlds, 2, dtype=torch.int64)
    for step in range(market.config.horizon):
        state, happened = market.step(state, choose(market, step, state), rest)
        total += happened.user_own[:, 0].double()
    return total.numpy()


@pytest.mark.parametrize(("preset", "optimum", "greedily"), VALUES)
def test_the_optimum_and_greedy_users(preset: str, optimum: float, greedily: float) -> None:
    oracle = solve(find_preset(preset).market())
    assert oracle.user_return == pytest.approx(optimum, abs=0.05)
    assert oracle.greedy == pytest.approx(greedily, abs=0.05)


def by_hand(game: SatisfactionGame, policy) -> float:
    """The same without noise and from an exposure of 0, step by step."""
    rules, exposure, total = game.rules, 0.0, 0.0
    for _ in range(game.horizon):
        q = policy(exposure)
        satisfaction = 1.0 / (1.0 + np.exp(-rules.sensitivity * exposure))
        total += np.exp(satisfaction * (5.0 * q + 4.0 * (1.0 - q)) + 0.5)
        exposure = rules.memory * exposure - 2.0 * (q - 0.5)
    return total


@pytest.mark.parametrize(("place", "clickbait"), [(1, 1.0), (2, 0.0)])
def test_one_item_for_all_time_is_worth_what_the_equations_say(place: int, clickbait: float) -> None:
    game = game_of("lts", satisfaction={"innovation": 0.0, "limit": 0.0})
    value = game.value(lambda now, total: total[place])
    assert value == pytest.approx(by_hand(game, lambda exposure: clickbait), rel=5e-4)  # which begins at 0


def test_no_sensitivity_makes_the_best_item_now_the_best() -> None:
    game = game_of("lts", satisfaction={"sensitivity": 0.0, "limit": 0.0})
    assert game.value(optimal) == pytest.approx(60.0 * np.exp(3.0))
    assert game.value(greedy) == game.value(optimal)
    assert game.value(any_item) == pytest.approx(30.0 * (np.exp(3.0) + np.exp(2.5)))


@pytest.mark.parametrize(("users", "policy"), [("greedy", greedy), ("random", any_action)])
def test_the_market_pays_baselines_what_was_computed(users, policy) -> None:
    def choose(market, step, state):
        return player.act(market.observe(state, "users", True), explore=False)

    player = find_agent(users)(find_preset("lts-strong").market().specs["users"], Setting(seed=2))
    found = returns("lts-strong", choose, 4_000)
    assert found.mean() == pytest.approx(game_of("lts-strong").value(policy), abs=4.0 * found.std() / 4_000**0.5)


def test_the_market_pays_the_optimal_policy_the_optimum() -> None:
    game, tables = game_of("lts"), []
    optimum = game.value(lambda now, total: (tables.append(total), optimal(now, total))[1])
    most = 1.0 / 0.3 + 8.0 * 0.05 / (1.0 - 0.49) ** 0.5

    def choose(market, step, state):
        place = np.rint((state["exposure"].numpy() / most + 1.0) / 2.0 * (tables[0].shape[1] - 1)).astype(int)
        return torch.from_numpy(tables[-1 - step].argmax(0)[place])

    found = returns("lts", choose, 4_000)
    assert found.mean() == pytest.approx(optimum, abs=4.0 * found.std() / 4_000**0.5)
