"""Objects as names: runs are saved as text, and other processes find by name what they play with."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from interplay.agents import Player, agents
from interplay.envs.checking import check_value, shown
from interplay.envs.config import by_dotted_name
from interplay.envs.mechanisms import Mechanism, mechanisms
from interplay.envs.presets import Preset, Training, presets
from interplay.envs.presets.folders import FittedPreset
from interplay.envs.types import InterplayError
from interplay.experiments.common.flags import changed


def agent_name(agent: object, recommended: Collection[Training] = ()) -> str:
    """An agent as the command line names it, such as ``dqn,hidden=32`` or ``my_agent:MyAgent``.

    Args:
        agent: such a name, a class, or an instance of a class's ``Options``, which says every option.
        recommended: trainings of the markets. A name leaves to them what it does not say; an instance does not.

    Raises:
        InterplayError: it is none of these, or a class that other processes cannot find.
    """
    if isinstance(agent, str):
        return agent
    if isinstance(agent, type) and issubclass(agent, Player):
        return agent.name if agents().get(agent.name) is agent else location(agent, "agent")
    options = agent if isinstance(agent, type) else type(agent)
    kinds = [kind for kind in _kinds(Player) if vars(kind).get("Options") is options]  # type: ignore[type-abstract]
    if len(kinds) != 1:
        raise InterplayError(f"agent {shown(agent)}: give a name such as 'dqn', a class of an agent, or its options, "
                             "such as interplay.agents.DQN(hidden=32)")
    name, values = agent_name(kinds[0]), {}
    if not isinstance(agent, type):
        other = {option for training in recommended for option in training.options.get(name, ())}
        values = {option: getattr(agent, option) for option in sorted(other)} | changed(agent)
    return ",".join([name, *pairs(values)])


def mechanism_name(mechanism: object) -> tuple[str, dict[str, Any]]:
    """A mechanism as the command line names it, and parameters that are not the default, as ``price.sensitivity``.

    Args:
        mechanism: a name, a class, or an instance.
    """
    if isinstance(mechanism, str):
        return mechanism, {}
    if not isinstance(mechanism, Mechanism):
        if not (isinstance(mechanism, type) and issubclass(mechanism, Mechanism)):
            raise InterplayError(f"mechanism {shown(mechanism)}: give a name, a class of a mechanism, or an instance")
        known = mechanisms().get(mechanism.name) is mechanism
        return (mechanism.name if known else location(mechanism, "mechanism")), {}
    name, _ = mechanism_name(type(mechanism))
    return name, {f"{mechanism.name}.{parameter}": value for parameter, value in changed(mechanism).items()}


def preset_name(preset: object) -> str:
    """A preset as the command line names it."""
    if isinstance(preset, str | Path):
        name = str(preset)
        if os.path.isfile(preset) and name not in presets():
            raise InterplayError(f"market {shown(name)} is a file: give interplay.log(...) of it if it is a log")
        return name
    if not isinstance(preset, Preset):
        raise InterplayError(f"market {shown(preset)}: give a preset's name, a Preset, interplay.market(...) or "
                             "interplay.log(...)")
    if isinstance(preset, FittedPreset) and preset.folder:
        return preset.folder
    return preset.name if presets().get(preset.name) is preset else location(preset, "preset")


def check_path(name: str, value: object) -> None:
    """Check that it is a path.

    Raises:
        InterplayError: it is not.
    """
    check_value(name, value, str | Path)
    if not str(value):
        raise InterplayError(f"{name}='' is no path: name a file or a folder, or '.' for this one")


def check_importable(names: Sequence[str]) -> None:
    """Check that other processes find what the main program defines."""
    own = [name for name in names if name.startswith("__main__:")]
    if own and not hasattr(sys.modules["__main__"], "__file__"):
        raise InterplayError(f"{own[0]!r} is defined in a notebook, where other processes cannot find it: put it into "
                             "a module, and import it from there")


def pairs(values: Mapping[str, Any]) -> tuple[str, ...]:
    """``{"hidden": 32}`` to ``("hidden=32",)``, and ``{"satiation": {"gain": 2}}`` to ``("satiation.gain=2",)``."""
    return tuple(f"{name}={value if isinstance(value, str) else repr(plain(value))}"
                 for name, value in by_dotted_name(values).items())


def option_pairs(name: str, values: object) -> tuple[str, ...]:
    """``pairs`` of the argument ``name``, which must be a dict."""
    if not isinstance(values, Mapping):
        raise InterplayError(f"{name}={shown(values)} must be a dict, as in {name}={{'hidden': 32}}")
    return pairs(values)


def plain(value: Any) -> Any:
    """Python's number in place of numpy's, as in ``for rate in np.linspace(...)``."""
    return value.item() if isinstance(value, np.generic) else value


def location(thing: Any, what: str) -> str:
    """``module:name`` of an object that a module has at its top level.

    Raises:
        InterplayError: no module that is loaded has it.
    """
    first = getattr(thing, "__module__", "")
    for module in sorted(list(sys.modules), key=lambda name: name != first):
        for name, value in list(getattr(sys.modules[module], "__dict__", {}).items()):
            if value is thing:
                return f"{module}:{name}"
    raise InterplayError(f"{what} {getattr(thing, 'name', None) or shown(thing)!r} cannot be found again when its run "
                         "is loaded: assign it to a name at the top level of a module, or of a notebook")


def _kinds(kind: type[Player]) -> Iterator[type[Player]]:
    """All agents that are defined by now, in this package or elsewhere."""
    agents()
    for each in kind.__subclasses__():
        yield each
        yield from _kinds(each)
