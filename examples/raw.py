"""Three doors to the same world."""
import gymnasium

import interplay as ip

# 1. Tensors: many worlds at once, on any device, no hidden state
market = ip.market("town", device="cpu")
state = market.reset(worlds=range(1024), seed=0)
for _ in range(market.config.horizon):
    users, items = market.observe(state)                       # .own, .options, .mask of each side, to act on
    state, step = market.step(state, *market.random_actions(state))
print(users.options.shape, step.user_reward.mean(), step.chosen.shape)

# 2. PettingZoo: user_0.., item_0.. in five dicts
env = ip.pettingzoo("town")
seen, info = env.reset(seed=0)
while env.agents:
    actions = {agent: env.action_space(agent).sample(info[agent]["action_mask"]) for agent in env.agents}
    seen, reward, terminated, truncated, info = env.step(actions)

# 3. Gymnasium: one recommender, all others simulated; gymnasium.make_vec gives many
env = gymnasium.make("interplay/Recommend-v0", preset="town")
seen, info = env.reset(seed=0)
seen, reward, terminated, truncated, info = env.step(env.action_space.sample(info["action_mask"]))
