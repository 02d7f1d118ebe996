# /// script
# requires-python = ">=3.11"
# dependencies = ["interplay", "skrl==2.1.1"]
# ///
"""IPPO of skrl, with a network for each agent. The mask is a part of what agents see, and the policy applies it."""
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import CategoricalMixin, DeterministicMixin, Model
from skrl.multi_agents.torch import ExperimentCfg
from skrl.multi_agents.torch.ippo import IPPO, IPPO_CFG
from skrl.trainers.torch import SequentialTrainer
from skrl.utils.spaces.torch import unflatten_tensorized_space
from torch import nn

import interplay as ip


class Policy(CategoricalMixin, Model):
    """Logits of the allowed actions."""

    def __init__(self, **spaces):
        Model.__init__(self, **spaces)
        CategoricalMixin.__init__(self)
        self.layers = nn.Sequential(nn.LazyLinear(64), nn.Tanh(), nn.Linear(64, self.num_actions))

    def compute(self, inputs, role):
        seen = unflatten_tensorized_space(self.observation_space, inputs["observations"])
        return self.layers(seen["observation"]).masked_fill(seen["action_mask"] == 0, -1e9), {}


class Value(DeterministicMixin, Model):
    """What is still to be earned."""

    def __init__(self, **spaces):
        Model.__init__(self, **spaces)
        DeterministicMixin.__init__(self)
        self.layers = nn.Sequential(nn.LazyLinear(64), nn.Tanh(), nn.Linear(64, 1))

    def compute(self, inputs, role):
        return self.layers(inputs["observations"]), {}


env = wrap_env(ip.pettingzoo("town", num_users=4, num_items=5, horizon=20, action_mask="obs"), wrapper="pettingzoo")
agents, seen, actions = env.possible_agents, env.observation_spaces, env.action_spaces
models = {a: {name: kind(observation_space=seen[a], action_space=actions[a], device="cpu")
              for name, kind in (("policy", Policy), ("value", Value))} for a in agents}
for model in (one for both in models.values() for one in both.values()):
    model.init_state_dict()
unset = {a: {} for a in agents}                                # its defaults for these are rejected by this version
names = ("learning_rate_scheduler", "observation_preprocessor", "state_preprocessor", "value_preprocessor")
config = IPPO_CFG(rollouts=40, learning_epochs=4, **{f"{name}_kwargs": unset for name in names},
                  experiment=ExperimentCfg(write_interval=0, checkpoint_interval=0))
learner = IPPO(possible_agents=agents, models=models, memories={a: RandomMemory(memory_size=40) for a in agents},
               observation_spaces=seen, action_spaces=actions, state_spaces=env.state_spaces, device="cpu", cfg=config)
SequentialTrainer(env=env, agents=learner, cfg={"timesteps": 320, "disable_progressbar": True}).train()
print(f"forbidden actions {env.unwrapped.illegal_actions['forbidden']}")
