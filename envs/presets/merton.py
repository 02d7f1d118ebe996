"""`merton`: an investor that bears risk, and 8 funds that hold 1/4, 1/2, .. 2 times their money in stocks, at no fee.

Merton, "Lifetime portfolio selection under uncertainty", Review of Economics and Statistics 1969; see
``mechanisms.investing``, which has the equations. A step is a year.

- Observation: its risk aversion, the funds, and which of them it is in. Tabular agents have one state.
- Actions: 0 = keep the money at interest, k = be in fund k in this year.
- Reward: utility of the year's growth. Start: in no fund. End: after 20 years.
- Known (``experiments.exact.merton``): best is Merton's share, (mu - r) / (gamma sigma^2) = 1/2 for gamma = 3.

With ``investing.growths`` years are drawn from given ones, such as logarithms of an index's yearly growth.
"""

from functools import partial

from interplay.envs.behaviour.synthetic import CERTAIN, all_alike
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.investing import Investing
from interplay.envs.presets.base import Preset, Training

MERTON = Preset(
    "merton",
    MarketConfig(
        num_users=1, num_items=8, slate_size=8, embedding_size=1, num_topics=1, num_segments=1, horizon=20,
        slate_order="fixed", response_mode="mean", user_state="single", item_state="single",
        mechanisms=(Investing(stocks=tuple(quarters / 4 for quarters in range(1, 9))),)),
    partial(all_alike, appeal=-CERTAIN),
    # Luck is ten times what shares differ by, so a value is the mean of all that was seen.
    Training(num_worlds=256, episodes=100, eval_worlds=4096, discount=0.0,
             options={"q-learning": {"rate_power": 1.0, "learning_rate": 1e-5, "epsilon_end": 0.3}}
             ).sized_for_gpu(2048),
    "an investor that bears risk, and funds that hold more or less stock: Merton's share is best", ("q-learning",),
    seeds=10)
