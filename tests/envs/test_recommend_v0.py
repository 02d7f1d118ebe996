from __future__ import annotations

import copy
import importlib
import pickle
import subprocess
import sys
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

import interplay.envs
from interplay.envs.presets import find_preset
from interplay.envs.recommend_v0 import RecommendEnv, RecommendVectorEnv
from refusals import refused

SMALL_TOWN: dict[str, Any] = dict(preset="town", num_users=4, num_items=5, horizon=12)
# The user leaves for good at the first bad experience, in some worlds sooner than in others.
HARSH_TOWN: dict[str, Any] = SMALL_TOWN | {"mood.max": 0.5, "mood.decay": 1.0, "mood.return_rate": 0.0}


def assert_same(one: Any, other: Any) -> None:
    np.testing.assert_equal(one, other)


def test_it_is_registered_and_light_to_import() -> None:
    code = ("import sys, interplay, gymnasium\n"
            "print(gymnasium.spec('interplay/Recommend-v0').version, 'torch' in sys.modules)")
    found = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "0 False"
    importlib.reload(interplay.envs)  # registers once more, and must not warn


def test_gymnasium_makes_both() -> None:
    env = gymnasium.make("interplay/Recommend-v0", preset="kale")
    assert isinstance(env.unwrapped, RecommendEnv)
    batch = gymnasium.make_vec("interplay/Recommend-v0", num_envs=8, preset="kale")
    assert isinstance(batch, RecommendVectorEnv)
    assert batch.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert batch.reset(seed=0)[0].shape == (8, *(env.observation_space.shape or ()))


def test_a_user_of_kale_is_the_core() -> None:
    env, market, rng = RecommendEnv("kale"), find_preset("kale").market(), np.random.default_rng(0)
    observation, info = env.reset(seed=3)
    state, truncated = market.reset([0], 3), False
    while not truncated:
        seen = market.observe(state, "users")
        assert_same(observation, torch.cat([seen.own, seen.options.flatten(2)], dim=2)[0, 0].numpy())
        assert_same(info["action_mask"], seen.mask[0, 0].numpy().astype(np.int8))
        action = int(rng.integers(5))
        observation, reward, terminated, truncated, info = env.step(action)
        state, step = market.step(state, torch.tensor([[action]]), torch.zeros(1, 4, dtype=torch.int64))
        assert reward == float(step.response[0, 0])
        assert truncated == bool(step.truncated[0])
        assert not terminated


@pytest.mark.parametrize("options", [SMALL_TOWN, HARSH_TOWN, HARSH_TOWN | dict(others="first", items="random"),
                                     dict(preset="kale", horizon=12)],
                         ids=["town", "harsh", "harsh-random-items", "kale"])
def test_the_batch_is_its_worlds(options: dict[str, Any]) -> None:
    """Each place of the batch plays what a single environment plays in the same worlds, autoresets included."""
    size, rng = 3, np.random.default_rng(0)
    batch, singles = RecommendVectorEnv(size, **options), [RecommendEnv(**options) for _ in range(size)]
    observation, info = batch.reset(seed=6)
    alone = [_skip_to(single, place) for place, single in enumerate(singles)]
    new, ends = [False] * size, 0
    for _ in range(40):
        assert_same(observation, np.stack([a[0] for a in alone]))
        assert_same(info["action_mask"], np.stack([a[-1]["action_mask"] for a in alone]))
        actions = rng.integers(batch.single_action_space.n, size=size)
        observation, reward, terminated, truncated, info = batch.step(actions)
        for k, single in enumerate(singles):
            alone[k] = _next_world(single, size) if new[k] else single.step(actions[k])
            _, *rest = alone[k]
            assert rest[:-1] == [reward[k], terminated[k], truncated[k]] if not new[k] else reward[k] == 0.0
            new[k] = bool(terminated[k] or truncated[k])
            ends += new[k]
    assert ends >= size * 3
    assert batch.illegal_actions == sum(single.illegal_actions for single in singles)


def _skip_to(env: RecommendEnv, world: int) -> tuple[Any, ...]:
    begun = env.reset(seed=6)
    for _ in range(world):
        begun = env.reset()
    return begun


def _next_world(env: RecommendEnv, stride: int) -> tuple[Any, ...]:
    for _ in range(stride):
        begun = env.reset()
    return begun


def test_worlds_of_a_batch_end_at_different_times() -> None:
    batch = RecommendVectorEnv(16, **HARSH_TOWN)
    batch.reset(seed=0)
    left = np.stack([batch.step(np.ones(16, dtype=np.int64))[2] for _ in range(10)])
    assert left.any()
    assert len(set(left.argmax(0))) > 2


def test_an_agent_that_leaves_for_good_terminates() -> None:
    env = RecommendEnv(**HARSH_TOWN)
    env.reset(seed=0)
    ends = []
    for _ in range(20):
        terminated = truncated = False
        while not (terminated or truncated):
            *_, terminated, truncated, _ = env.step(1)
        ends.append((terminated, truncated))
        with refused("step()", fix="reset()"):
            env.step(1)
        env.reset()
    assert set(ends) == {(True, False), (False, True)}


def test_an_agent_that_may_return_does_not_terminate() -> None:
    env = RecommendEnv(**HARSH_TOWN | {"mood.return_rate": 0.4, "horizon": 300})
    env.reset(seed=0)
    here, truncated = [], False
    while not truncated:
        _, reward, terminated, truncated, info = env.step(1)
        assert not terminated
        assert reward == 0.0 or not here or here[-1]
        here.append(bool(info["action_mask"].sum() > 1))
    assert any(b and not a for a, b in pairwise(here))
    assert env.illegal_actions == len(here[:-1]) - sum(here[:-1])


@pytest.mark.parametrize("others", ["random", "first"])
@pytest.mark.parametrize("items", ["rest", "random"])
def test_the_simulated_side_plays_by_its_rule(others: Any, items: Any) -> None:
    env = RecommendVectorEnv(64, preset="town", num_users=4, num_items=5, others=others, items=items)
    env.reset(seed=0)
    state = env._begun("test")
    users, acts = env._company.actions(state, env._mask, np.zeros(64, dtype=np.int64))
    assert (users[:, 0] == 0).all()
    assert set(np.unique(users[:, 1:]).tolist()) == ({1} if others == "first" else {0, 1, 2, 3, 4})
    assert set(np.unique(acts).tolist()) == ({0} if items == "rest" else set(range(9)))
    mask = env.market.observe(state, "items").mask
    assert mask.gather(2, torch.from_numpy(acts).unsqueeze(2)).all()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_has_the_same_future(copied: Any) -> None:
    env = RecommendVectorEnv(5, **HARSH_TOWN, items="random")
    env.reset()
    env.step(np.ones(5, dtype=np.int64))
    twin = copied(env)
    for k in range(30):
        actions = np.full(5, k % 5)
        assert_same(twin.step(actions), env.step(actions))
    assert_same(twin.reset(), env.reset())


def test_seeds_name_a_stream_of_episodes() -> None:
    env = RecommendEnv(**SMALL_TOWN)
    first, second = env.reset(seed=8)[0], env.reset()[0]
    assert not np.array_equal(first, second)
    assert_same(env.reset(seed=8)[0], first)
    assert_same(env.reset()[0], second)
    unseeded = RecommendEnv(**SMALL_TOWN)
    start = unseeded.reset()[0]
    assert_same(RecommendEnv(**SMALL_TOWN).reset(seed=unseeded.np_random_seed)[0], start)
    assert not np.array_equal(start, unseeded.reset()[0])


def test_what_is_returned_is_the_callers_own() -> None:
    clean, spoilt = RecommendVectorEnv(3, **SMALL_TOWN), RecommendVectorEnv(3, **SMALL_TOWN)
    clean.reset(seed=0)
    returned = spoilt.reset(seed=0)
    for _ in range(30):
        returned[0].fill(99.0)
        returned[-1]["action_mask"].fill(9)
        returned = spoilt.step(np.ones(3, dtype=np.int64))
        assert_same(returned, clean.step(np.ones(3, dtype=np.int64)))
        returned[2].fill(True)
        returned[3].fill(True)


def test_wrong_calls_are_explained() -> None:
    env, batch = RecommendEnv("kale"), RecommendVectorEnv(2, "kale")
    for call in (lambda: env.step(0), lambda: batch.step(np.zeros(2, dtype=np.int64)), batch.render):
        with refused("step()" if call != batch.render else "render()", fix="reset()"):
            call()
    env.reset(seed=0)
    batch.reset(seed=0)
    with refused("user_0", 1.5, fix="int(action)"):
        env.step(1.5)  # type: ignore[arg-type]
    for actions in (np.zeros(3, dtype=np.int64), np.zeros(2)):
        with refused(actions.shape, actions.dtype, fix="num_envs=2"):
            batch.step(actions)  # type: ignore[arg-type]
    for name, value in (("others", "last"), ("items", "boost"), ("render_mode", "human"), ("num_envs", 0)):
        with refused(name, value):
            RecommendVectorEnv(**{name: value})  # type: ignore[arg-type]
    with refused("user_0", True, fix="int(action)"):
        env.step(True)


def test_bad_actions_recommend_nothing_and_are_counted() -> None:
    bad, idle = RecommendVectorEnv(2, "kale"), RecommendVectorEnv(2, "kale")
    bad.reset(seed=0)
    idle.reset(seed=0)
    assert_same(bad.step(np.array([-1, 99])), idle.step(np.array([0, 0])))
    assert (bad.illegal_actions, idle.illegal_actions) == (2, 0)


def test_render() -> None:
    env, batch = RecommendEnv("kale", render_mode="ansi"), RecommendVectorEnv(2, "kale", render_mode="ansi")
    env.reset(seed=0)
    batch.reset(seed=0)
    assert "0 of 50" in str(env.render())
    assert len(batch.render() or ()) == 2
    silent = RecommendEnv("kale")
    silent.reset(seed=0)
    assert silent.render() is None
