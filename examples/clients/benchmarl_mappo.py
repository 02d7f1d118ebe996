# /// script
# requires-python = ">=3.11"
# dependencies = ["interplay", "torchrl==0.11.1", "hydra-core==1.3.2"]
# [tool.interplay]
# without-dependencies = ["benchmarl==1.5.2"]
# ///
"""MAPPO of BenchMARL, which trains users as one group and items as another."""
from benchmarl.algorithms import MappoConfig
from benchmarl.environments.pettingzoo.common import PettingZooClass
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models.mlp import MlpConfig
from torchrl.envs import PettingZooWrapper

import interplay as ip


class Market(PettingZooClass):
    """BenchMARL's PettingZoo task, whose environment is ours; the config is that of the market."""

    def get_env_fun(self, num_envs, continuous_actions, seed, device):
        def make():
            env = ip.pettingzoo(self.name, action_mask="info", **self.config)
            groups = {side: [a for a in env.possible_agents if a.startswith(side[:4])] for side in ("users", "items")}
            return PettingZooWrapper(env, group_map=groups, use_mask=True, categorical_actions=True, return_state=True,
                                     device=device, seed=seed)
        return make

    def max_steps(self, env):
        return env.max_cycles

    def has_state(self):
        return True

    def supports_discrete_actions(self):
        return True


config = ExperimentConfig.get_from_yaml()
config.max_n_iters, config.on_policy_collected_frames_per_batch, config.on_policy_n_envs_per_worker = 3, 200, 2
config.on_policy_minibatch_size, config.on_policy_n_minibatch_iters = 100, 2
config.evaluation, config.loggers, config.create_json, config.lr = False, [], False, 1e-3
experiment = Experiment(Market("town", {"horizon": 20}), MappoConfig.get_from_yaml(), MlpConfig.get_from_yaml(), seed=0,
                        config=config)
experiment.run()
print(f"mean return of an agent {experiment.mean_return:.2f}")
