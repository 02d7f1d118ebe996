"""Other people's programs run against the environment as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
import supersuit
import torch
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import api_test, max_cycles_test, parallel_api_test, parallel_seed_test, seed_test
from stable_baselines3 import DQN, PPO
from torchrl.envs import PettingZooWrapper
from torchrl.envs.utils import check_env_specs

import interplay  # noqa: F401  (registers the Gymnasium environment)
from interplay.envs import market_v0

KALE: dict[str, Any] = dict(preset="kale")
TOWN: dict[str, Any] = dict(preset="town", num_users=4, num_items=5, horizon=20)
# Agents of both sides go within an episode.
DEADLY: dict[str, Any] = TOWN | dict(deaths=True, mood_max=0.5, mood_decay=1.0, energy_start=3.0)


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
    check_env(gymnasium.make("interplay/Recommend-v0", **options).unwrapped)


def test_gymnasium_vector_wrappers() -> None:
    batch = gymnasium.make_vec("interplay/Recommend-v0", num_envs=3, **TOWN)
    counting = gymnasium.wrappers.vector.RecordEpisodeStatistics(batch)
    counting.reset(seed=0)
    infos = [counting.step(counting.action_space.sample())[4] for _ in range(20)]
    assert infos[-1]["episode"]["l"].tolist() == [20, 20, 20]


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


def test_supersuit_and_stable_baselines() -> None:
    env = market_v0.parallel_env(**TOWN, action_mask="none")
    padded = supersuit.pad_action_space_v0(supersuit.pad_observations_v0(env))
    batch = supersuit.concat_vec_envs_v1(supersuit.pettingzoo_env_to_vec_env_v1(padded), 2,
                                         base_class="stable_baselines3")
    PPO("MlpPolicy", batch, n_steps=16, batch_size=32, n_epochs=1, device="cpu").learn(600)


def test_stable_baselines_on_gymnasium() -> None:
    model = DQN("MlpPolicy", gymnasium.make("interplay/Recommend-v0", **KALE), learning_starts=50, seed=0,
                device="cpu").learn(300)
    action, _ = model.predict(np.zeros(model.observation_space.shape or (), dtype=np.float32))
    assert 0 <= int(action) <= 4
