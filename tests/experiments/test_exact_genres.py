"""Creators of content for groups of users: the equilibrium of one genre, and the market against it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from interplay.agents import Agent, Setting, find_agent
from interplay.envs.mechanisms.genres import Genres
from interplay.envs.presets import find_preset
from interplay.envs.testing import check_mechanism
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.evaluate.deviations import best_response_gap
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.exact.genres import GenresGame
from interplay.experiments.exact.oracles import game_of_mechanisms, solve
from interplay.experiments.loop.players import Players
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.training import train_unwatched

MANY = 400  # qualities, so many that the grid hardly matters


def market_of(power, users=2, creators=2, qualities=MANY, groups=2):
    return find_preset("genres").market(num_users=users, num_items=creators, slate_size=creators, genres={
        "cost_power": power, "highest": users ** (1 / power), "num_qualities": qualities, "num_groups": groups})


def paid(market, content):
    """What creators and users earn in a step in which these contents are chosen, int64 ``[B, I]``."""
    _, step = market.step(market.reset(range(len(content))), torch.zeros(len(content), market.config.num_users,
                                                                         dtype=torch.int64), content + 1)
    return step.item_own, step.user_own


def drawn(game, count):
    """Numbers of contents for all groups, with qualities from F."""
    chance = torch.rand(count, game.num_items, generator=torch.Generator().manual_seed(0))
    quality = game.top * chance ** ((game.num_items - 1) / game.rules.cost_power)
    level = (quality / game.top * MANY).ceil().clamp(1, MANY).long() - 1
    return level + (2**game.rules.num_groups - 2) * MANY


@pytest.mark.parametrize(("power", "creators", "groups"), [(1.2, 2, 2), (2.0, 4, 2), (1.5, 3, 1), (6.0, 3, 1)])
def test_in_the_equilibrium_of_one_genre_no_content_gains(power, creators, groups):
    market = market_of(power, creators=creators, groups=groups)
    game, oracle = game_of_mechanisms(market), solve(market)
    content = drawn(game, 8_000)
    own, users = paid(market, content)
    assert own.mean().item() == pytest.approx(0.0, abs=0.04)
    assert users.mean().item() == pytest.approx(oracle.measures["worth to a user"], rel=0.02)
    assert oracle.user_return == pytest.approx(oracle.measures["worth to a user"] * 2 * 20)
    for other in range(150, (2**groups - 1) * MANY, 170):
        content[:, 0] = other
        assert paid(market, content)[0][:, 0].mean().item() < 0.04


@pytest.mark.parametrize("power", [2.5, 8.0])
def test_above_a_power_of_two_a_creator_gains_by_serving_one_group(power):
    market = market_of(power)
    game = game_of_mechanisms(market)
    assert solve(market) is None
    content = drawn(game, 8_000)
    content[:, 0] = round(MANY / 2**0.5) - 1  # good enough for one group to be best for it
    found = paid(market, content)[0][:, 0].mean().item()
    assert found == pytest.approx(game.gain_of_specialising, abs=0.04)
    assert found > 0.12


def test_gains_of_specialising():
    gains = {power: GenresGame(Genres(cost_power=power), 4, 2).gain_of_specialising for power in (1.0, 2.0, 2.1, 8.0)}
    assert gains == {1.0: 0.0, 2.0: 0.0, 2.1: pytest.approx(1 - 2 * 2**-1.05), 8.0: 0.875}
    assert GenresGame(Genres(num_groups=1), 4, 2).gain_of_specialising == 0.0


def test_identical_users():
    """F(r) = min(1, (r^b / N)^(1 / (P - 1)))."""
    game = game_of_mechanisms(market_of(3.0, users=5, creators=3, groups=1))
    quality = np.array([0.0, 1.0, 5 ** (1 / 3), 3.0])
    assert game.distribution(quality) == pytest.approx([0.0, (1 / 5) ** 0.5, 1.0, 1.0])


class Offers(Agent):
    """Creator j always offers the j-th of these contents."""

    name = "offers"
    contents: tuple[int, ...] = ()

    def act(self, observation, explore):
        return torch.tensor([1 + content for content in self.contents]).expand(observation.mask.shape[:2])


def players(market, contents):
    kind = type("OffersThese", (Offers,), {"name": "offers-these", "contents": contents})
    return Players({"users": find_agent("rest")(market.specs["users"], Setting()),
                    "items": kind(market.specs["items"], Setting())})


@pytest.mark.parametrize("contents", [(11, 23, 35, 0), (5, 5, 17, 30), (35, 34, 35, 33), (0, 12, 24, 24)])
def test_the_market_pays_what_is_computed(contents):
    market = find_preset("genres").market()
    game = game_of_mechanisms(market)
    score = evaluate(market, players(market, contents), 2)
    profits = game.profits(np.array([contents]))
    assert score.item_return.mean == pytest.approx(20 * profits.sum(), abs=1e-4)
    assert paid(market, torch.tensor([contents]))[0][0].tolist() == pytest.approx(profits[0].tolist(), abs=1e-5)
    gap = max(game.best_gain(np.array(contents), item) for item in range(4))
    assert best_response_gap(market, players(market, contents)) == pytest.approx(20 * gap)
    assert gap > 0.0


def test_what_is_taken_is_measured():
    market = find_preset("genres").market()
    state = market.reset([0, 1]).with_tables({"content": torch.tensor([[11, 23, 35, 0], [35, 24, 0, 12]])})
    found = market.config.mechanisms[0].measures(state)
    assert found["genres"].tolist() == [2.0, 1.0]  # one creator for each group; one for both
    assert found["specialisation"].tolist() == [1.0, 0.0]
    assert found["exposure inequality"].tolist() == pytest.approx([0.5, 0.75])
    assert found["quality"].tolist() == pytest.approx([2 ** (1 / 8) * k for k in (37 / 48, 15 / 48)])


def test_bait_wins_users_and_costs_them():
    market = find_preset("genres").market(**{"genres.bait": 0.5})
    plain, baited = 35, 36 + 30  # for both groups, the second of lower quality but with bait
    own, users = paid(market, torch.tensor([[plain, 34, 34, 34], [plain, plain - 36 + baited, 34, 34]]))
    assert own[0, 0] > own[1, 0]
    assert own[1, 1] > 0.0
    assert users[0].sum() > users[1].sum()
    assert solve(market) is None


@pytest.mark.parametrize("mechanism", [
    Genres(num_groups=3, num_qualities=2, bait=0.2), pytest.param(Genres(), marks=pytest.mark.slow)])
def test_the_contract(mechanism):
    check_mechanism(mechanism)


@pytest.mark.parametrize(("preset", "genres"), [("genres", 2.0), ("genres-one", 1.0)])
def test_learners_end_with_as_many_genres_as_theory_says(preset, genres):
    """The groups that content which users take is for; its quality goes on to change."""
    run = Run.start(TrainSettings(preset=preset, items="q-learning", episodes=10, device="cpu"), Path())
    train_unwatched(run)
    measures = evaluate(run.task.held_out, run.players, 2).measures
    assert measures["genres"].mean == genres
    assert measures["specialisation"].mean == genres - 1.0
