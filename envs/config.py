"""The numbers of a market, checked when they are set. Symbols are those of the game's equations (README)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

from interplay.envs.types import InterplayError


@dataclass(frozen=True)
class MarketConfig:
    """A market's sizes and mechanisms. Every mechanism can be switched off with the value 0 or False."""

    num_users: int = 64
    """U, users in a world."""
    num_items: int = 32
    """I, items in a world."""
    slate_size: int = 4
    """K, slots of a slate."""
    embedding_size: int = 8
    """D, size of the vectors of users and items."""
    num_topics: int = 4
    """G, topics that users get tired of."""
    num_segments: int = 4
    """C, segments of users that items can court."""
    num_user_features: int = 0
    """Fu, features of users that the behaviour gives, such as age."""
    num_item_features: int = 0
    """Fi, features of items, such as price."""
    horizon: int = 50
    """T, steps of an episode."""
    boost_levels: tuple[float, ...] = (2.0, 4.0)
    """Factors xi_l > 1 by which a boost multiplies an item's weight; () = items can only rest."""
    boost_cost: float = 0.5
    """c, cost of one unit of boost above 1, charged when the boost is served."""

    slate_order: Literal["ranked", "fixed"] = "ranked"
    """ranked = Plackett-Luce draw from the candidates; fixed = item k in slot k, for catalogues of size K."""
    num_candidates: int = 0
    """M, items retrieved for each segment before users' slates are drawn; 0 = all, which is exact."""
    temperature: float = 1.0
    """tau of the draw of slates: smaller means closer to the users' tastes."""
    response_mode: Literal["sampled", "mean"] = "sampled"
    """sampled = y is 0 or 1; mean = y is its expectation."""
    position_bias: float = 0.0
    """eta: a response in slot k is k^-eta times as likely."""

    satiation_weight: float = 0.0
    """lambda, how much satiation with an item's topics lowers the response."""
    mood_weight: float = 0.0
    """kappa, how much mood raises it."""
    wearout_weight: float = 0.0
    """phi, how much an item's wear-out in the user's segment lowers it."""
    satiation_decay: float = 1.0
    """delta_s."""
    satiation_gain: float = 0.0
    """alpha, satiation from one response."""
    satiation_recovery: float = 0.0
    """rho_s, satiation lost in each step."""
    satiation_max: float = 4.0
    """S."""
    mood_decay: float = 1.0
    """delta_h."""
    mood_max: float = 4.0
    """H: mood lies in [-H, H]."""
    drift_rate: float = 0.0
    """mu, how far a response pulls the user's taste towards the item."""
    drift_noise: float = 0.0
    """Standard deviation of the noise added to each coordinate of a taste in each step."""
    wearout_decay: float = 0.0
    """delta_f."""

    leaving: bool = False
    """Users whose mood reaches -H leave."""
    return_rate: float = 0.0
    """Probability that a user who has left comes back in a step, in a neutral mood."""
    budgets: bool = False
    """Items pay upkeep and boosts from a budget, cannot boost beyond it, and die when it is empty."""
    energy_start: float = 1.0
    """Budget at the start."""
    energy_max: float = 1.0
    """E, the largest budget."""
    upkeep: float = 0.0
    """What an item's budget loses in each step."""

    team: float = 0.0
    """Blend of rewards: 0 = each agent's own, 1 = mean welfare of all agents in the world."""
    history_length: int = 0
    """H, steps that users remember: what they took and how they responded."""
    user_sees: Literal["state", "history"] = "state"
    """state = users know their own mood, satiation and taste; history = they have to tell from what they remember."""
    user_state: Literal["none", "own", "budgets", "single"] = "none"
    """Exact state that tabular users see: own satiation and mood, or budgets in steps of 0.5, or just one."""
    item_state: Literal["none", "boost", "budgets", "single"] = "none"
    """The same for items; boost = the action that is being served, which is what the item is about to pay for."""

    def __post_init__(self) -> None:
        for field in fields(self):
            self._check(field.name)
        if self.slate_size > self.num_items:
            raise InterplayError(f"slate_size={self.slate_size} is larger than the catalogue of "
                                 f"num_items={self.num_items}: lower slate_size or add items")
        if self.slate_order == "fixed" and self.slate_size != self.num_items:
            raise InterplayError(f"slate_order='fixed' shows every item, but slate_size={self.slate_size} and "
                                 f"num_items={self.num_items}: make them equal or use slate_order='ranked'")
        if not self.slate_size <= (self.num_candidates or self.num_items) <= self.num_items:
            raise InterplayError(f"num_candidates={self.num_candidates} must lie between slate_size="
                                 f"{self.slate_size} and num_items={self.num_items}, or be 0 for all")
        if self.user_sees == "history" and (self.history_length == 0 or self.user_state == "own"):
            raise InterplayError(f"user_sees='history' with history_length={self.history_length} and user_state="
                                 f"{self.user_state!r}: give a length above 0, and user_state='none'")
        if self.energy_start > self.energy_max:
            raise InterplayError(f"energy_start={self.energy_start} is above energy_max={self.energy_max}: "
                                 "raise energy_max")

    def _check(self, name: str) -> None:
        """Check one number against its type and what its name allows."""
        value = getattr(self, name)
        _check_type(name, value, type(MarketConfig.__dataclass_fields__[name].default))
        if name in _POSITIVE_INTEGERS and value < 1:
            raise InterplayError(f"{name}={value!r} must be an integer of at least 1")
        if name == "boost_levels" and any(not x > 1.0 or not math.isfinite(x) for x in value):
            raise InterplayError(f"boost_levels={value!r} must all be factors above 1 (resting is always allowed)")
        if name in _FRACTIONS and not 0.0 <= value <= 1.0:
            raise InterplayError(f"{name}={value!r} must lie between 0 and 1")
        if name in _POSITIVE and not 0.0 < value < math.inf:
            raise InterplayError(f"{name}={value!r} must be a number above 0")
        if name in _NOT_NEGATIVE and not 0.0 <= value < math.inf:
            raise InterplayError(f"{name}={value!r} must not be negative: use 0 to switch it off")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise InterplayError(f"{name}={value!r} is unknown: choose from {', '.join(_CHOICES[name])}")


def _check_type(name: str, value: object, kind: type) -> None:
    """Refuse what only fails later, far from its cause. An integer will do where a number is asked for."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) if kind is float else type(value) is kind
    if kind is tuple and fits:
        assert isinstance(value, tuple)
        fits = all(isinstance(x, int | float) and not isinstance(x, bool) for x in value)
    if not fits:
        raise InterplayError(f"{name}={value!r} must be {_TYPE_NAMES[kind]}")


_TYPE_NAMES = {int: "an integer", float: "a number", bool: "True or False", str: "a word in quotes",
               tuple: "a tuple of numbers, such as (2.0, 4.0), or () for none"}
_POSITIVE_INTEGERS = {"num_users", "num_items", "slate_size", "embedding_size", "num_topics", "num_segments",
                      "horizon"}
_FRACTIONS = {"satiation_decay", "mood_decay", "drift_rate", "wearout_decay", "return_rate", "team"}
_POSITIVE = {"temperature", "satiation_max", "mood_max", "energy_start", "energy_max"}
_NOT_NEGATIVE = {"num_user_features", "num_item_features", "history_length", "boost_cost", "num_candidates",
                 "position_bias", "satiation_weight", "mood_weight", "wearout_weight", "satiation_gain",
                 "satiation_recovery", "drift_noise", "upkeep"}
_CHOICES = {"user_sees": ("state", "history"), "slate_order": ("ranked", "fixed"), "response_mode": ("sampled", "mean"),
            "user_state": ("none", "own", "budgets", "single"), "item_state": ("none", "boost", "budgets", "single")}
