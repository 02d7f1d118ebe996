# /// script
# requires-python = ">=3.11"
# dependencies = ["interplay", "tianshou==2.0.1"]
# ///
"""DQN of Tianshou on the Gymnasium view. Its policies find a mask in `obs["mask"]`."""
import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Dict
from tianshou.algorithm import DQN
from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils.net.common import Net

import interplay  # noqa: F401  (registers the environment)

EPOCHS = 8


class Masked(gymnasium.Wrapper):
    """A user, and what may be recommended."""

    def __init__(self):
        super().__init__(gymnasium.make("interplay/Recommend-v0", preset="kale"))
        self.observation_space = Dict({"obs": self.env.observation_space, "mask": Box(0, 1, (5,), np.int8)})

    def reset(self, **options):
        seen, info = self.env.reset(**options)
        return {"obs": seen, "mask": info["action_mask"]}, info

    def step(self, action):
        seen, *rest = self.env.step(action)
        return {"obs": seen, "mask": rest[-1]["action_mask"]}, *rest


torch.manual_seed(0)
env, worlds = Masked(), DummyVectorEnv([Masked] * 10)
net = Net(state_shape=env.observation_space["obs"].shape, action_shape=env.action_space.n, hidden_sizes=[64, 64])
policy = DiscreteQLearningPolicy(model=net, action_space=env.action_space, observation_space=env.observation_space,
                                 eps_training=0.2)
algorithm = DQN(policy=policy, optim=AdamOptimizerFactory(lr=1e-3), gamma=0.97, n_step_return_horizon=3,
                target_update_freq=200)
training = Collector(algorithm, worlds, VectorReplayBuffer(20_000, 10))
test = Collector(algorithm, DummyVectorEnv([Masked] * 10))
training.reset()
training.collect(n_step=1000, random=True)
result = algorithm.run_training(OffPolicyTrainerParams(
    training_collector=training, test_collector=test, max_epochs=EPOCHS, epoch_num_steps=1000, batch_size=64,
    collection_step_num_env_steps=10, test_step_num_episodes=10, update_step_num_gradient_steps_per_sample=1.0))
print(f"mean return {result.best_reward:.2f}, the optimum is 39.22")
