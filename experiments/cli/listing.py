"""What ``interplay agents``, ``presets``, ``mechanisms``, ``datasets`` and ``show`` print."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

import tyro

from interplay.agents import agents
from interplay.envs.config import MarketConfig, by_dotted_name
from interplay.envs.data import data_sets
from interplay.envs.mechanisms import mechanisms
from interplay.envs.presets import Preset, presets
from interplay.experiments.cli.catalogue import (
    MARKET,
    Thing,
    description,
    named,
    options_of,
    source,
    summary,
    typed,
)
from interplay.experiments.cli.console import counted, say, say_table, say_whole


def list_agents() -> None:
    """List the agents: what each is, and which sides it plays."""
    rows = [(name, " ".join(kind.plays) if len(kind.plays) < 3 else "any", "yes" if kind.learns else "no",
             summary(Thing("agent", name, kind))) for name, kind in agents().items()]
    say_table(("agent", "side", "learns", "what it is"), rows)
    say("\ninterplay show AGENT lists its options; --users AGENT,OPTION=VALUE sets them.")


def list_presets() -> None:
    """List the markets that are ready to play."""
    rows = [(name, f"{counted(p.config.num_users, 'user')}, {counted(p.config.num_items, 'item')}", p.training.side,
             p.summary) for name, p in presets().items()]
    say_table(("preset", "size", "compares", "what it is"), rows)
    say("\ninterplay show PRESET lists its numbers; interplay train --preset PRESET plays it.")


def list_mechanisms() -> None:
    """List the mechanisms that can be added to a market."""
    say_table(("mechanism", "what it is"), [(name, summary(Thing("mechanism", name, kind)))
                                            for name, kind in mechanisms().items()])
    say("\ninterplay show MECHANISM lists its parameters. --market MECHANISM.PARAMETER=VALUE sets one, and adds the "
        "mechanism; MECHANISM=false leaves it out. interplay new mechanism NAME writes one of your own.")


def list_datasets() -> None:
    """List the public data sets that can be asked for by name, and the formats that are read."""
    rows = [(", ".join(kind.downloads or [name]), kind.rows or summary(Thing("data set", name, kind)), kind.licence)
            for name, kind in data_sets().items()]
    say_table(("name", "a row is", "licence"), rows)
    say("\ninterplay show DATASET names its source; interplay train --log DATASET downloads it, if it may.")


def show(name: Annotated[str, tyro.conf.Positional]) -> None:
    """Explain an agent, a preset, a mechanism, a data set, an encoder or the market, with its options.

    Args:
        name: one of those that interplay agents, presets, mechanisms and datasets list, market, or module:Name.
    """
    for number, thing in enumerate(named(name)):
        say("\n" * bool(number) + f"{thing.name}: {thing.kind}", "bold")
        say(description(thing) + "\n")
        _SHOWS[thing.kind](thing)
        say_whole(f"source  {_near(source(thing))}", "dim")


def _show_agent(thing: Thing) -> None:
    say(f"plays   {', '.join(thing.value.plays)}\nlearns  {'yes' if thing.value.learns else 'no'}\n")
    _show_options(thing, "option")
    say_whole(f"use     interplay train --users {thing.name}")


def _show_options(thing: Thing, what: str = "parameter") -> None:
    rows = list(options_of(thing))
    if rows:
        say_table((what, "default", "meaning"), rows)
        say("")


def _show_preset(thing: Thing) -> None:
    preset: Preset = thing.value
    say_table(("number of the market", "value"), _differing(preset.config, MarketConfig()))
    say("")
    say_table(("recommended training", "value"), _differing(preset.training))
    say(f"\nOther numbers of the market are the defaults: interplay show {MARKET}.")
    say_whole(f"use     interplay train --preset {thing.name}")


def _show_data_set(thing: Thing) -> None:
    kind = thing.value
    rows = {"rows": kind.rows, "features": kind.features, "own split": kind.own_split, "licence": kind.licence,
            "published": kind.source, "names": ", ".join(kind.downloads)}
    say_table(("", ""), [(name, text) for name, text in rows.items() if text])
    say_whole(f"use     interplay train --log {thing.name if thing.name in kind.downloads else 'PATH'}")


def _differing(values: Any, default: Any = None) -> Iterator[tuple[str, str]]:
    """Names and values that are not the default's; all of them without a default."""
    for field in fields(values):
        value = getattr(values, field.name)
        if field.name == "mechanisms":
            for mechanism in value:
                numbers = ", ".join(f"{name}={typed(number)}" for name, number in asdict(mechanism).items())
                yield "mechanism", f"{mechanism.name} {numbers}"
        elif value is not None and (default is None or value != getattr(default, field.name)):
            yield from ((name, typed(part)) for name, part in by_dotted_name({field.name: value}).items())


def _near(path: str) -> str:
    """A path from the current folder, if it is in there."""
    file = Path(path)
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else path


_SHOWS: dict[str, Callable[[Thing], None]] = {
    "agent": _show_agent, "preset": _show_preset, "mechanism": _show_options, "data set": _show_data_set,
    "encoder": _show_options, "market": lambda thing: _show_options(thing, "number")}
