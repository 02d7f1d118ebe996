"""`feed`: the town from the side of the platform, which decides what each user is shown.

The market is that of ``town``, with the same people and transition.

- Observation (platform), for each user: what the user sees of itself, and of candidate items what it would see of them.
- Actions: a slate of 4 candidates for each user.
- Users: take what they are shown by chance, by a conditional logit of what it is worth to them. Items: as in ``town``.
- Reward: for each slate, what its user earns by it.
- Start: that of ``town``. End: ``truncated`` after 100 steps, at which no user is gone for good.

No exact value is known. Source of the choice of slates: Ie et al., "SlateQ" (IJCAI 2019).
"""

from interplay.envs.presets.base import Preset, Training
from interplay.envs.presets.town import TOWN

FEED = Preset(
    "feed",
    TOWN.config,
    TOWN.behaviour,
    Training(num_worlds=4, episodes=40, eval_worlds=32, discount=0.97, side="platform", others="conditional-logit",
             on_gpu={"num_worlds": 16}),  # slateq updates once a step, so that it needs as many
    "the town, whose users choose by chance: a platform fills their slates and wants them to stay pleased",
    ("slateq", "dqn", "linucb"))
