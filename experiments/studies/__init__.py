"""Evidence on the package itself. Nothing else imports it."""

from __future__ import annotations

from collections.abc import Sequence

from interplay.experiments.cli.main import main as interplay

COMMANDS = {
    "bench": "interplay.experiments.studies.speed.command:bench",
    "estimators": "interplay.experiments.studies.estimators.command:estimators",
    "unbiased": "interplay.experiments.studies.unbiased.command:unbiased",
}
"""Commands that are scripts, and no part of ``interplay``."""


def main(arguments: Sequence[str]) -> int:
    """Run a command of ``interplay`` or one of these, whose name comes first; gives the exit status."""
    name = arguments[0] if arguments else ""
    return interplay(arguments[1:], COMMANDS[name]) if name in COMMANDS else interplay(arguments)
