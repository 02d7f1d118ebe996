# /// script
# requires-python = ">=3.11"
# dependencies = ["interplay", "agilerl==2.58.0", "peft==0.21.0"]
# ///
"""IPPO of AgileRL, which groups agents by their names: a network for all users and one for all items."""
from agilerl.algorithms import IPPO
from agilerl.training.train_multi_agent_on_policy import train_multi_agent_on_policy
from pettingzoo.utils import BaseParallelWrapper

import interplay as ip


class Listed(BaseParallelWrapper):
    """Masks as lists: of several arrays, this version compares each with None, which fails."""

    def reset(self, seed=None, options=None):
        seen, infos = self.env.reset(seed=seed)
        return seen, listed(infos)

    def step(self, actions):
        *rest, infos = self.env.step(actions)
        return *rest, listed(infos)


def listed(infos):
    """The masks alone, as lists."""
    return {agent: {"action_mask": info["action_mask"].tolist()} for agent, info in infos.items()}


env = Listed(ip.pettingzoo("town", num_users=8, num_items=6, horizon=20, action_mask="info"))
agents = env.possible_agents
population = IPPO.population(size=1, observation_space=[env.observation_space(a) for a in agents],
                             action_space=[env.action_space(a) for a in agents], agent_ids=agents, learn_step=100,
                             batch_size=256, lr=1e-3)
_, fitness = train_multi_agent_on_policy(env, "town", "IPPO", population, max_steps=600, evo_steps=200, eval_steps=20,
                                         verbose=False)
print(f"return of all agents {fitness[0]}, forbidden actions {env.unwrapped.illegal_actions['forbidden']}")
