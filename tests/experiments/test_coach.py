"""The exact values of `coach`, and its market against them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from interplay.agents import Setting, find_agent
from interplay.envs.market import Market
from interplay.envs.mechanisms import Mechanism
from interplay.envs.mechanisms.coaching import Coaching
from interplay.envs.presets import find_preset
from interplay.envs.world import State
from interplay.experiments.exact.coach import CoachGame, uniform
from interplay.experiments.exact.oracles import solve

Choose = Callable[[int, State], Tensor]


def coach(**parameters: float) -> Market:
    return find_preset("coach").market(coaching=parameters)


def game_of(market: Market) -> CoachGame:
    game = CoachGame.of(market)
    assert game is not None
    return game


def returns(market: Market, choose: Choose, worlds: int = 1) -> np.ndarray:
    """Returns of users who do what ``choose`` says, ``[B]``."""
    state, total = market.reset(range(worlds), seed=5), 0.0
    rest = torch.zeros(worlds, 3, dtype=torch.int64)
    for step in range(market.config.horizon):
        state, happened = market.step(state, choose(step, state), rest)
        total += happened.user_own[:, 0].double()
    return total.numpy()


def right(state: State) -> Tensor:
    return 2 + state["context"].argmax(2)


def agent(market: Market, name: str) -> Choose:
    player = find_agent(name)(market.specs["users"], Setting(seed=2))
    return lambda step, state: player.act(market.observe(state, "users", True), explore=False)


def test_the_optimum_and_other_policies() -> None:
    oracle = solve(coach())
    others = {other.name: other.user_return for other in oracle.others}
    assert oracle.user_return == pytest.approx(3397.8, abs=0.05)
    assert oracle.greedy == pytest.approx(1768.514, abs=1e-3)
    assert oracle.random == pytest.approx(517, abs=2)
    assert others == {"always generic": pytest.approx(387.5, abs=0.05), "always the right one": pytest.approx(
        1535.0, abs=0.05), "the right one in every second step": pytest.approx(3154.7, abs=0.05),
        "the right one up to some h": pytest.approx(3237.9, abs=0.05),
        "best without memory": pytest.approx(3005.57, abs=0.05)}


def test_without_habituation_greedy_users_are_optimal() -> None:
    oracle = solve(find_preset("coach-null").market())
    assert oracle.user_return == pytest.approx(50 * 200.1)
    assert oracle.greedy == oracle.user_return


@pytest.mark.parametrize(("noise", "optimum"), [(0.4, 3237.5), (1.0, 2174.8), (2.0, 1599.6)])
def test_the_optimum_where_the_context_is_seen_through_noise(noise: float, optimum: float) -> None:
    assert game_of(coach(context_noise=noise)).optimum() == pytest.approx(optimum, rel=2e-4)


def test_little_noise_is_as_none() -> None:
    assert game_of(coach(context_noise=0.01)).optimum() == pytest.approx(3397.8, rel=1e-3)


def test_to_see_all_messages_so_far_is_as_good_as_to_see_the_state() -> None:
    hidden = find_preset("coach-hidden")
    assert solve(hidden.market()) == solve(coach())
    assert solve(hidden.market(history_length=20)) is None
    assert solve(hidden.market(coaching={"context_noise": 0.4})) is None


@dataclass(frozen=True)
class Nothing(Mechanism):
    """Another mechanism."""


@pytest.mark.parametrize("changes", [{"coaching": False}, {"mechanisms": (Coaching(), Nothing())}])
def test_no_answer_is_given_to_another_question(changes: dict[str, object]) -> None:
    assert CoachGame.of(find_preset("coach").market(**changes)) is None


@pytest.mark.parametrize(("choose", "exact"), [
    (lambda step, state: right(state), 1535.0),
    (lambda step, state: right(state) * (step % 2 == 0), 3154.747),
    (lambda step, state: torch.ones_like(right(state)), 387.5),
    (lambda step, state: right(state) * (state["habituation"] <= 0.4052), 3237.859)])
def test_the_market_pays_named_policies_what_was_computed(choose: Choose, exact: float) -> None:
    assert returns(coach(), choose)[0] == pytest.approx(exact, abs=0.01)


def optimal(game: CoachGame, sizes: tuple[int, int]) -> Choose:
    """The policy of the dynamic programme at the nearest point of its grid."""
    tables = []
    game.value(lambda now, total: (tables.append(total), game.best(total, total))[1], sizes)
    limit = game.rules.disengagement_limit

    def choose(step: int, state: State) -> Tensor:
        place = (np.rint(state["habituation"].numpy() * (sizes[0] - 1)).astype(int),
                 np.rint(state["disengagement"].numpy().clip(max=limit) / limit * (sizes[1] - 1)).astype(int))
        none, generic, is_right, is_wrong = torch.from_numpy(tables[-1 - step][:, *place])
        likely, which = state[game.rules._known].max(2)
        worth = likely * is_right + (1.0 - likely) * is_wrong
        return torch.where(worth > torch.maximum(none, generic), 2 + which, (generic > none).long())

    return choose


def test_the_market_pays_the_optimal_policy_the_optimum() -> None:
    game = game_of(coach())
    assert returns(coach(), optimal(game, (20_001, 2)))[0] == pytest.approx(game.optimum(), abs=0.05)


def test_the_same_through_noise() -> None:
    market = coach(context_noise=0.4)
    game = game_of(market)
    found = returns(market, optimal(game, (201, 201)), 4_000)
    assert found.mean() == pytest.approx(game.optimum(), abs=4.0 * found.std() / 4_000**0.5)


@pytest.mark.parametrize(("noise", "users"), [(0.0, "greedy"), (0.0, "random"), (1.0, "greedy")])
def test_the_market_pays_baselines_what_was_computed(noise: float, users: str) -> None:
    market = coach(context_noise=noise)
    game = game_of(market)
    exact = game.greedy() if users == "greedy" else game.value(uniform)
    found = returns(market, agent(market, users), 4_000)
    assert found.mean() == pytest.approx(exact, abs=4.0 * found.std() / 4_000**0.5 + 1e-3 * exact)
