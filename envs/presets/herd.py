"""`herd`: what was popular before is shown more, so that luck at the start decides what becomes popular.

Eggenberger and Polya (1923) as a market; Salganik, Dodds and Watts (Science 2006) for its effect on culture.

- Users: one. It is shown one of two items in each step. Every item that is taken is liked.
- Actions (user): 0 = skip, 1 = take what is shown.
- Slates: an item is shown with probability proportional to its prior weight (1 and 2) plus the responses so far.
- Rewards: a user earns its response, an item the responses to it. Items do nothing.
- Observation: popularities, as shares of the largest.
- Start: no responses. End: after 300 steps.
- Known: the share of item 0 tends to another limit in each world, which is distributed as Beta(1, 2).
"""

from functools import partial

from interplay.envs.behaviour.synthetic import CERTAIN, all_alike
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.popularity import Popularity
from interplay.envs.presets.base import Preset, Training

HERD = Preset(
    "herd",
    MarketConfig(
        num_users=1, num_items=2, slate_size=1, embedding_size=1, num_topics=1, num_segments=1, horizon=300,
        user_state="single", item_state="single", mechanisms=(Popularity(prior=(1.0, 2.0)),)),
    partial(all_alike, appeal=CERTAIN),
    Training(num_worlds=16, episodes=10, eval_worlds=1_000, discount=0.0).sized_for_gpu(256),
    "a user who is shown what was popular before: each world makes another item popular, by luck",
    ("q-learning",))
