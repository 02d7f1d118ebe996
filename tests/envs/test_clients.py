"""Other people's programs run against the environment as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import supersuit
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from pettingzoo.test import (
    api_test,
    max_cycles_test,
    parallel_api_test,
    parallel_seed_test,
    render_test,
    seed_test,
    state_test,
)
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_checker import check_env as sb3_check_env
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecVideoRecorder
from torchrl.envs import GymEnv, PettingZooWrapper
from torchrl.envs.utils import check_env_specs

import interplay  # noqa: F401  (registers the Gymnasium environment)
from interplay.envs import market_v0
from interplay.envs.recommend_v0 import RecommendVectorEnv

RECOMMEND = "interplay/Recommend-v0"
KALE: dict[str, Any] = dict(preset="kale")
TOWN: dict[str, Any] = dict(preset="town", num_users=4, num_items=5, horizon=20)
# Agents of both sides go within an episode.
DEADLY: dict[str, Any] = TOWN | {"deaths": True, "mood.max": 0.5, "mood.decay": 1.0, "budgets.start": 3.0}

# The one user of each world leaves for good soon.
LEAVING: dict[str, Any] = TOWN | {"horizon": 9, "mood.max": 0.5, "mood.decay": 1.0, "mood.return_rate": 0.0}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks as small as these only lose time to more threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("mask", ["info", "obs", "none"])
@pytest.mark.parametrize("options", [KALE, TOWN, DEADLY], ids=["kale", "town", "deadly"])
def test_pettingzoo_parallel(options: dict[str, Any], mask: Any) -> None:
    parallel_api_test(market_v0.parallel_env(**options, action_mask=mask), num_cycles=60)
    parallel_seed_test(lambda: market_v0.parallel_env(**options, action_mask=mask), num_cycles=3)


def test_pettingzoo_max_cycles() -> None:
    max_cycles_test(market_v0)


@pytest.mark.parametrize("options", [KALE, TOWN, DEADLY], ids=["kale", "town", "deadly"])
def test_pettingzoo_render(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """With a window that nobody sees."""
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setattr(market_v0.MarketParallelEnv, "metadata",
                        market_v0.MarketParallelEnv.metadata | {"render_fps": 1000})
    render_test(lambda render_mode: market_v0.env(**options, render_mode=render_mode),
                custom_tests={"ansi": lambda text: "mood" in text})


def test_stable_baselines_records_videos(tmp_path: Path) -> None:
    pytest.importorskip("moviepy")
    batch = VecVideoRecorder(make_vec_env(RECOMMEND, n_envs=2, seed=0, env_kwargs=KALE), str(tmp_path),
                             record_video_trigger=lambda step: step == 0, video_length=3)
    batch.reset()
    for _ in range(4):
        batch.step(np.array([1, 2]))
    batch.close()
    assert [path.suffix for path in tmp_path.iterdir()] == [".mp4"]


@pytest.mark.parametrize("options", [KALE, TOWN, DEADLY], ids=["kale", "town", "deadly"])
def test_pettingzoo_state(options: dict[str, Any]) -> None:
    state_test(market_v0.env(**options), market_v0.parallel_env(**options))


# PettingZoo advises against two kinds of agents and against masks in observations; here both are meant.
@pytest.mark.filterwarnings("ignore:Agents have different observation space sizes:UserWarning")
@pytest.mark.filterwarnings("ignore:Observations are different shapes:UserWarning")
@pytest.mark.filterwarnings("ignore:Observation space for each agent probably should be:UserWarning")
@pytest.mark.filterwarnings("ignore:Observation is not a NumPy array:UserWarning")
@pytest.mark.parametrize("mask", ["info", "obs", "none"])
@pytest.mark.parametrize("options", [KALE, TOWN, DEADLY], ids=["kale", "town", "deadly"])
def test_pettingzoo_aec(options: dict[str, Any], mask: Any) -> None:
    api_test(market_v0.env(**options, action_mask=mask), num_cycles=30)
    seed_test(lambda: market_v0.env(**options, action_mask=mask), num_cycles=30)


@pytest.mark.parametrize("options", [KALE, TOWN | dict(items="random", others="first")], ids=["kale", "town"])
def test_gymnasium(options: dict[str, Any]) -> None:
    check_env(gymnasium.make(RECOMMEND, **options).unwrapped)


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.value)
def test_gymnasium_vector_wrappers(mode: AutoresetMode) -> None:
    batch = gymnasium.make_vec(RECOMMEND, num_envs=3, **TOWN, autoreset_mode=mode)
    assert batch.spec is not None
    assert batch.spec.max_episode_steps == 20
    counting = gymnasium.wrappers.vector.RecordEpisodeStatistics(batch)
    counting.reset(seed=0)
    infos = [counting.step(counting.action_space.sample())[4] for _ in range(20)]
    assert infos[-1]["episode"]["l"].tolist() == [20, 20, 20]


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.value)
def test_the_vector_env_is_gymnasiums_own_of_single_envs(mode: AutoresetMode) -> None:
    """``SyncVectorEnv`` resets in every mode as Gymnasium means it: shapes, flags and infos must be the same."""
    made: tuple[Any, Any] = (
        RecommendVectorEnv(1, **LEAVING, autoreset_mode=mode),
        gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make(RECOMMEND, **LEAVING)], autoreset_mode=mode))
    assert made[0].single_observation_space == made[1].single_observation_space
    np.testing.assert_equal(*(env.reset(seed=3) for env in made))
    ends = 0
    for _ in range(40):
        found, expected = (env.step(np.ones(1, dtype=np.int64)) for env in made)
        np.testing.assert_equal(*(list(step[4].pop("final_obs", [])) for step in (found, expected)))
        np.testing.assert_equal(found, expected)
        ended = found[2] | found[3]
        ends += int(ended.sum())
        if ended.any() and mode is AutoresetMode.DISABLED:
            np.testing.assert_equal(*(env.reset(options={"reset_mask": ended}) for env in made))
    assert ends > 3


# TorchRL says this of every PettingZoo but 1.24.3.
@pytest.mark.filterwarnings("ignore:PettingZoo in TorchRL is tested using version:UserWarning")
@pytest.mark.parametrize("mask", ["info", "obs", "none"])
@pytest.mark.parametrize("options", [KALE, TOWN, DEADLY], ids=["kale", "town", "deadly"])
def test_torchrl(options: dict[str, Any], mask: Any) -> None:
    made = market_v0.parallel_env(**options, action_mask=mask)
    groups = {side: [a for a in made.possible_agents if a.startswith(side[:4])] for side in ("users", "items")}
    env = PettingZooWrapper(made, group_map=groups, use_mask=True, return_state=True, done_on_any=False)
    check_env_specs(env, seed=0)
    rollout = env.rollout(60)
    assert rollout["next", "done"][-1].all()
    assert len(rollout) == made.market.config.horizon or (options is DEADLY and len(rollout) < 20)
    if mask != "none":
        assert rollout["users", "action_mask"].dtype == torch.bool
        assert made.illegal_actions["forbidden"] == 0


@pytest.mark.parametrize("options", [TOWN, DEADLY], ids=["town", "deadly"])
def test_supersuit_and_stable_baselines(options: dict[str, Any]) -> None:
    env = supersuit.black_death_v3(market_v0.parallel_env(**options, action_mask="none"))
    padded = supersuit.pad_action_space_v0(supersuit.pad_observations_v0(env))
    batch = supersuit.concat_vec_envs_v1(supersuit.pettingzoo_env_to_vec_env_v1(padded), 2,
                                         base_class="stable_baselines3")
    PPO("MlpPolicy", batch, n_steps=16, batch_size=32, n_epochs=1, device="cpu").learn(600)


def test_supersuit_steps_the_dead() -> None:
    """All are dead before the horizon, and ``black_death`` goes on with every agent."""
    env = supersuit.black_death_v3(market_v0.parallel_env(**DEADLY, action_mask="none"))
    parallel_api_test(env, num_cycles=60)
    env.reset(seed=0)
    for _ in range(20):
        _, reward, terminated, truncated, _ = env.step(dict.fromkeys(env.possible_agents, 1))
        assert set(reward) == set(terminated) == set(truncated)


def test_stable_baselines_by_name() -> None:
    batch = make_vec_env(RECOMMEND, n_envs=2, seed=0, env_kwargs=TOWN)
    assert batch.render_mode == "rgb_array"
    PPO("MlpPolicy", batch, n_steps=16, batch_size=32, n_epochs=1, device="cpu").learn(64)
    sb3_check_env(gymnasium.make(RECOMMEND, **TOWN))


def test_stable_baselines_on_gymnasium() -> None:
    model = DQN("MlpPolicy", gymnasium.make(RECOMMEND, **KALE), learning_starts=50, seed=0, device="cpu").learn(300)
    action, _ = model.predict(np.zeros(model.observation_space.shape or (), dtype=np.float32))
    assert 0 <= int(action) <= 4


def test_maskable_ppo_recommends_nothing_that_is_forbidden() -> None:
    sb3_contrib = pytest.importorskip("sb3_contrib")
    masking = pytest.importorskip("sb3_contrib.common.maskable.utils")
    env = gymnasium.make(RECOMMEND, **LEAVING | {"mood.return_rate": 0.3})
    assert masking.is_masking_supported(env)
    model = sb3_contrib.MaskablePPO("MlpPolicy", env, n_steps=64, batch_size=32, n_epochs=1, device="cpu").learn(256)
    assert env.get_wrapper_attr("illegal_actions") == 0
    observation, _ = env.reset(seed=0)
    for _ in range(9):
        allowed = masking.get_action_masks(env)
        action = int(model.predict(observation, action_masks=allowed)[0])
        assert allowed[action]
        observation, *_ = env.step(action)


def test_torchrl_gym_env() -> None:
    """It asks for a ``frameskip`` and goes on without where that is unexpected."""
    env = GymEnv(RECOMMEND, frame_skip=2, **TOWN)
    check_env_specs(env, seed=0)
    assert len(env.rollout(30)) == 10
    assert len(GymEnv(RECOMMEND, **TOWN).rollout(30)) == 20


# Minari leaves its temporary folders to the garbage collector.
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up <TemporaryDirectory:ResourceWarning")
def test_minari_records_and_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minari = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    made = gymnasium.make(RECOMMEND, **TOWN)
    env = minari.DataCollector(made, record_infos=True)
    rewards: list[list[float]] = [[], []]
    for episode in rewards:
        env.reset(seed=7)
        truncated = False
        while not truncated:
            _, reward, _, truncated, _ = env.step(env.action_space.sample())
            episode.append(float(reward))
    env.create_dataset("interplay/recommend-v0", eval_env=made, algorithm_name="random", author="test",
                       description="Two episodes.", author_email="test@example.org", code_permalink="https://example.org")
    env._tmp_dir.cleanup()  # before the end of this test, and so of the filter above
    loaded = minari.load_dataset("interplay/recommend-v0")
    assert loaded.spec.env_spec.max_episode_steps == 20
    assert [episode.rewards.tolist() for episode in loaded.iterate_episodes()] == rewards
    assert loaded.recover_environment().observation_space == env.observation_space
