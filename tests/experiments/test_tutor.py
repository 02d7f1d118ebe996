"""The exact values of `tutor`, and its market against them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from interplay.agents import Setting, find_agent
from interplay.envs.market import Market
from interplay.envs.presets import find_preset
from interplay.envs.world import State
from interplay.experiments.exact.oracles import solve
from interplay.experiments.exact.tutor import TutorGame, greedy, in_turn, optimal

VALUES = [("tutor", 11.1100, 10.565, 10.646), ("tutor-fast", 12.7323, 12.5134, 11.9882),
          ("tutor-null", 11.1723, 11.1723, 11.1723)]


def game_of(market: Market) -> TutorGame:
    game = TutorGame.of(market)
    assert game is not None
    return game


def returns(market: Market, choose: Callable[[int, State], Tensor], worlds: int = 1) -> np.ndarray:
    """Returns of users who do what ``choose`` says, ``[B]``."""
    state, total = market.reset(range(worlds), seed=5), 0.0
    rest = torch.zeros(worlds, market.config.num_items, dtype=torch.int64)
    for step in range(market.config.horizon):
        state, happened = market.step(state, choose(step, state), rest)
        total += happened.user_own[:, 0].double()
    return total.numpy()


@pytest.mark.parametrize(("preset", "optimum", "greedy", "turns"), VALUES)
def test_the_optimum_and_other_policies(preset: str, optimum: float, greedy: float, turns: float) -> None:
    oracle = solve(find_preset(preset).market())
    digits = 5e-4 if preset == "tutor" else 5e-5
    assert oracle.user_return == pytest.approx(optimum, abs=5e-5)
    assert oracle.greedy == pytest.approx(greedy, abs=digits)
    assert oracle.others[0].user_return == pytest.approx(turns, abs=digits)


def test_items_chosen_by_chance() -> None:
    """To the digits of a simulation of the same equations."""
    assert solve(find_preset("tutor").market()).others[1].user_return == pytest.approx(9.613, abs=0.005)
    assert solve(find_preset("tutor-fast").market()).others[1].user_return == pytest.approx(11.058, abs=0.01)


@pytest.mark.parametrize("preset", ["tutor", "tutor-fast"])
def test_the_market_pays_named_policies_what_was_computed(preset: str) -> None:
    market = find_preset(preset).market()
    player = find_agent("greedy")(market.specs["users"], Setting())
    found = returns(market, lambda step, state: player.act(market.observe(state, "users", True), explore=False))
    assert found[0] == pytest.approx(game_of(market).value(greedy), abs=1e-4)
    found = returns(market, lambda step, state: torch.tensor([[1 + step % 3]]))
    assert found[0] == pytest.approx(game_of(market).value(in_turn), abs=1e-4)


def test_the_market_pays_the_optimal_plan_the_optimum() -> None:
    market = find_preset("tutor").market()
    game, plan, tables = game_of(market), [], []
    game.value(lambda step, now, total: (tables.append(total), optimal(step, now, total))[1])
    place = 0
    for total, layer in zip(reversed(tables), game._layers, strict=True):
        plan.append(int(total[:, place].argmax()))
        place = int(layer.after[plan[-1], place])
    assert returns(market, lambda step, state: torch.tensor([[1 + plan[step]]]))[0] == pytest.approx(11.1100, abs=1e-4)


def test_the_market_pays_random_users_what_was_computed() -> None:
    market = find_preset("tutor").market()
    player = find_agent("random")(market.specs["users"], Setting(seed=1))
    found = returns(market, lambda step, state: player.act(market.observe(state, "users"), explore=False), 4_000)
    assert found.mean() == pytest.approx(solve(market).random, abs=4.0 * found.std() / 4_000**0.5)


@pytest.mark.parametrize("changes", [{"tutoring": {"spread": 0.5}}, {"tutoring": {"model": "fsrs"}}, {"team": 0.5},
                                     {"horizon": 40}, {"mood.leaving": True}], ids=str)
def test_no_answer_is_given_to_another_question(changes: dict[str, object]) -> None:
    assert TutorGame.of(find_preset("tutor").market(**changes)) is None
