from __future__ import annotations

import pickle
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from interplay.envs.behaviour import behaviours
from interplay.envs.behaviour.logged import LoggedBehaviour, Missing, boost_cost, logged_market_config
from interplay.envs.config import MarketConfig
from interplay.envs.data import InteractionLog, fit_factors, make_log, read_log, split_log
from interplay.envs.market import Market
from interplay.envs.population import Population
from interplay.envs.world import State
from refusals import refused

MOVIELENS = Path(__file__).parents[2].parent / "shared/data/ml-100k"


def some_log(num_rows: int = 300) -> InteractionLog:
    """12 users, 15 items, ratings 1 to 5, repeated pairs."""
    rng = np.random.default_rng(0)
    user, item = rng.integers(12, size=num_rows), rng.integers(15, size=num_rows)
    return make_log(pl.DataFrame({"user": user, "item": item, "reward": rng.integers(1, 6, size=num_rows)}))


def small_config(log: InteractionLog, **changes: object) -> MarketConfig:
    return logged_market_config(log, **({"slate_size": 3, "embedding_size": 4, "horizon": 6} | changes))


def market(train: InteractionLog, answers: InteractionLog, missing: Missing = "mask", **changes: object) -> Market:
    config = small_config(train, **changes)
    return Market(config, LoggedBehaviour(train, answers, config, missing))


def worth(log: InteractionLog) -> dict[tuple[int, int], float]:
    """What each pair of the log is worth, from its rows one by one."""
    rows: dict[tuple[int, int], list[float]] = {}
    for user, item, reward in zip(log.user, log.item, log.reward, strict=True):
        rows.setdefault((int(user), int(item)), []).append(float(reward))
    low, high = log.reward_range
    return {pair: (sum(values) / len(values) - low) / (high - low) for pair, values in rows.items()}


def respond(made: Market, state: State, shift: float = 0.0) -> Tensor:
    """What every user would say to every item, ``[U, I]``."""
    c = made.config
    items = torch.arange(c.num_items).expand(1, c.num_users, c.num_items)
    return made.behaviour.response(state, items, torch.full(items.shape, shift))[0]


def test_is_found() -> None:
    assert behaviours()["logged"] is LoggedBehaviour


@pytest.mark.parametrize("part", ["train", "answers"])
def test_masked_market_pays_exactly_what_the_log_says(part: str) -> None:
    train, test = split_log(some_log())
    answers = train if part == "train" else test
    expected, made, paid = worth(answers), market(train, answers), set()
    for slot in (1, 2, 3):
        state = made.reset(range(12))
        for _ in range(made.config.horizon):
            offered = state.slate
            action = torch.full((12, 12), slot)
            state, step = made.step(state, action, torch.zeros(12, 15, dtype=torch.int64))
            taken = offered.valid[..., slot - 1]
            assert torch.equal(step.position > 0, taken)
            for world, user in taken.nonzero().tolist():
                pair = (user, int(offered.items[world, user, slot - 1]))
                assert step.user_reward[world, user].item() == np.float32(expected[pair])
                paid.add(pair)
            assert not step.user_reward[~taken].any()
    assert len(paid) > 0.9 * len(expected)


def test_masked_market_lists_exactly_the_pairs_of_its_answers() -> None:
    train, test = split_log(some_log(), 0.15)
    lists = LoggedBehaviour(train, test, small_config(train)).candidates()
    assert lists is not None
    items, count = lists
    user = torch.arange(12).repeat_interleave(count)
    assert set(zip(user.tolist(), items.tolist(), strict=True)) == set(worth(test))
    assert len(items) == len(worth(test))


def test_lists_are_never_shorter_than_a_slate() -> None:
    log = make_log(pl.DataFrame({"user": [0, 1, 2], "item": [0, 1, 2], "reward": [0, 1, 1]}))
    made = market(log, log)
    state = made.reset([0])
    assert state.slate.items.shape == (1, 3, 3)
    assert state.slate.valid.sum(2).tolist() == [[1, 1, 1]]
    assert torch.isfinite(state.slate.log_propensity).all()


def test_held_out_rewards_change_nothing_that_training_shows() -> None:
    train, test = split_log(some_log())
    turned = replace(test, reward=6.0 - test.reward)
    for answers, other in ((train, train), (test, turned)):
        one, two = market(train, answers), market(train, other)
        first, second = one.reset(range(2)), two.reset(range(2))
        action = torch.ones(2, 12, dtype=torch.int64), torch.ones(2, 15, dtype=torch.int64)
        for side in ("users", "items"):
            seen, same = one.observe(first, side), two.observe(second, side)
            assert torch.equal(seen.own, same.own)
            assert torch.equal(seen.options, same.options)
        paid, otherwise = one.step(first, *action)[1].user_reward, two.step(second, *action)[1].user_reward
        assert torch.equal(paid, otherwise) == (answers is train)


def test_what_agents_see_comes_from_the_training_part_alone() -> None:
    train, test = split_log(some_log())
    key = torch.zeros(1, 2, dtype=torch.int32)
    config = small_config(train)
    known = LoggedBehaviour(train, train, config).populate(key)
    held_out = LoggedBehaviour(train, test, config).populate(key)
    for field in fields(Population):
        assert torch.equal(getattr(known, field.name), getattr(held_out, field.name))
    assert known.popularity[0].tolist() == np.bincount(train.item, minlength=15).tolist()


def test_answering_from_another_part_is_the_same_as_being_made_for_it() -> None:
    train, test = split_log(some_log())
    config = small_config(train)
    training = LoggedBehaviour(train, train, config)
    one, two = Market(config, training.answering(test)), market(train, test)
    assert torch.equal(respond(one, one.reset([0])), respond(two, two.reset([0])))
    back = Market(config, training)
    assert torch.equal(respond(back, back.reset([0])), respond(market(train, train), back.reset([0])))


@pytest.mark.parametrize("missing", ["mask", "zero"])
def test_absent_pairs_are_worth_nothing_in_any_state(missing: Missing) -> None:
    train, test = split_log(some_log())
    made = market(train, test, missing)
    state, expected = made.reset([0]), worth(test)
    still, moved = respond(made, state), respond(made, state, 2.0)
    for user in range(12):
        for item in range(15):
            assert still[user, item].item() == np.float32(expected.get((user, item), 0.0))
            assert (moved[user, item].item() > 0.0) == ((user, item) in expected)
    assert (made.behaviour.candidates() is None) == (missing == "zero")


def test_imputed_pairs_are_worth_what_the_model_says() -> None:
    train, test = split_log(some_log())
    made = market(train, test, "impute")
    rate, expected = respond(made, made.reset([0])), worth(test)
    user, item = (axis.ravel() for axis in np.indices((12, 15)))
    guess = fit_factors(train, 3).predict(user, item).clip(0.0, 1.0).reshape(12, 15)
    for pair in np.ndindex(12, 15):
        assert rate[pair].item() == pytest.approx(expected.get(pair, guess[pair]), abs=1e-6)
    assert made.behaviour.candidates() is None


def test_shifts_move_the_logit_of_what_is_known() -> None:
    log = make_log(pl.DataFrame({"user": [0, 0, 0], "item": [0, 1, 2], "reward": [0.0, 0.5, 1.0]}))
    made = market(log, log)
    state = made.reset([0])
    assert respond(made, state).tolist() == [[0.0, 0.5, 1.0]]
    logit = torch.logit(torch.tensor([0.01, 0.5, 0.99]))
    assert torch.allclose(respond(made, state, -1.0)[0], torch.sigmoid(logit - 1.0))


def test_rankings_are_those_of_the_model() -> None:
    train, _ = split_log(some_log())
    population = LoggedBehaviour(train, train, small_config(train)).populate(torch.zeros(2, 2, dtype=torch.int32))
    user, item = (axis.ravel() for axis in np.indices((12, 15)))
    guess = torch.from_numpy(fit_factors(train, 3).predict(user, item).reshape(12, 15))
    score = population.user_vector @ population.item_vector.transpose(1, 2)
    assert torch.equal(score[0].argsort(1), guess.argsort(1))
    assert torch.equal(score[0], score[1])
    assert torch.allclose(population.user_vector.norm(dim=2), torch.ones(2, 12))
    assert population.item_vector.abs().quantile(0.98) <= 1.0


def test_a_user_that_was_never_seen_has_no_taste_and_no_vector() -> None:
    log = some_log()
    train = log.take((log.user > 0) & (log.item > 0), "left out")
    config = small_config(train)
    population = LoggedBehaviour(train, log, config).populate(torch.zeros(1, 2, dtype=torch.int32))
    assert population.user_vector[0, 0].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert not population.item_vector[0, 0].any()
    assert population.popularity[0, 0] == 0.0
    mean = torch.tensor(train.scaled(train.reward).mean())
    assert population.appeal[0, 0].item() == pytest.approx(torch.logit(mean).item(), abs=1e-5)


def test_topics_come_from_the_log() -> None:
    log = some_log()
    topics = np.eye(3, dtype=np.float32)[np.arange(15) % 3]
    named = replace(log, item_topics=topics)
    population = LoggedBehaviour(named, named, small_config(named)).populate(torch.zeros(1, 2, dtype=torch.int32))
    assert population.topics[0].tolist() == topics.tolist()


@pytest.mark.parametrize("num_segments", [1, 4, 40])
def test_segments_may_be_few_or_more_than_users(num_segments: int) -> None:
    log = some_log()
    made = market(log, log, num_segments=num_segments)
    segment = made.reset([0]).population.segment
    assert 0 <= segment.min() <= segment.max() < num_segments


def test_the_smallest_vectors_rank_by_quality() -> None:
    log = some_log()
    population = market(log, log, embedding_size=1).reset([0]).population
    assert population.user_vector[0].tolist() == [[1.0]] * 12
    assert population.item_vector.std() > 0.0


def test_equal_rewards_need_a_range() -> None:
    clicks = make_log(pl.DataFrame({"user": ["a", "b", "a"], "item": ["x", "y", "y"], "reward": [1, 1, 1]}))
    graded = replace(clicks, reward_range=(0.0, 1.0))
    config = small_config(graded, slate_size=2)
    for fails in (lambda: LoggedBehaviour(clicks, clicks, config), lambda: small_config(clicks, slate_size=2)):
        with refused("reward", 1, fix=("reward_range", "--reward-range 0 1")):
            fails()
    clicks = graded
    made = Market(config, LoggedBehaviour(clicks, clicks, config))
    assert respond(made, made.reset([0])).tolist() == [[1.0, 1.0], [0.0, 1.0]]


def test_disagreements_are_named() -> None:
    log = some_log()
    config = small_config(log)
    with refused("num_users", 13, 12, fix="logged_market_config(log)"):
        LoggedBehaviour(log, log, replace(config, num_users=13))
    with refused("missing", "drop", fix=("mask", "impute", "zero")):
        LoggedBehaviour(log, log, config, "drop")  # type: ignore[arg-type]
    with refused("train", "answers", fix="split_log"):
        LoggedBehaviour(log, replace(log, user_ids=tuple(range(1, 13))), config)
    with refused("reward", 5, "reward_range", (1, 4)):
        LoggedBehaviour(replace(log, reward=log.reward.clip(1.0, 4.0), reward_range=(1.0, 4.0)), log, config)


def test_the_config_follows_the_log() -> None:
    log = some_log()
    config = logged_market_config(log, horizon=3)
    assert (config.num_users, config.num_items, config.num_topics, config.horizon) == (12, 15, 1, 3)
    assert (config.slate_size, logged_market_config(replace(log, item_ids=(1, 2))).slate_size) == (5, 2)
    with refused("horizons", fix="horizon"):
        logged_market_config(log, horizons=3)
    with refused("slate_size", 16, "num_items", 15, fix="slate_size"):
        logged_market_config(log, slate_size=16)


def gains_of_boosting_alone(made: Market, num_worlds: int = 400) -> Tensor:
    """What each item earns more by each boost, ``[L, I]``, while users take at random and the others rest."""
    c, levels = made.config, made.config.built_in.boosts.levels
    state = made.reset(range(num_worlds))
    generator = torch.Generator().manual_seed(0)

    def earned(action: Tensor) -> Tensor:
        served, _ = made.step(state, torch.zeros(num_worlds, c.num_users, dtype=torch.int64), action)
        takes = torch.rand(served.slate.valid.shape, generator=generator).masked_fill(~served.slate.valid, -1.0)
        _, step = made.step(served, 1 + takes.argmax(2), torch.zeros_like(action))
        return step.item_own.double().mean(0)

    rest = earned(torch.zeros(num_worlds, c.num_items, dtype=torch.int64))
    gains = torch.zeros(len(levels), c.num_items, dtype=torch.float64)
    for level in range(len(levels)):
        for item in range(c.num_items):
            action = torch.zeros(num_worlds, c.num_items, dtype=torch.int64)
            action[:, item] = 1 + level
            gains[level, item] = earned(action)[item] - rest[item]
    return gains


def test_no_item_gains_by_boosting_alone_unless_boosts_are_cheaper() -> None:
    log = some_log(60)
    assert (gains_of_boosting_alone(market(log, log, num_segments=1)) < 0.0).all()
    cheap = market(log, log, num_segments=1, boosts={"cost": 0.05})
    assert (gains_of_boosting_alone(cheap)[0] > 0.0).sum() > 5


def test_a_boost_costs_the_highest_income_of_an_item() -> None:
    user, item = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 2, 0])
    assert boost_cost(user, item, np.array([1.0, 1.0, 0.5, 1.0, 0.2])) == 0.95  # item 0: 1 / 2 + .5 / 2 + .2
    assert boost_cost(user, item, np.array([1.0, 1.0, 0.5, 1.0, 0.2]) * 1234.0) == 1200.0
    assert boost_cost(user, item, np.zeros(5)) == 0.0
    log = some_log()
    pairs = worth(log)
    count = np.bincount([user for user, _ in pairs])
    income = np.zeros(15)
    for (one, other), value in pairs.items():
        income[other] += value / count[one]
    assert income.max() <= logged_market_config(log).built_in.boosts.cost <= 1.1 * income.max()


def test_runs_without_values_on_another_device() -> None:
    log = some_log()
    for missing in ("mask", "impute"):
        config = small_config(log, satiation={"weight": 0.5, "gain": 1.0})
        made = Market(config, LoggedBehaviour(log, log, config, missing), "meta")
        state = made.reset(range(2))
        actions = (torch.ones(2, n, dtype=torch.int64, device="meta") for n in (12, 15))
        _, step = made.step(state, *actions)
        assert step.user_reward.device.type == "meta"


def test_other_memory_orders_are_fine() -> None:
    log = some_log()
    made = market(log, log)
    items = torch.arange(12).expand(15, 12).t().unsqueeze(0)[..., :4]
    assert made.behaviour.response(made.reset([0]), items, torch.zeros(items.shape)).shape == (1, 12, 4)


def test_can_be_pickled() -> None:
    log = some_log()
    config = small_config(log)
    made = Market(config, pickle.loads(pickle.dumps(LoggedBehaviour(log, log, config))))
    assert torch.equal(respond(made, made.reset([0])), respond(market(log, log), made.reset([0])))


@pytest.mark.skipif(not (MOVIELENS / "u.data").is_file(), reason="no MovieLens-100K here")
def test_movielens_end_to_end() -> None:
    log = read_log(MOVIELENS)
    train, test = split_log(log)
    config = logged_market_config(log)
    training = LoggedBehaviour(train, train, config)
    made = Market(config, training.answering(test))
    state = made.reset([0])
    offered = state.slate
    _, step = made.step(state, torch.ones(1, 943, dtype=torch.int64), torch.zeros(1, 1682, dtype=torch.int64))
    expected = worth(test)
    for user in offered.valid[0, :, 0].nonzero().squeeze(1).tolist():
        assert step.response[0, user].item() == np.float32(expected[user, int(offered.items[0, user, 0])])
    assert torch.isfinite(made.observe(state, "items").own).all()
    best, worst = (pick(respond(made, state).gather(1, offered.items[0]), 1).values.mean()
                   for pick in (torch.max, torch.min))
    assert best - worst > 0.3  # a slate leaves its user a choice that matters
