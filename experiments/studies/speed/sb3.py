"""Rounds of learning of Stable-Baselines3's DQN and PPO, of the same sizes as those of ``dqn`` and ``ippo``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from interplay.envs.types import SideSpec


class Peer(NamedTuple):
    """What follows the steps of a round, without what chooses actions.

    Attributes:
        keep: puts the steps into memory; of PPO with their values and returns, which it works out while it plays.
        update: as many updates, on as many rows.
    """

    keep: Callable[[], Any]
    update: Callable[[], Any]


class _Still(gymnasium.Env[Any, Any]):
    """Has the spaces of one of a side's agents, and nothing else."""

    def __init__(self, spec: SideSpec) -> None:
        features = len(spec.own_features) + spec.num_options * len(spec.option_features)
        self.observation_space = gymnasium.spaces.Box(-4.0, 4.0, (features,))
        self.action_space = gymnasium.spaces.Discrete(spec.num_actions)


def dqn(spec: SideSpec, num_envs: int, options: Any) -> Peer:
    """Of ``dqn`` with these options."""
    from stable_baselines3 import DQN

    model = _model(DQN, spec, num_envs, options, batch_size=options.batch_size, buffer_size=options.capacity)
    seen, nothing = _random(model, num_envs), np.zeros(num_envs)

    def keep() -> None:
        for _ in range(options.update_every):
            model.replay_buffer.add(seen, seen, np.zeros((num_envs, 1), np.int64), nothing, nothing, [{}] * num_envs)

    for _ in range(-(-4096 // num_envs)):
        keep()
    return Peer(keep, lambda: model.train(gradient_steps=options.updates_per_step, batch_size=options.batch_size))


def ippo(spec: SideSpec, num_envs: int, options: Any) -> Peer:
    """Of ``ippo`` with these options."""
    from stable_baselines3 import PPO

    steps = options.rollout_length
    model = _model(PPO, spec, num_envs, options, n_steps=steps, n_epochs=options.num_epochs,
                   batch_size=steps * num_envs // options.num_minibatches)
    buffer, seen, ones = model.rollout_buffer, _random(model, num_envs), np.ones(num_envs, np.float32)

    @torch.no_grad()
    def keep() -> None:
        buffer.reset()
        for _ in range(steps):
            value = model.policy.predict_values(torch.from_numpy(seen))
            buffer.add(seen, np.zeros((num_envs, 1)), ones, 0 * ones, value, torch.zeros(num_envs))
        buffer.compute_returns_and_advantage(model.policy.predict_values(torch.from_numpy(seen)), 0 * ones)

    keep()
    return Peer(keep, model.train)


PEERS: Mapping[str, Callable[[SideSpec, int, Any], Peer]] = {"dqn": dqn, "ippo": ippo}


def _model(kind: Any, spec: SideSpec, num_envs: int, options: Any, **sizes: Any) -> Any:
    """With two hidden layers of the same width."""
    from stable_baselines3.common.logger import Logger
    from stable_baselines3.common.vec_env import DummyVecEnv

    model = kind("MlpPolicy", DummyVecEnv([lambda: _Still(spec)] * num_envs), device="cpu", **sizes,
                 policy_kwargs={"net_arch": [options.hidden] * 2, "activation_fn": torch.nn.ReLU})
    model.set_logger(Logger(None, []))
    return model


def _random(model: Any, rows: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-1, 1, (rows, *model.observation_space.shape)).astype(np.float32)
