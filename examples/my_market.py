"""A preset of one's own: `interplay train --preset my_market:DINER --users dqn`."""
from interplay.envs.mechanisms import Mood, Satiation
from interplay.envs.presets import GivenPopulation, Preset, Training

DINER = Preset.given(
    "diner", GivenPopulation(appeal=[1.0, 0.6, 0.2, 0.0],      # of cake, pie, soup and salad
                             mood_effect=[-1, -1, 1, 1], topics=[[1, 0], [1, 0], [0, 1], [0, 1]]),
    Training(num_worlds=64, episodes=100, eval_worlds=2048),
    "one user, four dishes; the sweet ones please now and spoil the mood",
    mechanisms=(Mood(weight=0.6), Satiation(weight=0.4, gain=2.0, recovery=1.0)),
    slate_size=4, slate_order="fixed", horizon=50, user_state="own", item_state="single")
