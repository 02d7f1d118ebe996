"""Reference pages that follow from the code."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_type_hints

from interplay.agents import Player, agents
from interplay.envs.config import MarketConfig
from interplay.envs.data import data_sets
from interplay.envs.mechanisms import mechanisms
from interplay.envs.presets import Preset, presets
from interplay.experiments.benchmark.command import BenchmarkSettings
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.evaluate.evaluation import Score
from interplay.experiments.exact.oracles import Oracle, solve
from interplay.experiments.fidelity.settings import FidelitySettings
from interplay.experiments.offpolicy.command import OpeSettings
from interplay.experiments.recommend.recommending import RecommendSettings
from interplay.experiments.representation.settings import PretrainSettings

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {"train": TrainSettings, "benchmark": BenchmarkSettings, "pretrain": PretrainSettings,
            "recommend": RecommendSettings, "ope": OpeSettings, "fidelity": FidelitySettings}


def agent_page() -> str:
    """Every agent, what it plays, and its options."""
    return _page("Agents", "Give a name to `--users`, `--items` or `--platform`, with options behind it: "
                 "`--users dqn,hidden=32`. [Your agent](../tutorial/your-agent.md) shows how to write one.",
                 (_agent(name, kind) for name, kind in agents().items()))


def _agent(name: str, kind: type[Player]) -> str:
    learns = "learns" if kind.learns else "does not learn"
    facts = f"Plays {', '.join(kind.plays)}; {learns}. Class `{kind.__module__}.{kind.__qualname__}`."
    return f"## {name}\n\n{_text(kind)}\n\n{facts}\n\n{_options(kind.Options)}"


def preset_page() -> str:
    """Every preset: its numbers, how to train on it, and its exact answer."""
    return _page("Presets", "Markets for `--preset NAME`. Numbers that are not listed have the default of the "
                 "[options](options.md#marketconfig). Exact values are computed while this page is built.",
                 (_preset(preset) for preset in presets().values()))


def _preset(preset: Preset) -> str:
    oracle = solve(preset.market())
    exact = "No exact answer is known." if oracle is None else _exact(oracle)
    training = preset.training
    plan = (f"Compares {training.side} by {training.measure.replace('_', ' ')}; others: `{training.others}`. On a CPU it "
            f"trains {training.num_worlds} worlds for {training.episodes} episodes.")
    rows = [(f"`{f.name}`", _code(getattr(preset.config, f.name))) for f in fields(preset.config)
            if getattr(preset.config, f.name) != f.default]
    return f"## {preset.name}\n\n{_sentence(preset.summary)} {exact} {plan}\n\n{_table(('number', 'value'), rows)}"


def _exact(oracle: Oracle) -> str:
    values = {"user return": oracle.user_return, "of greedy users": oracle.greedy, "of random users": oracle.random,
              "item return": oracle.item_return, "mean boost": oracle.mean_boost}
    shown = ", ".join(f"{name} {value:.3f}" for name, value in values.items() if value is not None)
    return f"Exact {oracle.name}: {shown}."


def mechanism_page() -> str:
    """Every mechanism and its parameters."""
    return _page("Mechanisms", "Mechanisms for `--mechanism NAME`, each set by `--market NAME.PARAMETER=VALUE`. The "
                 "mechanisms that [numbers of the market](options.md#marketconfig) switch on are explained in "
                 "[the game](../guides/game.md); [your mechanism](../tutorial/your-mechanism.md) shows how to write one.",
                 (f"## {name}\n\n{_text(kind)}\n\n{_options(kind)}" for name, kind in mechanisms().items()))


def data_page() -> str:
    """Every public data set."""
    facts = ("source", "licence", "rows", "features", "own_split")
    sections = []
    for name, kind in data_sets().items():
        rows = [(fact.replace("own_split", "split"), getattr(kind, fact)) for fact in facts if getattr(kind, fact)]
        if kind.downloads:
            rows.append(("names", ", ".join(f"`{each}`" for each in kind.downloads)))
        table = f"\n\n{_table(('', ''), rows)}" if rows else ""
        sections.append(f"## {name}\n\n{_text(kind)}{table}")
    return _page("Data sets", "Data sets for `--log`: a folder, or one of the names. The project ships no data.", sections)


def option_page() -> str:
    """Numbers of a market, and flags of each command."""
    config = f"## MarketConfig\n\nNumbers of a market: `--market NAME=VALUE`.\n\n{_options(MarketConfig)}"
    commands = (f"## interplay {name}\n\n{_text(kind)}\n\n{_options(kind, flags=True)}"
                for name, kind in COMMANDS.items())
    return _page("Options", "Everything that can be set. `interplay COMMAND --help` shows the same.", [config, *commands])


def metric_page() -> str:
    """Figures of an evaluation."""
    found = re.findall(r"^(\w+(?:, \w+)*): (.*?)(?=^\w+(?:, \w+)*: |\Z)",
                       inspect.getdoc(Score).split("Attributes:\n")[1].replace("    ", ""), re.DOTALL | re.MULTILINE)
    rows = [(", ".join(f"`{name}`" for name in names.split(", ")), _line(text)) for names, text in found]
    return _page("Metrics", f"{_text(Score)} `results.json` and `scores.csv` hold them.", [_table(("figure", "meaning"), rows)])


def example_page() -> str:
    """The files of examples/, whole."""
    sections = []
    for path in sorted((ROOT / "examples").glob("*.py")):
        code = path.read_text(encoding="utf-8")
        about = _line(ast.get_docstring(ast.parse(code)) or "")
        sections.append(f"## {path.name}\n\n{about}\n\n```python\n{code}```")
    return _page("Examples", "Each is one file of `examples/`. The tests run all of them.", sections)


PAGES: dict[str, Callable[[], str]] = {
    "agents": agent_page, "presets": preset_page, "mechanisms": mechanism_page, "data-sets": data_page,
    "options": option_page, "metrics": metric_page, "examples": example_page}


def _page(title: str, about: str, sections: Iterable[str]) -> str:
    return "\n\n".join([f"# {title}", about, *sections]) + "\n"


def _options(kind: type, flags: bool = False) -> str:
    """A table of a dataclass's fields."""
    docs = field_docs(kind)
    rows = [(f"`--{f.name.replace('_', '-')}`" if flags else f"`{f.name}`", _default(f), docs.get(f.name, ""))
            for f in fields(kind)]
    return _table(("option", "default", "meaning"), rows) if rows else "It has no options."


def field_docs(kind: type) -> dict[str, str]:
    """The text below each field of a dataclass and of those that it derives from."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
        assert isinstance(body, ast.ClassDef)
        for line, after in zip(body.body, body.body[1:], strict=False):
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                match after:
                    case ast.Expr(ast.Constant(str(text))):
                        found[line.target.id] = _line(text)
    return found


def _default(field: Field[Any]) -> str:
    if field.default is not MISSING:
        return _code(field.default)
    return _code(field.default_factory()) if field.default_factory is not MISSING else "required"


def _code(value: object) -> str:
    return f"`{value}`" if str(value) != "" else "empty"


def _text(kind: type) -> str:
    """The first part of a docstring, without the sections."""
    return re.split(r"\n(?:Args|Attributes|Raises|Must be overridden):?", inspect.getdoc(kind) or "")[0].replace("``", "`").strip()


def _line(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
