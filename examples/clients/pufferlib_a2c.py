# /// script
# requires-python = ">=3.11"
# dependencies = ["interplay", "supersuit==3.11.0", "gym==0.26.2", "psutil==7.2.2"]
# [tool.interplay]
# without-dependencies = ["pufferlib==1.0.1"]
# ///
"""PufferLib plays worlds side by side as one batch, with one network for all agents: an actor-critic in a few lines."""
import pufferlib.emulation
import pufferlib.models
import pufferlib.vector
import supersuit
import torch

import interplay as ip

UPDATES, ROLLOUT, DISCOUNT = 40, 20, 0.97


def make():
    """A world whose agents have one space."""
    env = ip.pettingzoo("town", num_users=8, num_items=6, horizon=ROLLOUT, action_mask="none")
    padded = supersuit.pad_action_space_v0(supersuit.pad_observations_v0(env))
    return pufferlib.emulation.PettingZooPufferEnv(padded)


torch.manual_seed(0)
worlds = pufferlib.vector.make(make, num_envs=4, backend=pufferlib.vector.Serial)
policy = pufferlib.models.Default(worlds.driver_env, hidden_size=64)
optimiser = torch.optim.Adam(policy.parameters(), lr=1e-3)
seen, _ = worlds.reset(seed=0)
for _ in range(UPDATES):
    steps = []
    for _ in range(ROLLOUT):
        logits, value = policy(torch.as_tensor(seen))
        choice = torch.distributions.Categorical(logits=logits)
        action = choice.sample()
        seen, reward, gone, over, _ = worlds.step(action.numpy())
        steps.append((choice.log_prob(action), value.squeeze(-1), torch.as_tensor(reward), choice.entropy()))
    log_prob, value, reward, entropy = map(torch.stack, zip(*steps, strict=True))
    ahead = torch.zeros_like(reward[0])                        # an episode is as long as a rollout
    returns = torch.stack([ahead := one + DISCOUNT * ahead for one in reward.flip(0)]).flip(0)
    advantage = returns - value
    loss = advantage.square().mean() - (log_prob * advantage.detach()).mean() - 0.01 * entropy.mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
print(f"return of an agent {reward.sum(0).mean():.2f}")
