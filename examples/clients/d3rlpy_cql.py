# /// script
# requires-python = ">=3.11"
# dependencies = ["interplay", "gym==0.26.2", "h5py==3.16.0", "click==8.5.1", "structlog==26.1.0", "colorama==0.4.6",
#                 "dataclasses-json==0.6.7", "typing-extensions==4.16.0"]
# [tool.interplay]
# without-dependencies = ["d3rlpy==2.8.1"]
# ///
"""CQL of d3rlpy: a policy from a log of random choices, judged in the environment."""
import d3rlpy
import gymnasium
import numpy as np

from interplay.envs.recommend_v0 import RecommendVectorEnv

WORLDS, STEPS = 400, 12_000

# 1. A log: what was seen, done and earned in episodes of random choices
worlds = RecommendVectorEnv(WORLDS, "kale", autoreset_mode="SameStep")
generator = np.random.default_rng(0)
seen, _ = worlds.reset(seed=0)
log = []
for _ in range(50):
    action = generator.integers(worlds.single_action_space.n, size=WORLDS)
    after, reward, gone, over, _ = worlds.step(action)
    log.append((seen, action, reward, gone, over))
    seen = after
columns = [np.stack(column, axis=1).reshape(WORLDS * 50, -1) for column in zip(*log, strict=True)]
dataset = d3rlpy.dataset.MDPDataset(*columns[:3], terminals=columns[3].ravel(), timeouts=columns[4].ravel())

# 2. A policy from it
config = d3rlpy.algos.DiscreteCQLConfig(gamma=0.97, alpha=0.02, learning_rate=1e-3, target_update_interval=200)
cql = config.create(device="cpu")
cql.fit(dataset, n_steps=STEPS, n_steps_per_epoch=STEPS, show_progress=False,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory())

# 3. What it earns
env = gymnasium.make("interplay/Recommend-v0", preset="kale")
score = d3rlpy.metrics.EnvironmentEvaluator(env, n_trials=20)(cql, dataset)
print(f"mean return {score:.2f}; the log's was {columns[2].sum() / WORLDS:.2f}, the optimum is 39.22")
