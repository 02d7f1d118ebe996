"""What surrounds every command: checks of its flags, too little memory, and terminals that lack characters."""

from __future__ import annotations

import functools
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from interplay.envs.types import InterplayError
from interplay.experiments.flags import check_flags, typed_flags

Command = Callable[..., Any]

_CONFIG = "config.json"
_NO_MEMORY = ("not enough memory", "out of memory", "can't allocate memory", "Storage size calculation overflowed",
              "invalid dimensions", "too large", "overflow", "Overflow")
"""What torch says, as a RuntimeError, where a tensor is too large."""


def guarded(commands: Mapping[str, Command], arguments: Sequence[str] | None) -> dict[str, Command]:
    """The commands, which check their settings before they run.

    Args:
        commands: by name; each takes an instance of a settings class, or plain values.
        arguments: that were typed; None = those of the process.
    """
    words = sys.argv[1:] if arguments is None else arguments
    return {name: _guarded(command, words) for name, command in commands.items()}


def _guarded(command: Command, words: Sequence[str]) -> Command:
    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        for settings in (*args, *kwargs.values()):
            if is_dataclass(settings):
                _check(settings, typed_flags(words, type(settings)))
        try:
            return command(*args, **kwargs)
        except (MemoryError, OverflowError) as error:
            raise _too_large(error) from error
        except RuntimeError as error:
            if not any(words in str(error) for words in _NO_MEMORY):
                raise
            raise _too_large(error) from error

    return run


def _check(settings: Any, given: set[str]) -> None:
    """Check flags. A run that is resumed has settings of its own, with which those that were typed are compared."""
    folder: Path | None = getattr(settings, "resume", None)
    if folder is None:
        check_flags(settings, given)
    elif (folder / _CONFIG).is_file():
        made = type(settings).from_json((folder / _CONFIG).read_text(encoding="utf-8"))
        settings.check_resumes(made, folder, given)


def _too_large(error: Exception) -> InterplayError:
    return InterplayError(f"there is too little memory for sizes as large as these ({error}): lower the numbers of the "
                          "market, the worlds or the agents' options")


def print_anything() -> None:
    """Let standard output and error escape characters that the terminal's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
