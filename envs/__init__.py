"""The environment: behaviours, the market core, and its PettingZoo and Gymnasium facades.

Importing it registers the Gymnasium environment ``interplay/Recommend-v0``.
"""

import gymnasium

if "interplay/Recommend-v0" not in gymnasium.registry:  # a reload would make Gymnasium warn
    # Named by strings, so that the market and torch are imported only when somebody makes one.
    gymnasium.register(
        id="interplay/Recommend-v0",
        entry_point="interplay.envs.recommend_v0:RecommendEnv",
        vector_entry_point="interplay.envs.recommend_v0:RecommendVectorEnv")
