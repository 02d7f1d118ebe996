"""The numbers of a market, checked when they are set. Symbols are those of the game's equations (README)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal

from interplay.envs.checking import Bounds, Fraction, NotNegative, Positive, check_names, check_value
from interplay.envs.mechanisms import Mechanism, find_mechanism
from interplay.envs.sizes import Length, MarketSizes
from interplay.envs.types import InterplayError

Boost = Annotated[float, Bounds(1, above=True)]


@dataclass(frozen=True)
class MarketConfig(MarketSizes):
    """A market's sizes and mechanisms. Every mechanism can be switched off with the value 0 or False."""

    boost_levels: tuple[Boost, ...] = (2.0, 4.0)
    """Factors xi_l > 1 by which a boost multiplies an item's weight; () = items can only rest."""
    boost_cost: NotNegative = 0.5
    """c, cost of one unit of boost above 1, charged when the boost is served."""

    slate_order: Literal["ranked", "fixed"] = "ranked"
    """ranked = Plackett-Luce draw from the candidates; fixed = item k in slot k, for catalogues of size K."""
    num_candidates: Length = 0
    """M, items retrieved for each segment before users' slates are drawn; 0 = all, which is exact."""
    temperature: Positive = 1.0
    """tau of the draw of slates: smaller means closer to the users' tastes."""
    response_mode: Literal["sampled", "mean"] = "sampled"
    """sampled = y is 0 or 1; mean = y is its expectation."""
    position_bias: NotNegative = 0.0
    """eta: a response in slot k is k^-eta times as likely."""

    satiation_weight: NotNegative = 0.0
    """lambda, how much satiation with an item's topics lowers the response."""
    mood_weight: NotNegative = 0.0
    """kappa, how much mood raises it."""
    wearout_weight: NotNegative = 0.0
    """phi, how much an item's wear-out in the user's segment lowers it."""
    satiation_decay: Fraction = 1.0
    """delta_s."""
    satiation_gain: NotNegative = 0.0
    """alpha, satiation from one response."""
    satiation_recovery: NotNegative = 0.0
    """rho_s, satiation lost in each step."""
    satiation_max: Positive = 4.0
    """S."""
    mood_decay: Fraction = 1.0
    """delta_h."""
    mood_max: Positive = 4.0
    """H: mood lies in [-H, H]."""
    drift_rate: Fraction = 0.0
    """mu, how far a response pulls the user's taste towards the item."""
    drift_noise: NotNegative = 0.0
    """Standard deviation of the noise added to each coordinate of a taste in each step."""
    wearout_decay: Fraction = 0.0
    """delta_f."""

    leaving: bool = False
    """Users whose mood reaches -H leave."""
    return_rate: Fraction = 0.0
    """Probability that a user who has left comes back in a step, in a neutral mood."""
    budgets: bool = False
    """Items pay upkeep and boosts from a budget, can only boost where it pays the boost when that is charged, and die
    when it is empty."""
    energy_start: Positive = 1.0
    """Budget at the start."""
    energy_max: Positive = 1.0
    """E, the largest budget."""
    upkeep: NotNegative = 0.0
    """What an item's budget loses in each step."""

    team: Fraction = 0.0
    """Blend of rewards: 0 = each agent's own, 1 = welfare, the mean over all agents of the world. Agents that have left
    count in that mean with 0, and are paid nothing."""
    history_length: Length = 0
    """H, steps that users remember: what they took and how they responded."""
    user_sees: Literal["state", "history"] = "state"
    """state = users know their own mood, satiation and taste; history = they infer it from what they remember."""
    user_state: Literal["none", "own", "budgets", "single", "mechanism"] = "none"
    """Exact state that tabular users see: own satiation and mood, budgets in steps of 0.5, just one, or what a
    mechanism gives as ``user_state``."""
    item_state: Literal["none", "boost", "budgets", "single", "mechanism"] = "none"
    """The same for items; boost = the action that is being served, which is what the item is about to pay for."""

    mechanisms: tuple[Mechanism, ...] = ()
    """Further mechanisms, beside those that the numbers above switch on; see ``interplay.envs.mechanisms``. Where what
    one of them does carries over, agents see no exact state but that which a mechanism gives."""

    def __post_init__(self) -> None:
        super().__post_init__()
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

    @property
    def users_return(self) -> bool:
        """Whether users who have left may come back."""
        return self.leaving and self.return_rate > 0.0

    def changed(self, owner: str, changes: Mapping[str, Any]) -> MarketConfig:
        """This config with other values.

        Args:
            owner: the function that takes them, for messages.
            changes: values by field. ``"price.gain"`` is a parameter of the mechanism ``price``, and so is ``gain`` in
                a dictionary ``"price"``. Without such a mechanism it is the field ``price_gain``. Among ``mechanisms``
                a name stands for a mechanism with its default parameters.

        Raises:
            InterplayError: an unknown name, or a value that it cannot have.
        """
        values = by_dotted_name(changes)
        mechanisms = _as_mechanisms(values.pop("mechanisms", self.mechanisms))
        for name in [name for name in values if "." in name]:
            group, option = name.split(".", 1)
            if any(m.name == group for m in mechanisms):
                value = values.pop(name)
                mechanisms = tuple(_with(m, option, value) if m.name == group else m for m in mechanisms)
            else:
                values[f"{group}_{option}"] = values.pop(name)
        check_names(owner, values, self.__dataclass_fields__)
        return replace(self, mechanisms=mechanisms, **values)


def by_dotted_name(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of nested mappings: ``{"a": {"b": 1}}`` as ``{"a.b": 1}``."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= ({f"{name}.{inner}": each for inner, each in by_dotted_name(value).items()}
                  if isinstance(value, Mapping) else {name: value})
    return found


def _as_mechanisms(given: Sequence[Mechanism | str]) -> tuple[Mechanism, ...]:
    given = tuple(given) if isinstance(given, list) else given
    check_value("mechanisms", given, tuple[Mechanism | str, ...])
    return tuple(find_mechanism(each) if isinstance(each, str) else each for each in given)


def _with(mechanism: Mechanism, name: str, value: Any) -> Mechanism:
    check_names(mechanism.name, [name], [f.name for f in fields(mechanism)])
    return replace(mechanism, **{name: value})
