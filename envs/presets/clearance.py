"""`clearance`: one product with a limited stock, and one shopper in each step that always looks at it.

Gallego and van Ryzin, "Optimal dynamic pricing of inventories with stochastic demand over finite horizons", Management
Science 1994, in discrete time; see ``mechanisms.shop``, which has the equations.

- Items: the product, of which there are 3 units. It chooses one of 7 prices for the next step, or keeps its price.
- Users: a shopper, which buys with a probability that falls with the price, until all is sold.
- Rewards: the product earns its price for each unit sold, the shopper its surplus.
- Observation: tabular items see the step, the stock and the price; networks the price, the stock and the last sale.
- Start: any price. End: after 12 steps.
- Known (``experiments.exact.clearance``): the best prices for each step and stock earn 3.223 on average, the best that
  stays once it is set 3.039, and that which would be best for a stock without end 2.278.
"""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from interplay.envs.behaviour.synthetic import SyntheticBehaviour, all_alike
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.shop import Shop
from interplay.envs.population import Population
from interplay.envs.presets.base import Preset, Training


def _one_shopper(config: MarketConfig) -> SyntheticBehaviour:
    """Without margins, since the mechanism pays them."""
    return SyntheticBehaviour(partial(_without_margins, all_alike(config, appeal=0.0)))


def _without_margins(alike: SyntheticBehaviour, key: Tensor) -> Population:
    people = alike.populate(key)
    return replace(people, margin=torch.zeros_like(people.margin))


CLEARANCE = Preset(
    "clearance",
    MarketConfig(
        num_users=1, num_items=1, slate_size=1, embedding_size=1, num_topics=1, num_segments=1, horizon=12,
        slate_order="fixed", item_state="mechanism", mechanisms=(Shop(stock=(3.0,)),)),
    _one_shopper,
    # What follows is known late, since values come back step by step: steps must not get small too soon. And luck is as
    # large as what prices differ by, so that each must be tried often to the end.
    Training(num_worlds=512, episodes=400, eval_worlds=1024, discount=1.0, side="items", others="first",
             measure="item_return", options={"q-learning": {"rate_power": 0.6, "epsilon_end": 0.3}}
             ).sized_for_gpu(4096),
    "one product with a limited stock: the best price depends on what is left, and for how long", ("q-learning",),
    seeds=10)
