"""`kale`: chocolate pleases now, kale pleases later. The smallest market in which planning pays.

- Observation (user): its mood and its satiation with each of two topics; of each item its appeal, its effect on mood,
  its topics, and the responses to it so far. Tabular agents see mood and satiation in whole numbers.
- Actions: 0 = take nothing, k = the item in slot k. Items 0 and 2 are chocolate (appeal 1, mood effect -1), 1 and 3
  kale (0 and 1); the first two are of one topic, the others of the other. All four are shown, and do nothing.
- Transition (``mechanisms.mood``, ``mechanisms.satiation``): a response moves the mood by the item's effect, within
  [-4, 4], and adds 3 to the satiation with its topic, which is at most 4 and falls by 1 in each step.
- Reward: the response, drawn with probability sigmoid(appeal + .6 mood - .6 satiation).
- Start: mood and satiation 0. End: ``truncated`` after 50 steps.

Exact values (``experiments.exact.oracles``): optimum 39.221, greedy 11.990, random 13.687. In ``kale-null`` the mood
does nothing, the control in which being myopic costs next to nothing: 31.290, 31.226 and 20.128. In ``kale-partial``
the user sees its last 20 items and responses in place of mood and satiation; the optimum is one for a user that sees
all. No source: made for this package, after the chocolate and kale of RecSim (Ie et al. 2019), which is ``lts`` here.
"""

from dataclasses import replace

from interplay.envs.behaviour.synthetic import GivenPopulation, SyntheticBehaviour
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.mood import Mood
from interplay.envs.mechanisms.satiation import Satiation
from interplay.envs.presets.base import Preset, Training


def _behaviour(config: MarketConfig) -> SyntheticBehaviour:
    """One user; two topics; in each a chocolate (appealing, bad for the mood) and a kale (the opposite)."""
    return SyntheticBehaviour(GivenPopulation(
        appeal=[1.0, 0.0, 1.0, 0.0],
        topics=[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]],
        mood_effect=[-1.0, 1.0, -1.0, 1.0]))


_CONFIG = MarketConfig(
    num_users=1, num_items=4, slate_size=4, embedding_size=1, num_topics=2, num_segments=1, horizon=50,
    slate_order="fixed", user_state="own", item_state="single",
    mechanisms=(Satiation(weight=0.6, gain=3.0, recovery=1.0, max=4.0), Mood(weight=0.6, max=4.0)))

# So few episodes take larger steps than agents' defaults.
_TRAINING = Training(num_worlds=64, episodes=64, eval_worlds=2048, discount=0.97,
                     options={"q-learning": {"rate_power": 0.4}, "dqn": {"learning_rate": 0.003, "target_rate": 0.02}}
                     ).sized_for_gpu(1024)
_ENTRANTS = ("q-learning", "dqn", "pqn", "shared-critic", "ippo")

KALE = Preset("kale", _CONFIG, _behaviour, _TRAINING,
              "one user, four items: short-term pleasure spoils the mood, so planning pays", _ENTRANTS, seeds=10)

KALE_NULL = Preset("kale-null", _CONFIG.changed("kale-null", {"mood": False}), _behaviour, _TRAINING,
                   "kale without mood: the control in which being myopic costs nothing", _ENTRANTS, seeds=10)

KALE_PARTIAL = Preset("kale-partial", replace(_CONFIG, user_sees="history", history_length=20, user_state="none"),
                      _behaviour, replace(_TRAINING, episodes=100).sized_for_gpu(1024),
                      "kale for a user who does not know its own state, only its last 20 items and responses",
                      tuple(f"shared-critic,encoder={encoder}" for encoder in ("none", "gru", "transformer")))
