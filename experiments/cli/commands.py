"""The commands and what ``interplay --help`` says of them, without an import that takes its time."""

from __future__ import annotations

GROUPS: dict[str, dict[str, str]] = {
    "Train and compare": {
        "train": "train agents against each other and evaluate them",
        "evaluate": "repeat the evaluation of a run, and export what happened",
        "exploit": "train one agent against the rest of a run",
        "crossplay": "let users of each run play with items of each other run",
        "benchmark": "train many agents on many markets with many seeds",
        "suite": "one number for an agent, over a frozen list of markets",
        "watch": "film agents at play, two groups side by side",
        "plot": "draw what benchmarks found"},
    "Logs": {
        "log": "show what would be read from a log",
        "pretrain": "train two towers on a log",
        "recommend": "list items for users of a log",
        "ope": "estimate what a policy would have earned on a log",
        "fit": "fit a market to a log",
        "fidelity": "measure how like a log a market is"},
    "What there is": {
        "agents": "list the agents",
        "presets": "list the markets that are ready to play",
        "mechanisms": "list the mechanisms",
        "datasets": "list the public data sets",
        "show": "explain an agent, preset, mechanism or data set, with its options"},
    "Your own": {
        "new": "write a working agent, preset, mechanism or data set with its test",
        "check": "check that an agent or mechanism keeps its contract",
        "completion": "print a script that completes commands, flags and names in a shell"},
}

COMMANDS = {name: what for group in GROUPS.values() for name, what in group.items()}

_HOMES = {"agents": "cli.listing:list_agents", "presets": "cli.listing:list_presets", "show": "cli.listing:show",
          "mechanisms": "cli.listing:list_mechanisms", "datasets": "cli.listing:list_datasets",
          "fidelity": "fidelity.command:fidelity", "ope": "offpolicy.command:ope",
          "pretrain": "recommend.command:pretrain"}
"""Functions that are commands as they are; each other one is called ``command`` and has a file beside this one."""


def module_of(command: str) -> str:
    """Where the function of a command is, as ``module:function``; it is imported only if it is typed."""
    return f"interplay.experiments.{_HOMES.get(command, f'cli.{command}:command')}"


def overview() -> str:
    """All commands."""
    width = max(map(len, COMMANDS))
    lines = ["usage: interplay COMMAND [OPTIONS]", ""]
    for title, group in GROUPS.items():
        lines += [title, *(f"  {name.ljust(width)}  {what}" for name, what in group.items()), ""]
    return "\n".join([*lines, "interplay COMMAND --help       the command's most used options",
                      "interplay COMMAND --help-all   all of them",
                      "interplay --version            the version", "",
                      "First run: interplay train --preset kale"])
