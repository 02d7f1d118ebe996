"""A preset of one's own: `interplay train --preset my_market:DINER --users dqn`."""

from interplay.envs.behaviour.synthetic import GivenPopulation, SyntheticBehaviour
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.mood import Mood
from interplay.envs.mechanisms.satiation import Satiation
from interplay.envs.presets import Preset, Training

DINER = Preset(
    name="diner",
    summary="one user, four dishes; the sweet one pleases now and spoils the mood",
    behaviour=lambda config: SyntheticBehaviour(GivenPopulation(
        user_vector=[[1.0]], segment=[0], item_vector=[[0.0]] * 4, preference_weight=[0.0],
        appeal=[1.0, 0.6, 0.2, 0.0],                           # cake, pie, soup, salad
        mood_effect=[-1.0, -1.0, 1.0, 1.0],                      # whole numbers have an exact optimum
        topics=[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])),
    config=MarketConfig(
        num_users=1, num_items=4, slate_size=4, slate_order="fixed", embedding_size=1, num_topics=2, num_segments=1,
        horizon=50, user_state="own", item_state="single",
        mechanisms=(Mood(weight=0.6), Satiation(weight=0.4, gain=2.0, recovery=1.0))),
    training=Training(num_worlds=64, episodes=100, eval_worlds=2048))
