"""The commands and what ``interplay --help`` says of them, without an import that takes its time."""

from __future__ import annotations

COMMANDS = {
    "train": "train agents against each other and evaluate them",
    "evaluate": "repeat the evaluation of a run, and export what happened",
    "benchmark": "train many agents on many markets with many seeds",
    "suite": "one number for an agent, over a frozen list of markets",
    "plot": "draw what benchmarks found",
    "pretrain": "train two towers on a log",
    "recommend": "lists of items for users of a log",
    "ope": "off-policy evaluation",
    "fidelity": "how like a log a market is",
}
"""Commands, each a file beside this one, which is imported only if it is typed."""


def asks_for_overview(words: list[str]) -> bool:
    """Whether these words, behind ``interplay``, ask what commands there are."""
    return words[:1] in (["-h"], ["--help"])


def overview() -> str:
    """All commands."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(["usage: interplay COMMAND ...", "", "commands:", *lines, "",
                      "interplay COMMAND --help shows its settings."])
