"""Which mechanisms a market has, and their parameters, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from interplay.envs.checking import check_names, check_value, hints_of
from interplay.envs.mechanisms import find_mechanism, mechanisms
from interplay.envs.mechanisms.base import Mechanism
from interplay.envs.mechanisms.built_in import kind_of
from interplay.envs.types import UnexpectedArgumentError

_WERE = {"energy_start": "budgets.start", "energy_max": "budgets.max", "upkeep": "budgets.upkeep",
         "leaving": "mood.leaving", "return_rate": "mood.return_rate"}


class Chosen:
    """The mechanisms of a market, some of them with other parameters.

    Args:
        owner: the function that takes the names, for messages.
        given: to begin with.

    Attributes:
        mechanisms: by now.
    """

    def __init__(self, owner: str, given: Sequence[Mechanism]) -> None:
        self._owner, self.mechanisms = owner, tuple(given)

    @property
    def names(self) -> list[str]:
        """Names of the mechanisms of this package, and of these."""
        return list(dict.fromkeys([*mechanisms(), *(mechanism.name for mechanism in self.mechanisms)]))

    def switch(self, name: str, there: object) -> None:
        """Add the mechanism ``name`` with its default parameters, unless it is there, or leave it out."""
        check_value(name, there, bool)
        if not there:
            self.mechanisms = tuple(mechanism for mechanism in self.mechanisms if not _is(mechanism, name))
        elif not any(_is(mechanism, name) for mechanism in self.mechanisms):
            self.add(find_mechanism(name))

    def add(self, *added: Mechanism) -> None:
        """Add mechanisms, in place of those of their kinds."""
        kinds = {kind_of(mechanism) for mechanism in added}
        self.mechanisms = (*(mechanism for mechanism in self.mechanisms if kind_of(mechanism) not in kinds), *added)

    def set(self, name: str, parameters: Mapping[str, Any]) -> None:
        """Set parameters of the mechanism ``name``, which is added if it is not there.

        A keyword of Python cannot have the dashes of a name, so that it has underscores in their place.
        """
        name = next((known for known in self.names if known.replace("-", "_") == name), name)
        check_names(self._owner, [name], self.names)
        self.switch(name, True)
        self.mechanisms = tuple(_with(mechanism, parameters) if _is(mechanism, name) else mechanism
                                for mechanism in self.mechanisms)


def check_no_parameters(names: Iterable[str]) -> None:
    """Check that none of ``names`` is a mechanism's parameter without the mechanism, as ``satiation_gain``.

    Raises:
        UnexpectedArgumentError: one is; the message says how to write it.
    """
    for name in names:
        if name in (known := parameters()):
            mechanism, parameter = known[name].split(".")
            raise UnexpectedArgumentError(f"{name!r} is a parameter of the mechanism {mechanism!r}: write "
                                          f"{known[name]}=VALUE, in Python {mechanism}={{{parameter!r}: VALUE}}")


def parameters() -> dict[str, str]:
    """Names such as ``satiation_gain``, ``boost_cost`` and ``upkeep``, as ``satiation.gain`` and so on."""
    return _WERE | {f"{owner}_{field.name}": f"{kind.name}.{field.name}" for kind in mechanisms().values()
                    for field in fields(kind) for owner in (kind.name, kind.name.removesuffix("s"))}


def _is(mechanism: Mechanism, name: str) -> bool:
    return name in (mechanism.name, kind_of(mechanism).name)


def _with(mechanism: Mechanism, parameters: Mapping[str, Any]) -> Mechanism:
    check_names(mechanism.name, parameters, [field.name for field in fields(mechanism)])
    kind: Any = type(mechanism)
    for name, value in parameters.items():
        check_value(f"{mechanism.name}.{name}", value, hints_of(kind)[name])
    return replace(mechanism, **parameters)
