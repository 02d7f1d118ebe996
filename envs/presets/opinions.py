"""`opinions`: users whose opinions friends move, and what they take.

Friedkin and Johnsen, "Social influence and opinions", Journal of Mathematical Sociology 1990; Rossi, Polderman and
Frasca, "The closed loop between opinion formation and personalized recommendations", IEEE Transactions on Control of
Network Systems 2022.

- Users: 32, each with an opinion in [-1, 1], a susceptibility in [0.5, 0.9] and 4 friends, drawn for each world.
- Actions (user): 0 = take nothing, k = the item in slot k of the four that it is shown.
- Items: 9, with stances from -1 to 1. They do nothing.
- Opinions: a user's next opinion is what it began with, and the mean of its friends' opinions, in which what it takes
  weighs 0.3, by its susceptibility.
- Rewards: a user earns its response, which is likelier for a stance near its opinion; an item earns responses.
- Observation: own opinion, the mean of friends' opinions, and the stances of items.
- Start: opinions as they were drawn. End: after 50 steps, as truncation.
- Known: where nothing is taken, opinions come to rest at ``(I - A W)^-1 (I - A) x0``.
"""

from functools import partial

from interplay.envs.behaviour.synthetic import all_alike
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.opinions import Opinions
from interplay.envs.presets.base import Preset, Training

_APPEAL = 1.0


OPINIONS = Preset(
    "opinions",
    MarketConfig(
        num_users=32, num_items=9, slate_size=4, embedding_size=1, num_topics=1, num_segments=1, horizon=50,
        mechanisms=(Opinions(),)),
    partial(all_alike, appeal=_APPEAL),
    Training(num_worlds=4, episodes=20, eval_worlds=32, discount=0.97).sized_for_gpu(64),
    "32 users whose opinions friends and content move; they like what they agree with",
    ("q-learning", "dqn", "pqn"))
