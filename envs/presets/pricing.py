"""`pricing`: firms that learn to set prices, and consumers that choose between their products.

Calvano, Calzolari, Denicolo and Pastorello, "Artificial intelligence, algorithmic pricing, and collusion", American
Economic Review 2020. `pricing-three` has three firms. In `pricing-cheapest` the platform shows the cheaper product
alone, of two at one price one by chance (Johnson, Rhodes and Wildenbeest, "Platform design when sellers use pricing
algorithms", Econometrica 2023); in `pricing-shared` both at one price get half of the consumers. In `pricing-incumbent`
the platform goes on to show the firm that it showed last, unless that raises its price, or the other's is lower by more
than one price of the grid; agents also see which was shown.

- Items: two firms at marginal cost 1, whose products are worth 2 to consumers. Each chooses one of 15 prices in a step,
  evenly from 10 % of the way between equilibrium and monopoly below the equilibrium to as much above the monopoly. An
  item that rests keeps its price.
- Rewards: a firm earns its margin times its share of consumers, which is a logit with an outside option. A user stands
  for all consumers, does nothing, and earns their surplus.
- Observation: the last prices, own and of rivals (a memory of one step). Tabular agents see their combination.
- Start: any prices. End: after 100 steps, as truncation, since the game is thought of as never-ending.
- Known: equilibrium price 1.472927 (profit 0.222927), joint monopoly 1.924980 (0.337490); with three firms 1.370163
  (0.120163) and 2 (0.25).
"""

from dataclasses import replace
from functools import partial
from typing import Any

from interplay.envs.behaviour.synthetic import CERTAIN, all_alike
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.logit_prices import LogitPrices
from interplay.envs.presets.base import Preset, Training

_DEMAND = LogitPrices()
_BEHAVIOUR = partial(all_alike, appeal=-CERTAIN)


def _demand(num_items: int, advantage: int = 0, **parameters: Any) -> LogitPrices:
    """Demand with the prices that so many firms can set; ``advantage`` in prices of the grid."""
    equilibrium, monopoly = (_DEMAND.equal_price(num_items, together) for together in (1, num_items))
    beyond = 0.1 * (monopoly - equilibrium)
    made = LogitPrices(lowest=equilibrium - beyond, highest=monopoly + beyond, **parameters)
    return replace(made, advantage=advantage * made.step)


def _config(num_items: int, **parameters: Any) -> MarketConfig:
    return MarketConfig(
        num_users=1, num_items=num_items, slate_size=num_items, embedding_size=1, num_topics=1, num_segments=1,
        horizon=100, slate_order="fixed", response_mode="mean", user_state="single",
        item_state="mechanism", mechanisms=(_demand(num_items, **parameters),))


_TRAINING = Training(num_worlds=16, episodes=100, eval_worlds=64, discount=0.95, side="items", others="rest",
                     measure="item_return").sized_for_gpu(256)
_ENTRANTS = ("q-learning", "dqn,sharing=independent", "pqn,sharing=independent")

PRICING = Preset("pricing", _config(2), _BEHAVIOUR, _TRAINING,
                 "two firms set prices: each alone undercuts, learners come to keep prices up", _ENTRANTS)
PRICING_THREE = Preset("pricing-three", _config(3), _BEHAVIOUR, _TRAINING, "pricing with three firms", _ENTRANTS)
PRICING_CHEAPEST = Preset("pricing-cheapest", _config(2, shown="cheapest", ties="drawn"), _BEHAVIOUR, _TRAINING,
                          "pricing on a platform that shows the cheaper product alone", _ENTRANTS)
PRICING_SHARED = Preset("pricing-shared", _config(2, shown="cheapest"), _BEHAVIOUR, _TRAINING,
                        "pricing-cheapest in which firms with equal prices share consumers", _ENTRANTS)
PRICING_INCUMBENT = Preset("pricing-incumbent", _config(2, shown="incumbent", advantage=1), _BEHAVIOUR, _TRAINING,
                           "pricing on a platform that keeps showing a firm that undercut", _ENTRANTS)
