"""`pigou`: eight investors choose between a safe fund and one that pays less to each, the more of them it has.

Pigou's example (1920; Roughgarden and Tardos, "How bad is selfish routing?", Journal of the ACM 2002) as funds.

- Users: 8 investors. Actions: 0 = keep the money, 1 = fund A (item 0), 2 = fund B (item 1).
- Rewards: A returns 0.25; B returns 1 - (share of all investors in B); kept money returns 0. Funds earn nothing.
- Observation: an investor sees its own number, as its taste, and each fund's share and return in the last step. Tabular
  agents have one state.
- Start: what is seen at first is of investors that did anything. End: after 20 steps, each of which is the same game.
- Known: in equilibrium 5 or 6 are in B (mean return 0.328125 or 0.25); best for all is 3 (0.390625).
"""

from functools import partial

from interplay.envs.behaviour.synthetic import CERTAIN, all_alike
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.crowding import Crowding
from interplay.envs.presets.base import Preset, Training

PIGOU = Preset(
    "pigou",
    MarketConfig(
        num_users=8, num_items=2, slate_size=2, embedding_size=8, num_topics=1, num_segments=1, horizon=20,
        slate_order="fixed", response_mode="mean", user_state="single", item_state="single",
        mechanisms=(Crowding(gross=(0.25, 1.0), crowding=(0.0, 1.0)),)),
    partial(all_alike, appeal=-CERTAIN),
    Training(num_worlds=16, episodes=100, eval_worlds=16, discount=0.0).sized_for_gpu(256),
    "eight investors crowd a fund that pays less the more it holds: selfish ones burn what a team would earn",
    ("q-learning", *(f"shared-critic,mixing={mixing}" for mixing in ("none", "vdn", "qmix")), "mappo"), seeds=10)
