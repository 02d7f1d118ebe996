"""`funds`: a fund sets its fee, and investors crowd it until nothing is left for them.

Berk and Green, "Mutual fund flows and performance in rational markets", Journal of Political Economy 2004: skill is
rent of the fund, and not of its investors.

- Items: one fund, which returns 1 - (share of investors in it) before its fee. It chooses one of 9 fees, 0.1 to 0.9, or
  keeps the one that it has (rest). A fee is charged from the next step on.
- Users: 20 investors. In each step each takes the fund, or keeps its money (skips).
- Rewards: an investor in the fund earns its return less the fee, another nothing. The fund earns fee times share.
- Observation: the fee of the step, its share and net return in the last step. Tabular agents see the fee.
- Start: the fee is 0.1; what is seen of the last step is of investors that did anything. End: after 50 steps.
- Known: at a fee f the fund's share is 1 - f, which leaves investors nothing. The best fee is 1/2, which earns 1/4.

`funds-large` (``mechanisms.investing``, which has the equations and sources): 16 investors whose risk aversion differs,
and 6 funds that set fees. A step is a year. Entering a fund costs a load of 4 %.

- Observation (investor): its risk aversion, the part of the episode that is left; of each fund its stocks, skill, fee,
  last share of investors and growth, and whether the investor is in it.
- Actions (investor): 0 = keep the money at interest, k = be in fund k in this year.
- Items: funds with stocks from .2 to 1.2, whose skill is drawn for each world. Each chooses one of 5 fees up to 2 % for
  the next year, or keeps its fee. Tabular ones have one state.
- Rewards: an investor earns what the utility of its growth is on average, a fund its fee times its share of investors.
- Start: in no fund, at no fee. End: ``truncated`` after 30 years, which learners see come. No exact value is known; one
  investor without load, skill, crowding and fees is ``merton``.
"""

from functools import partial

from interplay.envs.behaviour.synthetic import CERTAIN, all_alike
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.clock import Clock
from interplay.envs.mechanisms.crowding import Crowding
from interplay.envs.mechanisms.investing import Investing
from interplay.envs.presets.base import Preset, Training

FUNDS = Preset(
    "funds",
    MarketConfig(
        num_users=20, num_items=1, slate_size=1, embedding_size=20, num_topics=1, num_segments=1, horizon=50,
        slate_order="fixed", response_mode="mean", user_state="mechanism", item_state="mechanism",
        mechanisms=(Crowding(fees=tuple(fee / 10 for fee in range(1, 10))),)),
    partial(all_alike, appeal=-CERTAIN),
    Training(num_worlds=16, episodes=100, eval_worlds=16, discount=0.9, side="items", others="q-learning",
             measure="item_return").sized_for_gpu(256),
    "a fund and twenty investors: they crowd it until its fee leaves them nothing",
    ("q-learning",))

FUNDS_LARGE = Preset(
    "funds-large",
    MarketConfig(
        num_users=16, num_items=6, slate_size=6, embedding_size=1, num_topics=1, num_segments=1, horizon=30,
        slate_order="fixed", response_mode="mean", item_state="single",
        mechanisms=(Investing(stocks=tuple(tenths / 10 for tenths in range(2, 13, 2)), skill=0.01, skill_spread=0.01,
                              crowding=0.02, fees=(0.0, 0.005, 0.01, 0.015, 0.02), load=0.04, paid="expected",
                              aversion_spread=0.3),
                    Clock())),
    partial(all_alike, appeal=-CERTAIN),
    Training(num_worlds=8, episodes=20, eval_worlds=64, discount=0.99, reward_scale=30.0, others="q-learning",
             options={"dqn": {"learning_rate": 0.003, "target_rate": 0.02, "num_steps": 3, "updates_per_step": 2},
                      "pqn": {"learning_rate": 0.002, "rollout_length": 15, "num_minibatches": 8}},
             on_gpu={"num_worlds": 128}),
    "16 investors that bear risk differently, and 6 funds of stocks that set fees", ("dqn", "pqn"), seeds=5)
