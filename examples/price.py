"""Items set prices: `interplay train --preset town --mechanism price:Price --users dqn --items q-learning`."""
from dataclasses import dataclass

from interplay.envs.mechanisms import Levels, Mechanism


@dataclass(frozen=True)
class Price(Mechanism):
    """A price lowers the response by its worth to the user, and is what the item earns when it is taken."""

    prices: tuple[float, ...] = (0.5, 1.0, 2.0)
    sensitivity: float = 1.0

    @property
    def item_actions(self):
        return Levels(self.prices)                            # what an item can choose, beside boosts

    def item_columns(self, sizes):
        return ["price"]

    def item_tables(self, start):
        return {"price": start.full_items(self.prices[0])}    # [worlds, items]

    def shift(self, state, items):                            # [worlds, users, slots], added to the logit
        return -self.sensitivity * state.of_items("price", items)

    def update(self, state, outcome):
        return {"price": outcome.chosen_level(self, keep=state["price"])}

    def item_reward(self, before, after, outcome):            # [worlds, items]
        return before["price"] * outcome.demand

    def see_items(self, state):                               # [worlds, items, 1], within [0, 1]
        return state["price"][..., None] / max(self.prices)

    def draw(self, picture, state):                           # in pictures and films of the market
        picture.bar("items", "price", state["price"], high=max(self.prices))
