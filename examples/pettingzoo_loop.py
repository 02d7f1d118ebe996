"""Q-learning in a plain PettingZoo loop: every agent has a table of its own, over its own state."""
from collections import defaultdict
from functools import partial

import matplotlib
import numpy as np

import interplay as ip
from interplay.experiments.exact.oracles import solve

matplotlib.use("Agg")
import matplotlib.pyplot as plt

EPISODES, WORLDS, DISCOUNT, RATE_POWER = 1000, 50, 0.9, 0.6

env = ip.pettingzoo("kale")                                    # user_0, and item_0 .. item_3, which can only rest
sizes = {agent: env.action_space(agent).n for agent in env.possible_agents}
sides = {agent: "users" if agent.startswith("user") else "items" for agent in sizes}
own = {agent: len(env.market.specs[side].own_features) for agent, side in sides.items()}   # columns of its own state
tables, visits = ({agent: defaultdict(partial(np.zeros, size)) for agent, size in sizes.items()} for _ in range(2))
generator = np.random.default_rng(0)


def state_of(agent, observation):
    """Its mood and satiation as a key; what follows in the observation are features of the slots."""
    return observation[:own[agent]].round(3).tobytes()


def play(seed, epsilon):
    """One episode; the tables learn if there is exploration. Gives the return of the user."""
    observations, infos = env.reset(seed=seed)
    total = 0.0
    while env.agents:
        seen = {agent: state_of(agent, observations[agent]) for agent in env.agents}
        masks = {agent: infos[agent]["action_mask"] for agent in env.agents}
        actions = {agent: choose(tables[agent][seen[agent]], masks[agent], epsilon) for agent in env.agents}
        observations, rewards, terminations, _, infos = env.step(actions)
        total += rewards["user_0"]
        for agent, action in actions.items() if epsilon else ():
            best = tables[agent][state_of(agent, observations[agent])].max()
            target = rewards[agent] + DISCOUNT * best * (not terminations[agent])
            values, counts = tables[agent][seen[agent]], visits[agent][seen[agent]]
            counts[action] += 1
            values[action] += (target - values[action]) / counts[action] ** RATE_POWER
    return total


def choose(values, mask, epsilon):
    """The best allowed action, or any allowed one with probability epsilon."""
    if generator.random() < epsilon:
        return generator.choice(np.flatnonzero(mask))
    return np.where(mask, values, -np.inf).argmax()


curve = [play(seed=episode, epsilon=max(0.05, 1 - episode / (0.7 * EPISODES))) for episode in range(EPISODES)]
score = np.mean([play(seed=10**6 + k, epsilon=0) for k in range(WORLDS)])     # other worlds, no exploration
exact = solve(ip.market("kale"))
print(f"user return {score:.2f}; random {exact.random:.2f}, greedy {exact.greedy:.2f}, optimum {exact.user_return:.2f}")

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.plot(np.convolve(curve, np.ones(20) / 20, mode="valid"), label="in training, mean of 20 episodes")
for name, level in (("random", exact.random), ("greedy", exact.greedy), ("optimum", exact.user_return)):
    axes.axhline(level, color="grey", linestyle="--")
    axes.annotate(name, (EPISODES, level), ha="right", va="bottom")
axes.set(title="Q-learning on kale, one world", xlabel="episode", ylabel="user return")
axes.legend()
figure.savefig("pettingzoo_loop.png")
