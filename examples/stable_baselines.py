"""Stable-Baselines3 trains on all worlds at once: the vector environment plays them as one batch."""
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from interplay.envs.recommend_v0 import RecommendVectorEnv


class Worlds(VecEnv):
    """A vector environment of Gymnasium as Stable-Baselines3, and MaskablePPO of sb3-contrib, take it."""

    def __init__(self, envs):
        self.envs = envs
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self):
        return self.envs.reset(seed=self._seeds[0])[0]

    def step_async(self, actions):
        self.actions = actions

    def step_wait(self):
        seen, reward, terminated, truncated, info = self.envs.step(self.actions)
        infos = [{"TimeLimit.truncated": bool(cut), "terminal_observation": last}
                 for cut, last in zip(truncated, info.get("final_obs", seen), strict=True)]
        return seen, reward.astype(np.float32), terminated | truncated, infos

    def get_attr(self, name, indices=None):
        return [getattr(self.envs, name)] * self.num_envs

    def set_attr(self, name, value, indices=None):
        setattr(self.envs, name, value)

    def env_method(self, name, *args, indices=None, **options):  # "action_masks" gives a row for each world
        return list(getattr(self.envs, name)(*args, **options))

    def env_is_wrapped(self, kind, indices=None):
        return [False] * self.num_envs

    def close(self):
        self.envs.close()


worlds = VecMonitor(Worlds(RecommendVectorEnv(64, "kale", autoreset_mode="SameStep")))
model = PPO("MlpPolicy", worlds, n_steps=50, batch_size=800, seed=0).learn(total_timesteps=200_000)
print(f"mean return {np.mean([episode['r'] for episode in model.ep_info_buffer]):.2f}, the optimum is 39.22")
