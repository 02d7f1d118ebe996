"""`creators`: creators move their content along a line to where users are, and users take the nearest.

Hotelling, "Stability in competition", Economic Journal 1929; Eaton and Lipsey, "The principle of minimum
differentiation reconsidered", Review of Economic Studies 1975. `creators` has two, `creators-four` four; other numbers
are given by `num_items` with as many slots.

- Items: creators. In each step each chooses one of 13 positions 0, 1/12, .. 1, or stays where it is (rest).
- Users: tastes lie evenly on the line. One user stands for all; what it does changes nothing.
- Rewards: a creator earns its share of users in that step. Users earn 1 less their mean distance to what they take.
- Observation: own position and distances to the next creators. Tabular agents have one state, so they learn where to be
  regardless of what the others did last.
- Start: any positions. End: after 20 steps, as truncation.
- Known: in equilibrium two creators are both at 1/2, four at 1/4, 1/4, 3/4, 3/4, five at 1/6, 1/6, 1/2, 5/6, 5/6; three
  have none.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from interplay.envs.behaviour.synthetic import CERTAIN, all_alike
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.line import Line
from interplay.envs.presets.base import Preset, Training


def _preset(name: str, num_items: int, summary: str, **options: Mapping[str, Any]) -> Preset:
    config = MarketConfig(
        num_users=1, num_items=num_items, slate_size=num_items, embedding_size=1, num_topics=1, num_segments=1,
        horizon=20, slate_order="fixed", response_mode="mean", user_state="single",
        item_state="single", mechanisms=(Line(),))
    training = Training(num_worlds=16, episodes=100, eval_worlds=16, discount=0.0, side="items", others="rest",
                        measure="item_return", options={agent.replace("_", "-"): own for agent, own in options.items()}
                        ).sized_for_gpu(256)
    return Preset(name, config, partial(all_alike, appeal=-CERTAIN), training, summary,
                  ("q-learning", "dqn,sharing=independent"), seeds=10)


CREATORS = _preset("creators", 2, "two creators seek the middle of users who take the nearest")
# Creators that still explore pull each other to the middle, and what was best against them must be forgotten.
CREATORS_FOUR = _preset("creators-four", 4, "four creators, which end in two pairs",
                        q_learning={"learning_rate": 0.03, "epsilon_end": 0.01})
