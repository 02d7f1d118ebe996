"""What surrounds every command: checks of its flags, and one line where memory is too small."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from interplay.envs.types import InterplayError
from interplay.experiments.flags import check_flags, typed_flags
from interplay.experiments.saving import CONFIG, read_text

Command = Callable[..., Any]

_NO_MEMORY = ("out of memory", "can't allocate memory", "Storage size calculation overflowed",
              "Overflow when unpacking")
"""What torch says where a tensor is too large."""


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
        except (MemoryError, OverflowError, RuntimeError, TypeError, ValueError) as error:
            if not _lacks_memory(error):
                raise
            raise InterplayError("there is too little memory for sizes as large as these: lower the numbers of the "
                                 f"market, the worlds or the options ({type(error).__name__}: {error})") from error

    return run


def _check(settings: Any, given: set[str]) -> None:
    """Check flags. A run that is resumed has settings of its own, with which those that were typed are compared."""
    folder: Path | None = getattr(settings, "resume", None)
    if folder is None:
        check_flags(settings, given)
    elif (folder / CONFIG).is_file():
        made = type(settings).from_json(read_text(folder / CONFIG), folder / CONFIG)
        settings.check_resumes(made, folder, given)


def _lacks_memory(error: Exception) -> bool:
    """Whether a size was too large for the memory, or for 64 bits."""
    if isinstance(error, MemoryError | OverflowError):
        return True
    return not isinstance(error, InterplayError) and any(phrase in str(error) for phrase in _NO_MEMORY)
