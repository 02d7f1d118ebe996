"""Agents may learn from scaled rewards; nothing else is scaled."""

import torch

from interplay.agents import Agent, Setting
from interplay.envs.presets import find_preset
from interplay.envs.transitions import transitions


class Recorder(Agent):
    """Notes what it is to learn from."""

    def scores(self, seen):
        return torch.zeros_like(seen.mask, dtype=torch.float32)

    def learn(self, step):
        self.reward, self.response = step.reward, step.response


def test_agents_learn_from_scaled_rewards():
    market = find_preset("coach").market()
    state = market.reset(range(3))
    seen = {side: market.observe(state, side) for side in ("users", "items")}
    action = {"users": torch.ones(3, 1, dtype=torch.int64), "items": torch.zeros(3, 3, dtype=torch.int64)}
    _, happened = market.step(state, *action.values())
    step = transitions(market, state, seen, action, happened, seen)["users"]
    plain, scaled = (Recorder(market.specs["users"], Setting(reward_scale=scale)) for scale in (1.0, 0.01))
    for agent in (plain, scaled):
        agent.learn_from({"users": step})
    assert torch.equal(plain.reward, happened.user_reward)
    torch.testing.assert_close(scaled.reward, 0.01 * happened.user_reward)
    assert torch.equal(scaled.response, happened.response)
