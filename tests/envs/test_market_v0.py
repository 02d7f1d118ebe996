from __future__ import annotations

import copy
import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from interplay.envs import market_v0
from interplay.envs.market_v0 import MarketParallelEnv
from interplay.envs.presets import find_preset, presets
from interplay.envs.recommend_v0 import RecommendEnv, RecommendVectorEnv
from interplay.envs.types import Observation
from refusals import refused

SMALL_TOWN: dict[str, Any] = dict(preset="town", num_users=4, num_items=5, horizon=25)
# Users leave at the first bad experience, and items cannot pay their upkeep for long.
HARSH_TOWN: dict[str, Any] = {"preset": "town", "num_users": 6, "num_items": 8, "mood.max": 0.3, "mood.decay": 1.0,
                              "budgets.start": 3.0, "horizon": 40}
MARKETS: list[dict[str, Any]] = [
    dict(preset="kale"), dict(preset="kale", response_mode="mean"), dict(preset="viability"),
    dict(preset="viability", response_mode="sampled"), SMALL_TOWN, SMALL_TOWN | dict(response_mode="mean"),
    SMALL_TOWN | dict(team=0.5), HARSH_TOWN]

Mask = NDArray[np.int8]


def any_allowed(env: MarketParallelEnv, infos: dict[str, Any], rng: np.random.Generator) -> dict[str, int]:
    return {agent: int(rng.choice(np.flatnonzero(infos[agent]["action_mask"]))) for agent in env.agents}


def play(env: MarketParallelEnv, infos: dict[str, Any], seed: int = 0, steps: int = 10**6) -> list[Any]:
    """What a random player gets from ``env`` until the end, or for some steps."""
    rng, seen = np.random.default_rng(seed), []
    while env.agents and len(seen) < steps:
        seen.append(env.step(any_allowed(env, infos, rng)))
        infos = seen[-1][4]
    return seen


def assert_same(one: Any, other: Any) -> None:
    np.testing.assert_equal(one, other)


def assert_shows(observation: Observation, names: list[str], observations: dict[str, Any],
                 infos: dict[str, Any]) -> None:
    flat = torch.cat([observation.own, observation.options.flatten(2)], dim=2)[0]
    for k, name in enumerate(names):
        assert_same(observations[name], flat[k].numpy())
        assert_same(infos[name]["action_mask"].astype(bool), observation.mask[0, k].numpy())


@pytest.mark.parametrize("options", MARKETS, ids=lambda o: "-".join(map(str, o.values())))
def test_facade_is_the_core_step_by_step(options: dict[str, Any]) -> None:
    env, rng = market_v0.parallel_env(**options), np.random.default_rng(1)
    market = find_preset(options["preset"]).market(**{k: v for k, v in options.items() if k != "preset"})
    users = [f"user_{k}" for k in range(market.config.num_users)]
    items = [f"item_{k}" for k in range(market.config.num_items)]
    observations, infos = env.reset(seed=7)
    state = market.reset([0], 7)
    while env.agents:
        assert_shows(market.observe(state, "users"), users, observations, infos)
        assert_shows(market.observe(state, "items"), items, observations, infos)
        actions = any_allowed(env, infos, rng)
        observations, rewards, terminated, truncated, infos = env.step(actions)
        state, step = market.step(state, torch.tensor([[actions[name] for name in users]]),
                                  torch.tensor([[actions[name] for name in items]]))
        assert_same([rewards[name] for name in users], step.user_reward[0].tolist())
        assert_same([rewards[name] for name in items], step.item_reward[0].tolist())
        assert set(truncated.values()) == {bool(step.truncated[0])}
        assert not any(terminated.values())
    assert int(state.time[0]) == market.config.horizon
    assert sum(env.illegal_actions.values()) == 0


def test_names_spaces_and_metadata() -> None:
    env = market_v0.parallel_env(**SMALL_TOWN)
    assert env.possible_agents == [*(f"user_{k}" for k in range(4)), *(f"item_{k}" for k in range(5))]
    env.reset(seed=0)
    assert env.agents == env.possible_agents
    assert set(env.observation_spaces) == set(env.action_spaces) == set(env.possible_agents)
    for agent in env.possible_agents:
        assert env.observation_space(agent) is env.observation_spaces[agent]
        assert env.action_space(agent) is env.action_spaces[agent]
    assert int(env.action_space("user_0").n) == 1 + 4
    assert int(env.action_space("item_0").n) == 1 + 4 * 2
    assert set(env.metadata) >= {"name", "render_modes", "render_fps", "is_parallelizable"}
    assert not hasattr(env, "num_envs")
    env.close()


@pytest.mark.parametrize("name", list(presets()))
def test_observations_stay_inside_their_spaces(name: str) -> None:
    env = market_v0.parallel_env(name)
    observations, infos = env.reset(seed=3)
    assert all(env.observation_space(agent).contains(row) for agent, row in observations.items())
    for later, *_ in play(env, infos):  # all agents' bounds are one, so that one look at all is enough
        assert env.state_space.contains(np.concatenate(list(later.values())))


def test_where_the_mask_is_given() -> None:
    observations, infos = market_v0.parallel_env(**SMALL_TOWN, action_mask="none").reset(seed=0)
    assert infos == {agent: {} for agent in observations}
    env = market_v0.parallel_env(**SMALL_TOWN, action_mask="obs")
    both, infos = env.reset(seed=0)
    assert infos == {agent: {} for agent in observations}
    for agent, row in observations.items():
        space = env.observation_space(agent)
        assert isinstance(space, Dict)
        assert space.contains(both[agent])
        assert both[agent]["action_mask"].dtype == np.int8
        assert_same(both[agent]["observation"], row)


def test_everything_is_the_callers_own() -> None:
    clean, spoilt = market_v0.parallel_env(**SMALL_TOWN), market_v0.parallel_env(**SMALL_TOWN)
    (_, infos), (observations, dirty) = clean.reset(seed=2), spoilt.reset(seed=2)
    rng = np.random.default_rng(0)
    while clean.agents:
        actions = any_allowed(clean, infos, rng)
        for agent, row in observations.items():
            row.fill(99.0)
            dirty[agent]["action_mask"].fill(9)
            dirty[agent]["mine"] = 1
        observations.clear()
        expected, (observations, *rest, dirty) = clean.step(actions), spoilt.step(actions)
        infos = expected[4]
        assert_same((observations, *rest, dirty), expected)
        for values in rest:
            values.clear()
        assert_same(spoilt.state(), clean.state())


def test_no_two_arrays_overlap() -> None:
    env = market_v0.parallel_env(**SMALL_TOWN)
    observations, infos = env.reset(seed=0)
    later, *_, more = env.step({})
    rows = [*observations.values(), *later.values()]
    masks = [info["action_mask"] for infos in (infos, more) for info in infos.values()]
    for arrays in (rows, masks):
        assert not any(np.shares_memory(a, b) for k, a in enumerate(arrays) for b in arrays[:k])


@pytest.mark.parametrize("options", [SMALL_TOWN, HARSH_TOWN | dict(deaths=True)], ids=["town", "deadly"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_has_the_same_future(options: dict[str, Any], copied: Any) -> None:
    env = market_v0.parallel_env(**options)
    _, infos = env.reset(seed=5)
    env.action_space("user_0").seed(1)
    infos = play(env, infos, steps=5)[-1][4]
    twin = copied(env)
    assert_same(play(twin, infos, seed=9), play(env, infos, seed=9))
    assert_same(twin.reset(), env.reset())
    assert [twin.action_space("user_0").sample() for _ in range(9)] == [env.action_space("user_0").sample()
                                                                       for _ in range(9)]


@pytest.mark.parametrize("preset", presets())
def test_markets_of_all_presets_can_be_pickled(preset: str) -> None:
    """Populations that are drawn by a function within a function cannot."""
    env = market_v0.parallel_env(preset)
    assert_same(pickle.loads(pickle.dumps(env)).reset(seed=3), env.reset(seed=3))


def test_seeds_name_a_stream_of_episodes() -> None:
    env, market = market_v0.parallel_env(**SMALL_TOWN), market_v0.parallel_env(**SMALL_TOWN).market
    for world in range(3):
        observations, _ = env.reset(seed=11) if world == 0 else env.reset()
        own = market.observe(market.reset([world], 11), "users").own[0]
        assert_same(observations["user_2"][:own.shape[1]], own[2].numpy())
    fresh = [market_v0.parallel_env(**SMALL_TOWN).reset()[0]["user_0"] for _ in range(2)]
    assert not np.array_equal(*fresh)


def test_global_random_state_is_left_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    env = market_v0.parallel_env(**SMALL_TOWN)
    play(env, env.reset()[1])
    assert_same(torch.get_rng_state().numpy(), before.numpy())


def test_bad_actions_become_nothing_and_are_counted() -> None:
    env, idle = market_v0.parallel_env(**SMALL_TOWN), market_v0.parallel_env(**SMALL_TOWN)
    env.reset(seed=0)
    idle.reset(seed=0)
    nothing = dict.fromkeys(idle.agents, 0)
    bad = {"user_0": 5, "user_1": -1, "user_2": 10**30, "item_0": np.int64(99), "item_1": None}
    assert_same(env.step(bad), idle.step(nothing))
    assert env.illegal_actions == {"forbidden": 4, "missing": 5, "dead": 0}
    assert_same(env.step({}), idle.step(nothing))
    assert env.illegal_actions == {"forbidden": 4, "missing": 14, "dead": 0}
    assert idle.illegal_actions == {"forbidden": 0, "missing": 0, "dead": 0}


@pytest.mark.parametrize("kind", [int, np.int64, np.int8, np.uint32, lambda k: np.array(k), torch.tensor])
def test_any_kind_of_integer_will_do(kind: Any) -> None:
    env, plain = market_v0.parallel_env(**SMALL_TOWN), market_v0.parallel_env(**SMALL_TOWN)
    env.reset(seed=0)
    plain.reset(seed=0)
    assert_same(env.step({agent: kind(1) for agent in env.agents}), plain.step(dict.fromkeys(plain.agents, 1)))


@pytest.mark.parametrize("action", [1.0, "1", np.array([1]), np.float32(1), [1]])
def test_what_is_no_integer_is_named(action: Any) -> None:
    env = market_v0.parallel_env(**SMALL_TOWN)
    env.reset(seed=0)
    with refused("item_3", action, fix="int(action)"):
        env.step({"item_3": action})
    with refused("user_99", fix="possible_agents"):
        env.step({"user_99": 0})


def play_with_deaths(env: MarketParallelEnv, seed: int) -> tuple[set[str], bool]:
    """Who died in a random episode, and whether it came to its horizon."""
    _, infos = env.reset(seed=seed)
    rng, gone, truncated = np.random.default_rng(seed), set(), {"nobody": False}
    while env.agents:
        acting = env.agents
        observations, *rest, infos = env.step(any_allowed(env, infos, rng) | dict.fromkeys(gone, 1))
        assert all(list(values) == acting for values in (observations, *rest, infos))
        _, terminated, truncated = rest
        gone |= {agent for agent in acting if terminated[agent]}
        left = [agent for agent in env.possible_agents if agent not in gone]
        assert {agent for agent in acting if truncated[agent]} in (set(), set(left))
        assert env.agents == ([] if any(truncated.values()) else left)
    return gone, any(truncated.values())


def test_deaths_are_for_good() -> None:
    env = market_v0.parallel_env(**HARSH_TOWN | {"budgets.start": 8.0, "mood.return_rate": 0.9}, deaths=True)
    assert not env.market.config.users_return
    ends = [play_with_deaths(env, seed) for seed in range(20)]
    assert {agent[:4] for gone, _ in ends for agent in gone} == {"user", "item"}
    assert all(full == (len(gone) < len(env.possible_agents)) for gone, full in ends)
    assert {full for _, full in ends} == {False, True}
    assert env.illegal_actions["dead"] > 0
    assert env.illegal_actions["forbidden"] == env.illegal_actions["missing"] == 0


def test_by_default_no_agent_dies_and_users_return() -> None:
    env = market_v0.parallel_env(**HARSH_TOWN, mood={"return_rate": 0.3})
    _, infos = env.reset(seed=1)
    here: list[dict[str, bool]] = []
    steps = play(env, infos)
    assert all(steps[-1][3].values())
    for _, rewards, terminated, _, infos in steps:
        assert terminated == dict.fromkeys(env.possible_agents, False)
        for agent in env.possible_agents[:6]:
            assert rewards[agent] == 0.0 or not here or here[-1][agent]
        here.append({agent: infos[agent]["action_mask"].sum() > 1 for agent in env.possible_agents})
    assert any(not a["user_0"] and b["user_0"] for a, b in pairwise(here))
    assert any(not here[-1][agent] for agent in env.possible_agents[6:])  # a dead item can only rest
    assert env.agents == []


@pytest.mark.parametrize("deaths", [False, True])
def test_max_cycles_truncates_all_agents_at_once(deaths: bool) -> None:
    env = market_v0.parallel_env(**SMALL_TOWN, max_cycles=3, deaths=deaths)
    _, infos = env.reset(seed=0)
    steps = play(env, infos)
    assert [set(step[3].values()) for step in steps] == [{False}, {False}, {True}]
    env.reset()
    assert env.agents == env.possible_agents


@pytest.mark.parametrize("deaths", [False, True])
def test_a_step_after_the_end_gives_empty_dicts(deaths: bool) -> None:
    """Wrappers such as SuperSuit's black_death go on to step an environment that has no agents left."""
    env = market_v0.parallel_env(**SMALL_TOWN, max_cycles=2, deaths=deaths)
    play(env, env.reset(seed=0)[1])
    before, counted = env.state(), dict(env.illegal_actions)
    first, second = env.step({}), env.step({"user_0": 1})
    assert first == second == ({}, {}, {}, {}, {})
    assert len({id(each) for each in (*first, *second)}) == 10
    assert_same(env.state(), before)
    assert env.illegal_actions == counted


def test_state_is_all_observations() -> None:
    env = market_v0.parallel_env(**SMALL_TOWN)
    observations, _ = env.reset(seed=0)
    assert isinstance(env.state_space, Box)
    assert env.state_space.contains(env.state())
    assert_same(env.state(), np.concatenate(list(observations.values())))
    env.state().fill(99.0)
    assert_same(env.state(), np.concatenate(list(observations.values())))


def test_calls_before_reset_are_explained() -> None:
    env = market_v0.parallel_env(**SMALL_TOWN)
    for call in (lambda: env.step({}), env.state, env.render):
        with refused("reset()", fix="reset()"):
            call()


def test_render(capsys: pytest.CaptureFixture[str]) -> None:
    env = market_v0.parallel_env(**HARSH_TOWN, render_mode="ansi")
    _, infos = env.reset(seed=1)
    assert "none yet" in str(env.render())
    play(env, infos, steps=20)
    text = str(env.render())
    assert "20 of 40" in text
    assert "item_" in text
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("options", "named", "fix"), [
    (dict(preset="nowhere"), ["preset", "nowhere"], "module:name"), (dict(num_user=3), ["num_user"], "num_users"),
    (dict(action_mask="yes"), ["action_mask", "yes"], ()), (dict(max_cycles=0), ["max_cycles", 0], 1),
    (dict(render_mode="pictures"), ["render_mode", "pictures"], "ansi"),
    (dict(max_cycles=float("nan")), ["max_cycles", "nan"], ()), (dict(deaths="no"), ["deaths", "no"], (True, False)),
    (dict(market=find_preset("kale").market(), horizon=3), ["horizon", 3], "config"),
])
def test_wrong_arguments_are_named(options: dict[str, Any], named: list[Any], fix: Any) -> None:
    with refused(*named, fix=fix):
        market_v0.parallel_env(**options)


@pytest.mark.parametrize("make", [market_v0.parallel_env, market_v0.raw_env, market_v0.env, RecommendEnv,
                                  RecommendVectorEnv])
@pytest.mark.parametrize(("name", "value"), [("frameskip", 4), ("render_mode", "pictures"), ("num_user", 3)])
def test_unknown_arguments_are_type_errors_in_pythons_words(make: Any, name: str, value: Any) -> None:
    """Clients probe constructors so, and go on when they read these words."""
    with refused(f"unexpected keyword argument '{name}'") as error:
        make(preset="kale", **{name: value})
    assert isinstance(error.value, TypeError)
    assert type(error.value)("one message") is not None  # Gymnasium makes another of the same type


def test_a_market_can_be_given_in_three_ways() -> None:
    kale = find_preset("kale")
    one, two = market_v0.parallel_env("kale"), market_v0.parallel_env(kale)
    three = market_v0.parallel_env(market=kale.market())
    assert_same(one.reset(seed=1), two.reset(seed=1))
    assert_same(one.reset(seed=1), three.reset(seed=1))
    four = market_v0.parallel_env("interplay.envs.presets.kale:KALE")
    assert_same(one.reset(seed=1), four.reset(seed=1))


def test_agent_by_agent_gives_the_same_game() -> None:
    env, aec = market_v0.parallel_env(**SMALL_TOWN), market_v0.env(**SMALL_TOWN)
    env.reset(seed=4)
    aec.reset(seed=4)
    for _ in range(5):
        observations, rewards, *_ = env.step(dict.fromkeys(env.agents, 1))
        for _ in env.possible_agents:
            aec.step(1)
        assert_same({agent: aec.observe(agent) for agent in aec.agents}, observations)
        assert_same(aec.rewards, rewards)


@pytest.mark.parametrize("kind", [int, np.int32, np.int64, np.uint8, np.array])
def test_integers_of_any_kind_act_alike(kind):
    one, other = (market_v0.parallel_env("kale") for _ in range(2))
    for env in (one, other):
        env.reset(seed=3)
    given = {agent: 1 if agent.startswith("user") else 0 for agent in one.agents}
    expected = one.step(given)
    found = other.step({agent: kind(action) for agent, action in given.items()})
    assert found[1] == expected[1]
    assert other.illegal_actions == one.illegal_actions == {"forbidden": 0, "missing": 0, "dead": 0}


@pytest.mark.parametrize("wrong", [-7, 10**30, -(10**30), 2**40])
def test_integers_beyond_every_range_are_forbidden(wrong):
    env = market_v0.parallel_env("kale")
    env.reset(seed=3)
    env.step(dict.fromkeys(env.agents, 0) | {"user_0": wrong})
    assert env.illegal_actions["forbidden"] == 1
