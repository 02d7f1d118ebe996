"""`shop`: 32 shoppers with limited money, and 16 products with limited stock that set prices.

See ``mechanisms.shop``, which has the equations and sources.

- Observation (user): the part of its money that is left, how much it had, its taste and the part of the episode that is
  left; and, of each product in the slate, the price, the stock that is left, what was sold last, how its vector matches
  the taste, what it is worth above its price, and which part of the money left it costs.
- Actions: 0 = buy nothing, k = look at the product in slot k, which is bought if it is worth its price. What is sold
  out or costs more than is left cannot be taken.
- Slates: 4 of the 16, more often those to the shopper's taste.
- Items: products; each chooses one of 7 prices for the next step, or keeps its price. Tabular ones have one state.
- Rewards: a shopper earns its surplus, a product its margin for each unit sold.
- Stock: 30 of each product, of which one comes back in each step, up to 30.
- Start: any prices; qualities, tastes and money are drawn for each world. End: ``truncated`` after 40 steps, which
  learners see come. No exact value is known.
"""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from interplay.envs.behaviour.synthetic import SyntheticBehaviour, TownPopulation
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.clock import Clock
from interplay.envs.mechanisms.shop import Shop
from interplay.envs.population import Population
from interplay.envs.presets.base import Preset, Training


def _shoppers(config: MarketConfig) -> SyntheticBehaviour:
    """Tastes and vectors of a town. The mechanism says how likely shoppers buy, and what products earn."""
    return SyntheticBehaviour(partial(_tastes_alone, TownPopulation(config)))


def _tastes_alone(town: TownPopulation, key: Tensor) -> Population:
    people = town(key)
    nothing = torch.zeros_like(people.appeal)
    return replace(people, appeal=nothing, mood_effect=nothing, margin=nothing,
                   preference_weight=torch.zeros_like(people.preference_weight))


SHOP = Preset(
    "shop",
    MarketConfig(
        num_users=32, num_items=16, slate_size=4, embedding_size=6, num_topics=4, num_segments=1, horizon=40,
        temperature=0.5, item_state="single", mechanisms=(
            Shop(stock=(30.0,), restock=1.0, costs=(0.4,), quality=0.5, quality_spread=0.3, liking=2.0, money=2.0,
                 money_spread=0.5), Clock())),
    _shoppers,
    Training(num_worlds=8, episodes=20, eval_worlds=64, discount=0.99, reward_scale=5.0,
             # One table for all products: product number 5 is another one in every world.
             options={"q-learning": {"shared": True},
                      "dqn": {"learning_rate": 0.003, "target_rate": 0.02, "num_steps": 3},
                      "pqn": {"learning_rate": 0.002, "rollout_length": 20, "num_minibatches": 8}},
             on_gpu={"num_worlds": 128}),
    "32 shoppers with limited money, and 16 products with limited stock that set prices", ("dqn", "pqn"), seeds=5)
