"""Reference pages that follow from the code."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from interplay.envs.presets import Preset
from interplay.experiments.cli.catalogue import MARKET, Option, Thing, description, named, options_of, things, typed
from interplay.experiments.cli.commands import COMMANDS, module_of
from interplay.experiments.cli.flag_texts import texts_of
from interplay.experiments.evaluate.evaluation import Score
from interplay.experiments.exact.oracles import Oracle, solve

ROOT = Path(__file__).resolve().parents[2]


def agent_page() -> str:
    """Every agent, what it plays, and its options."""
    return _page("Agents", "Give a name to `--users`, `--items` or `--platform`, with options behind it: "
                 "`--users dqn,hidden=32`. [Your agent](../tutorial/your-agent.md) shows how to write one.",
                 map(_agent, _all("agent")))


def _agent(thing: Thing) -> str:
    kind = thing.value
    learns = "learns" if kind.learns else "does not learn"
    facts = f"Plays {', '.join(kind.plays)}; {learns}. Class `{kind.__module__}.{kind.__qualname__}`."
    return f"## {thing.name}\n\n{_described(thing)}\n\n{facts}\n\n{_options(options_of(thing))}"


def preset_page() -> str:
    """Every preset: its numbers, how to train on it, and its exact answer."""
    return _page("Presets", "Markets for `--preset NAME`. Numbers that are not listed have the default of the "
                 "[options](options.md#numbers-of-a-market). Exact values are computed while this page is built.",
                 (_preset(thing.value) for thing in _all("preset")))


def _preset(preset: Preset) -> str:
    oracle = solve(preset.market())
    exact = "No exact answer is known." if oracle is None else _exact(oracle)
    training = preset.training
    plan = (f"Compares {training.side} by {training.measure.replace('_', ' ')}; others: `{training.others}`. "
            f"On a CPU it trains {training.num_worlds} worlds for {training.episodes} episodes.")
    rows = [(f"`{f.name}`", _code(typed(getattr(preset.config, f.name)))) for f in fields(preset.config)
            if getattr(preset.config, f.name) != f.default]
    summary = f"{preset.summary[0].upper()}{preset.summary[1:]}."
    return f"## {preset.name}\n\n{summary} {exact} {plan}\n\n{_table(('number', 'value'), rows)}"


def _exact(oracle: Oracle) -> str:
    values = {"user return": oracle.user_return, "of greedy users": oracle.greedy, "of random users": oracle.random,
              "item return": oracle.item_return, "mean boost": oracle.mean_boost}
    shown = ", ".join(f"{name} {value:.3f}" for name, value in values.items() if value is not None)
    return f"Exact {oracle.name}: {shown}."


def mechanism_page() -> str:
    """Every mechanism and its parameters."""
    return _page("Mechanisms", "`--market NAME.PARAMETER=VALUE` sets a parameter, and adds the mechanism. Those that "
                 "are built in are explained in [the game](../guides/game.md); "
                 "[your mechanism](../tutorial/your-mechanism.md) is one of your own.",
                 [f"## {thing.name}\n\n{_described(thing)}\n\n{_options(options_of(thing))}"
                  for thing in _all("mechanism")])


def data_page() -> str:
    """Every public data set."""
    kinds = dict.fromkeys(thing.value for thing in _all("data set"))
    return _page("Data sets", "For `--log`: a folder, or one of the names. The project ships no data.",
                 map(_data_set, kinds))


def _data_set(kind: Any) -> str:
    facts = {"source": kind.source, "terms": kind.licence, "rows": kind.rows, "features": kind.features,
             "split": kind.own_split, "names": ", ".join(f"`{name}`" for name in kind.downloads)}
    rows = [fact for fact in facts.items() if fact[1]]
    about = _described(Thing("data set", kind.name, kind))
    return f"## {kind.name}\n\n{about}\n\n{_table(('', ''), rows) if rows else ''}"


def option_page() -> str:
    """Numbers of a market, and flags of each command."""
    (market,) = named(MARKET)
    numbers = ("## Numbers of a market\n\n`--market NAME=VALUE` sets one. [Mechanisms](mechanisms.md) have "
               f"numbers, too.\n\n{_options(options_of(market))}")
    return _page("Options", "Everything that can be set. `interplay COMMAND --help-all` shows the same.",
                 [numbers, *map(_command, COMMANDS)])


def _command(name: str) -> str:
    texts = texts_of(module_of(name))
    rows = [(_code(flag.typed), _code(flag.default), flag.text) for flag in texts.flags]
    flags = _table(("flag", "default", "meaning"), rows) if rows else ""
    return f"## interplay {name}\n\n{COMMANDS[name][0].upper()}{COMMANDS[name][1:]}.\n\n{flags}"


def metric_page() -> str:
    """Figures of an evaluation."""
    about, attributes = (inspect.getdoc(Score) or "").split("Attributes:\n")
    found = re.findall(r"^    (\w[\w, ]*): (.*?)(?=^    \w|\Z)", attributes, re.DOTALL | re.MULTILINE)
    rows = [(", ".join(f"`{name}`" for name in names.split(", ")), _line(text)) for names, text in found]
    return _page("Metrics", f"{_line(about)} `results.json` and `scores.csv` hold them.",
                 [_table(("figure", "meaning"), rows)])


def example_page() -> str:
    """The files of examples/, whole."""
    sections, folder = [], ROOT / "examples"
    for path in (*sorted(folder.glob("*.py")), *sorted(folder.glob("clients/*.py"))):
        code = path.read_text(encoding="utf-8")
        about = _line(ast.get_docstring(ast.parse(code)) or "")
        sections.append(f"## {path.relative_to(folder).as_posix()}\n\n{about}\n\n```python\n{code}```")
    return _page("Examples", "Each is one file of `examples/`. The tests run them all, but those of `clients`, which a "
                 "study runs ([other libraries](../guides/clients.md)).", sections)


PAGES: dict[str, Callable[[], str]] = {
    "agents": agent_page, "presets": preset_page, "mechanisms": mechanism_page, "data-sets": data_page,
    "options": option_page, "metrics": metric_page, "examples": example_page}


def _page(title: str, about: str, sections: Iterable[str]) -> str:
    return "\n\n".join([f"# {title}", about, *sections]) + "\n"


def _all(kind: str) -> Iterator[Thing]:
    return (thing for thing in things() if thing.kind == kind)


def _described(thing: Thing) -> str:
    """Its description, whose lines are paragraphs or points of a list."""
    return re.sub(r"\n+(?!- )", "\n\n", description(thing))


def _options(options: Iterable[Option]) -> str:
    rows = [(f"`{option.name}`", _code(option.default), option.text) for option in options]
    return _table(("option", "default", "meaning"), rows) if rows else "It has no options."


def _code(value: str) -> str:
    return f"`{value}`" if value else ""


def _line(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
