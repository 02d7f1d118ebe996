"""`town`: the big synthetic world with every built-in mechanism. Each world is another town.

- Users: 64 of 4 segments. Items: 32 of 4 topics. Both are drawn for each world round the centres of topics.
- Observation (user): its mood, satiation with each topic and taste; of each item in its slate appeal, effect on mood,
  wear-out for the user's segment, budget, popularity, how likely the slot is looked at, topics, and how it matches the
  taste. Tabular agents see clusters of what is seen.
- Actions (user): 0 = take nothing, k = the item in slot k of 4.
- Observation (item): budget, margin, appeal, effect on mood, topics and vector; of each segment its share of users, how
  much it likes the item, and the item's wear-out for it.
- Actions (item): 0 = rest, or one of two boosts (2, 4) for one segment, as far as the budget pays it.
- Transition: tastes drift towards what is responded to, items wear out for a segment that sees them, moods and
  satiation follow responses, budgets pay an upkeep of .4 and the boosts.
- Slates: the 4 of a Plackett-Luce draw by match and boost. Slots further down are looked at less often.
- Rewards: a user earns its response, an item its margin times the responses to it, less its boost.
- Start: neutral moods, budgets of 10. End: ``truncated`` after 100 steps. A user whose mood is at its lowest leaves,
  and comes back with probability .02 in each step; an item without budget is dead for good.

No exact value is known; the report of ``experiments.studies.bounds`` has a lower bound of the optimum.

The strength of mood was chosen so that the myopic oracle does better than random users do, which scores are normalised
by, and still loses a quarter of its users by the end: with a weight of 0.5 and sweetness 1 it earned less than random.
"""

from dataclasses import replace
from typing import Any

from interplay.envs.behaviour.synthetic import SyntheticBehaviour, TownPopulation
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.boosts import Boosts
from interplay.envs.mechanisms.budgets import Budgets
from interplay.envs.mechanisms.drift import Drift
from interplay.envs.mechanisms.mood import Mood
from interplay.envs.mechanisms.satiation import Satiation
from interplay.envs.mechanisms.wearout import Wearout
from interplay.envs.presets.base import Preset, Training


def _behaviour(config: MarketConfig) -> SyntheticBehaviour:
    return SyntheticBehaviour(TownPopulation(config))


# One table for all: agent number 5 is somebody else in every world.
_TRAINING = Training(num_worlds=4, episodes=40, eval_worlds=32, discount=0.97, others="q-learning",
                     options={"q-learning": {"shared": True, "num_clusters": 32, "num_kinds": 256}}).sized_for_gpu(64)

# On a CPU the time of a training is that of its rows and updates, so there are fewer of them, which go further.
_ON_CPU: dict[str, dict[str, Any]] = {
    "dqn": {"hidden": 32, "update_every": 4, "batch_size": 512, "learning_rate": 0.005, "target_rate": 0.1},
    "pqn": {"hidden": 32, "num_epochs": 1, "num_minibatches": 8, "learning_rate": 0.005, "trace_decay": 0.3},
    "ippo": {"hidden": 32, "rollout_length": 50, "num_epochs": 1, "num_minibatches": 16, "learning_rate": 0.004}}

TOWN = Preset(
    "town",
    MarketConfig(
        num_users=64, num_items=32, slate_size=4, embedding_size=8, num_topics=4, num_segments=4, horizon=100,
        temperature=0.5, position_bias=0.2,
        mechanisms=(
            Satiation(weight=0.5, decay=0.9, gain=1.0, recovery=0.05),
            Mood(weight=0.3, decay=0.95, max=4.0, leaving=True, return_rate=0.02),
            Drift(rate=0.02, noise=0.01),
            Wearout(weight=0.5, decay=0.8),
            Budgets(start=10.0, max=20.0, upkeep=0.4),
            Boosts(levels=(2.0, 4.0), cost=0.4))),
    _behaviour,
    replace(_TRAINING, options={**_TRAINING.options, **_ON_CPU}),
    "64 users and 32 items, all mechanisms on, other people in each world",
    ("linucb", "linear-thompson", "beta-bernoulli", "matrix-factorisation", "q-learning", "dqn", "pqn",
     "shared-critic", "ippo"))
