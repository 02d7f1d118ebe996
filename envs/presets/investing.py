"""`merton` and `funds-large`: investors who bear risk differently, and funds of stocks.

See ``mechanisms.investing``, which has the equations and sources. A step is a year.

`merton`: one investor and 8 funds that hold 1/4, 1/2, .. 2 times their money in stocks, at no fee.

- Observation: its risk aversion, the funds, and which of them it is in. Tabular agents have one state.
- Actions: 0 = keep the money at interest, k = be in fund k in this year.
- Reward: utility of the year's growth. Start: in no fund. End: after 20 years.
- Known (``experiments.exact.merton``): best is Merton's share, (mu - r) / (gamma sigma^2) = 1/2 for gamma = 3.

`funds-large`: 16 investors whose risk aversion differs, and 6 funds that set fees. Entering one costs a load of 4 %.

- Observation (investor): its risk aversion, the part of the episode that is left; of each fund its stocks, skill, fee,
  last share of investors and growth, and whether the investor is in it.
- Items: funds with stocks from .2 to 1.2, whose skill is drawn for each world. Each chooses one of 5 fees up to 2 % for
  the next year, or keeps its fee. Tabular ones have one state.
- Rewards: an investor earns what the utility of its growth is on average, a fund its fee times its share of investors.
- Start: in no fund, at no fee. End: ``truncated`` after 30 years, which learners see come. No exact value is known; one
  investor without load, skill, crowding and fees is ``merton``.

With ``investing.growths`` years are drawn from given ones, such as logarithms of an index's yearly growth.
"""

from functools import partial

from interplay.envs.behaviour.synthetic import CERTAIN, all_alike
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.clock import Clock
from interplay.envs.mechanisms.investing import Investing
from interplay.envs.presets.base import Preset, Training

_BEHAVIOUR = partial(all_alike, appeal=-CERTAIN)

MERTON = Preset(
    "merton",
    MarketConfig(
        num_users=1, num_items=8, slate_size=8, embedding_size=1, num_topics=1, num_segments=1, horizon=20,
        slate_order="fixed", response_mode="mean", user_state="single", item_state="single",
        mechanisms=(Investing(stocks=tuple(quarters / 4 for quarters in range(1, 9))),)),
    _BEHAVIOUR,
    # Luck is ten times what shares differ by, so a value is the mean of all that was seen.
    Training(num_worlds=256, episodes=100, eval_worlds=4096, discount=0.0,
             options={"q-learning": {"rate_power": 1.0, "learning_rate": 1e-5, "epsilon_end": 0.3}}
             ).sized_for_gpu(2048),
    "an investor who bears risk, and funds that hold more or less stock: Merton's share is best", ("q-learning",),
    seeds=10)

FUNDS_LARGE = Preset(
    "funds-large",
    MarketConfig(
        num_users=16, num_items=6, slate_size=6, embedding_size=1, num_topics=1, num_segments=1, horizon=30,
        slate_order="fixed", response_mode="mean", item_state="single",
        mechanisms=(Investing(stocks=tuple(tenths / 10 for tenths in range(2, 13, 2)), skill=0.01, skill_spread=0.01,
                              crowding=0.02, fees=(0.0, 0.005, 0.01, 0.015, 0.02), load=0.04, paid="expected",
                              aversion_spread=0.3),
                    Clock())),
    _BEHAVIOUR,
    Training(num_worlds=8, episodes=20, eval_worlds=64, discount=0.99, reward_scale=30.0, others="q-learning",
             options={"dqn": {"learning_rate": 0.003, "target_rate": 0.02, "num_steps": 3, "updates_per_step": 2},
                      "pqn": {"learning_rate": 0.002, "rollout_length": 15, "num_minibatches": 8}},
             on_gpu={"num_worlds": 128}),
    "16 investors who bear risk differently, and 6 funds of stocks that set fees", ("dqn", "pqn"), seeds=5)
