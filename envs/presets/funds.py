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
"""

from functools import partial

from interplay.envs.behaviour.synthetic import CERTAIN, all_alike
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.crowding import Crowding
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
