"""The numbers of a market, checked when they are set. Symbols are those of the game's equations (README)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from interplay.envs.checking import Fraction, NotNegative, Positive, check_fields, check_names, check_value
from interplay.envs.mechanisms import Mechanism, find_mechanism
from interplay.envs.mechanisms.built_in import BuiltIn, further, in_order
from interplay.envs.mechanisms.choosing import Chosen, check_no_parameters
from interplay.envs.population import kept
from interplay.envs.sizes import Length, MarketSizes
from interplay.envs.types import InterplayError


@dataclass(frozen=True)
class MarketConfig(MarketSizes):
    """A market's sizes, its slates and responses, what agents see, and its mechanisms."""

    slate_order: Literal["ranked", "fixed"] = "ranked"
    """ranked = Plackett-Luce draw from the candidates; fixed = item k in slot k, for catalogues of size K."""
    num_candidates: Length = 0
    """M, items retrieved for each segment before users' slates are drawn; 0 = all, which is exact. Where users have
    lists of their own, as in a log, so many of each list are drawn for a platform; 0 = all, or 4 K where the
    longest list times the users is above 4 million."""
    temperature: Positive = 1.0
    """tau of the draw of slates: smaller means closer to the users' tastes."""
    response_mode: Literal["sampled", "mean"] = "sampled"
    """sampled = y is 0 or 1; mean = y is its expectation."""
    position_bias: NotNegative = 0.0
    """eta: a response in slot k is k^-eta times as likely."""

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
    """What else is part of the world, such as mood or boosts; see ``interplay.envs.mechanisms``. Where what one of them
    does carries over, and it is not built in, agents see no exact state but that which a mechanism gives."""

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
        for mechanism in self.mechanisms:
            check_fields(mechanism)  # whose own __post_init__ may not have
        object.__setattr__(self, "mechanisms", in_order(self.mechanisms))

    @kept
    def built_in(self) -> BuiltIn:
        """The mechanisms that kernels know."""
        return BuiltIn.of(self.mechanisms)

    @kept
    def further(self) -> tuple[Mechanism, ...]:
        """The other mechanisms."""
        return further(self.mechanisms)

    @property
    def users_return(self) -> bool:
        """Whether users who have left may come back."""
        return any(mechanism.users_return for mechanism in self.mechanisms)

    def without_return(self) -> MarketConfig:
        """This config for users who leave for good."""
        return replace(self, mechanisms=tuple(m.without_return() for m in self.mechanisms))

    def numbers(self) -> dict[str, Any]:
        """All values by field; those of mechanisms in a dictionary by the mechanism's name. ``changed`` takes them."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return own | {"mechanisms": tuple(m.name for m in self.mechanisms)} | {
            m.name: asdict(m) for m in self.mechanisms}

    def changed(self, owner: str, changes: Mapping[str, Any]) -> MarketConfig:
        """This config with other values.

        Args:
            owner: the function that takes them, for messages.
            changes: values by field. ``"satiation.gain"`` is a parameter of the mechanism ``satiation``, and so is
                ``gain`` in a dictionary ``"satiation"``; a mechanism of this package that is not there is added.
                ``"satiation"`` itself is False to leave it out, or True to add it. ``mechanisms`` are added, each in
                place of one of the same kind; a name stands for one with its default parameters.

        Raises:
            InterplayError: an unknown name, or a value that it cannot have.
        """
        # An empty dictionary has no dotted name: it is a mechanism with its parameters as they are.
        parameters: dict[str, dict[str, Any]] = {
            name: {} for name, value in changes.items() if isinstance(value, Mapping) and not value}
        values = by_dotted_name(changes) | {
            name: parameters.pop(name) for name in self.__dataclass_fields__.keys() & parameters.keys()}
        chosen = Chosen(owner, self.mechanisms)
        for name in [name for name in values if name in chosen.names]:
            chosen.switch(name, values.pop(name))
        chosen.add(*_as_mechanisms(values.pop("mechanisms", ())))
        for name in [name for name in values if "." in name]:
            group, parameter = name.split(".", 1)
            parameters.setdefault(group, {})[parameter] = values.pop(name)
        for group, own in parameters.items():
            chosen.set(group, own)
        check_no_parameters(values.keys() - self.__dataclass_fields__.keys())
        check_names(owner, values, [*self.__dataclass_fields__, *chosen.names])
        return replace(self, mechanisms=chosen.mechanisms, **values)


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
