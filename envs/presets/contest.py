"""`contest`: four equal items compete for the first slot of 64 users, a Tullock contest.

Tullock, "Efficient rent seeking" (1980).

- Items: in each step each chooses one of 7 boosts, 3 to 24, or none (1). A boost b costs b - 1 when it is served, which
  is in the next step.
- Users: 64, which take what they are shown and always respond; each is shown one item.
- Slates: an item is shown to a user with probability b_j / sum of all b (``mechanisms.boosts``).
- Rewards: an item earns the responses to it less the cost of its boost, a user its response.
- Observation (item): logarithms of the boost that it serves and, on average, of its rivals'. Tabular agents see the
  former.
- Start: no boosts. End: ``truncated`` after 50 steps.

Exact values (``experiments.exact.contest``): in equilibrium all boost by 12, the best that four can do together is not
to boost. At a boost of 12 an item earns 16 - 11 = 5 a step; in 50 steps, of which the first has no boost, four earn
1044.
"""

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
