"""`feed`: the town from the side of the platform, which decides what each user is shown."""

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
