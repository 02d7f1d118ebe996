"""`lts`: chocolate is worth more now, kale keeps users satisfied, and satisfied users get more of both.

RecSim's environment of long-term satisfaction (Ie et al. 2019, see ``mechanisms.satisfaction``, which has its
equations) as a market: the user is its user with its recommender, and takes one of two items.

- Observation (user): the exposure to good content as a part of the highest, and the part of the episode that is left;
  and the mood effect of each item. RecSim hides the exposure and shows what the last response was worth.
- Actions: 0 = take nothing, 1 = chocolate (pure clickbait), 2 = kale (the opposite). All are allowed.
- Reward: what the response is worth, 100 at most.
- Start: the exposure begins within 0.5 / (1 - memory) of 0. End: ``truncated`` after 60 steps; learners see it come.

Exact values (``experiments.exact.satisfaction``):

- ``lts`` (sensitivity .1): optimum 997.2, greedy 800.6, always kale 967.5;
- ``lts-strong`` (sensitivity .3): optimum 1629.1, greedy 412.5, always kale 1607.5;
- ``lts-null`` (sensitivity .01, RecSim's default): optimum and greedy 1108.4, the control in which planning gains
  nothing.
"""

from interplay.envs.behaviour.synthetic import CERTAIN, GivenPopulation, SyntheticBehaviour
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.clock import Clock
from interplay.envs.mechanisms.satisfaction import Satisfaction
from interplay.envs.presets.base import Preset, Training


def _behaviour(config: MarketConfig) -> SyntheticBehaviour:
    """One user that responds to all that it takes; items differ in their mood effects alone."""
    return SyntheticBehaviour(GivenPopulation(appeal=[CERTAIN] * 2, mood_effect=[-1.0, 1.0]))


def _config(sensitivity: float) -> MarketConfig:
    return MarketConfig(
        num_users=1, num_items=2, slate_size=2, embedding_size=1, num_topics=1, num_segments=1, horizon=60,
        slate_order="fixed", item_state="single", mechanisms=(Satisfaction(sensitivity=sensitivity), Clock()))


# What responses are worth is skewed: only errors that count in full lead to its mean.
_TRAINING = Training(num_worlds=64, episodes=64, eval_worlds=2048, discount=0.99, reward_scale=0.05,
                     options={"dqn": {"learning_rate": 0.003, "target_rate": 0.02, "num_steps": 3,
                                      "huber_delta": 100.0}}).sized_for_gpu(1024)
_AGENTS = ("dqn", "pqn", "ippo")

LTS = Preset("lts", _config(0.1), _behaviour, _TRAINING,
             "RecSim's long-term satisfaction: chocolate is worth more now, kale keeps the user satisfied", _AGENTS)

LTS_STRONG = Preset("lts-strong", _config(0.3), _behaviour, _TRAINING,
                    "lts in which satisfaction depends three times as much on what was taken", _AGENTS)

LTS_NULL = Preset("lts-null", _config(0.01), _behaviour, _TRAINING,
                  "lts as RecSim has it by default: the control in which being myopic costs nothing", _AGENTS)
