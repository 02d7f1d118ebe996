# /// script
# requires-python = ">=3.11"
# dependencies = ["interplay", "ray[rllib]==2.60.0"]
# ///
"""PPO of RLlib, with a policy for users and one for items, and RLlib's own module for masks."""
from gymnasium.spaces import Dict
from pettingzoo.utils import BaseParallelWrapper
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module import MultiRLModuleSpec, RLModuleSpec
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
from ray.rllib.examples.rl_modules.classes.action_masking_rlm import ActionMaskingTorchRLModule
from ray.tune.registry import register_env

import interplay as ip


class Renamed(BaseParallelWrapper):
    """RLlib's module looks for `observations`, PettingZoo says `observation`."""

    def observation_space(self, agent):
        space = self.env.observation_space(agent)
        return Dict({"observations": space["observation"], "action_mask": space["action_mask"]})

    def reset(self, seed=None, options=None):
        return *map(renamed, self.env.reset(seed=seed)[:1]), {}

    def step(self, actions):
        seen, *rest = self.env.step(actions)
        return renamed(seen), *rest


def renamed(seen):
    """Observations with the other name."""
    return {agent: {"observations": one["observation"], "action_mask": one["action_mask"]}
            for agent, one in seen.items()}


def make(_):
    """The market as RLlib's own environment."""
    market = ip.pettingzoo("town", num_users=8, num_items=6, horizon=20, action_mask="obs")
    return ParallelPettingZooEnv(Renamed(market))


register_env("market", make)
modules = MultiRLModuleSpec(rl_module_specs={
    side: RLModuleSpec(module_class=ActionMaskingTorchRLModule, model_config={"head_fcnet_hiddens": [64]})
    for side in ("user", "item")})
config = (PPOConfig().environment("market").env_runners(num_env_runners=0)
          .multi_agent(policies={"user", "item"}, policy_mapping_fn=lambda agent, *_, **__: agent.split("_")[0])
          .rl_module(rl_module_spec=modules)
          .training(train_batch_size_per_learner=400, minibatch_size=256, num_epochs=2))
algorithm = config.build_algo()
for _ in range(3):
    result = algorithm.train()
returns = result["env_runners"]["module_episode_returns_mean"]
print(f"return of users {returns['user']:.2f}, of items {returns['item']:.2f}")
