"""`contest`: four equal items compete for the first slot of 64 users, a Tullock contest."""

from functools import partial

from interplay.envs.behaviour.synthetic import CERTAIN, all_alike
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.boosts import Boosts
from interplay.envs.presets.base import Preset, Training

CONTEST = Preset(
    "contest",
    MarketConfig(
        num_users=64, num_items=4, slate_size=1, embedding_size=1, num_topics=1, num_segments=1, horizon=50,
        user_state="single", item_state="boost",
        mechanisms=(Boosts(levels=(3.0, 6.0, 9.0, 12.0, 15.0, 18.0, 24.0), cost=1.0),)),
    partial(all_alike, appeal=CERTAIN),
    Training(num_worlds=16, episodes=200, eval_worlds=64, discount=0.9, side="items", others="first",
             measure="mean_boost",
             # The noise of a step's rewards is large beside the difference of two boosts, so a cell averages over much
             # of what it saw: with a power of 0.6 agents move in cycles. But not over all: while items explore, higher
             # boosts pay than pay in the end.
             options={"q-learning": {"learning_rate": 0.0003, "rate_power": 0.8}}).sized_for_gpu(256),
    "four equal items buy attention: each alone gains by it, together they burn most of it",
    ("q-learning", "dqn,sharing=independent", "pqn,sharing=independent", "dqn"), seeds=10)
