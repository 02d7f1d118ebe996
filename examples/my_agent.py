"""Two agents of one's own. Tensors, modules and optimisers kept as attributes are saved and restored by themselves."""

import torch

from interplay.agents import Agent, Exploring, Optimiser, networks


class SlotMeans(Agent):
    """Running mean of the reward of each action. `interplay train --preset town --users my_agent:SlotMeans`."""

    Options = Exploring  # random actions now and then; leave it out for none

    def build(self):
        self.mean, self.count = (self.zeros(self.num_agents, self.num_actions) for _ in range(2))

    def scores(self, seen):  # [worlds, agents, actions]; the best allowed one is taken
        return self.mean.expand(seen.mask.shape)

    def learn(self, step):  # step.action, reward, next, valid, terminated: [worlds, agents]
        taken = self.one_hot(step.action) * step.valid[..., None]
        self.count += taken.sum(0)
        self.mean += (taken * (step.reward[..., None] - self.mean)).sum(0) / self.count.clamp(min=1)


class Sarsa(Agent):
    """A small network that scores each option, one step of temporal difference at a time."""

    Options = Exploring

    def build(self):
        self.network = networks.Scorer(self.spec, hidden=64)
        self.optimiser = Optimiser(self.network, learning_rate=1e-3)  # Adam, which a GPU can replay in a graph

    def scores(self, seen):
        return self.network(seen)

    def learn(self, step):
        value = self.network(step.seen).gather(-1, step.action[..., None])[..., 0]
        with torch.no_grad():
            after = self.network(step.next).masked_fill(~step.next.mask, -torch.inf).amax(-1)
            target = step.reward + self.discount * torch.where(step.terminated, 0.0, after)
        loss = step.mean((value - target) ** 2)  # over agents that are there
        self.optimiser.step(loss, self.progress)
        return {"loss": loss}
