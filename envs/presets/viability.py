"""`viability`: two items that both must earn their upkeep, and four users who share the consequences.

- Observation (user): its own number, as its taste; of each item its budget, how it matches the user, and the responses
  to it so far. Tabular agents see the budgets, in steps of 0.1.
- Actions: 0 = take nothing, 1 = item A, 2 = item B, of those that are alive. Items do nothing.
- Transition (``mechanisms.budgets``): an item's budget gains all responses to it and loses 1.2 in each step, within 0
  and 6. An item whose budget is empty is dead for good.
- Rewards: a user earns its response, whose mean is paid: .9 from A and .1 from B (user 0), .9 and .7 (1 and 3), .1 and
  .9 (2). An item earns the responses to it. With ``team=1`` all earn the mean of all.
- Start: budgets of 3.05. End: ``truncated`` after 100 steps.

Exact values (``experiments.exact.budgets``): optimum 352.2 for the four users; 288.8 for myopic users who let B die.
No source: made for this package, after the viable providers of Mladenov et al. (ICML 2020).
"""

import math

from interplay.envs.behaviour.synthetic import GivenPopulation, SyntheticBehaviour
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.budgets import Budgets
from interplay.envs.presets.base import Preset, Training

_RESPONSE = ((0.9, 0.1), (0.9, 0.7), (0.1, 0.9), (0.9, 0.7))
"""What each user (row) gets from items A and B."""


def _behaviour(config: MarketConfig) -> SyntheticBehaviour:
    """Users are unit vectors, so that an item's vector lists the logits of its responses user by user."""
    logit = [[math.log(r / (1.0 - r)) for r in row] for row in _RESPONSE]
    users = range(len(_RESPONSE))
    return SyntheticBehaviour(GivenPopulation(
        user_vector=[[float(u == d) for d in users] for u in users],
        item_vector=[list(column) for column in zip(*logit, strict=True)], appeal=[0.0, 0.0]))


# Little exploration in the end, since learners that expect mistakes keep items further from death than is best without
# any; but only in the end, since users who explore show what follows when an item dies. A batch holds 128 worlds of 4
# users each. With --num-worlds 16 --episodes 18 (28,800 steps of worlds) VDN is near the optimum.
_OPTIONS = {"shared-critic": {"mixing": "vdn", "scorer": "concatenation", "epsilon_end": 0.01,
                              "exploration_fraction": 0.9, "batch_size": 512}}

VIABILITY = Preset(
    "viability",
    MarketConfig(
        num_users=4, num_items=2, slate_size=2, embedding_size=4, num_topics=1, num_segments=1, horizon=100,
        slate_order="fixed", response_mode="mean", user_state="budgets", item_state="single",
        mechanisms=(Budgets(start=3.05, max=6.0, upkeep=1.2),)),
    _behaviour,
    Training(num_worlds=64, episodes=100, eval_worlds=16, discount=0.97, options=_OPTIONS).sized_for_gpu(512),
    "four users, two items with upkeep: selfish users let an item die that they need later",
    ("q-learning", *(f"shared-critic,mixing={mixing}" for mixing in ("none", "vdn", "qmix")), "mappo"),
    seeds=10)
