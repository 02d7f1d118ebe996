"""Checks of a command's flags, and a one-line error where memory is too small."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from interplay.envs.types import InterplayError
from interplay.experiments.common.flags import check_flags, typed_flags
from interplay.experiments.common.saving import CONFIG

Command = Callable[..., Any]

_NO_MEMORY = ("out of memory", "can't allocate memory", "Storage size calculation overflowed",
              "Overflow when unpacking")
"""Messages of torch for tensors that are too large."""


def guarded(command: Command, words: Sequence[str]) -> Command:
    """The command, which checks its settings before it runs.

    Args:
        command: takes an instance of a settings class, or plain values.
        words: that were typed.
    """
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
    """Check flags. Of a run that is resumed, compare the typed flags with its own settings."""
    folder: Path | None = getattr(settings, "resume", None)
    if folder is None:
        check_flags(settings, given)
    elif (folder / CONFIG).is_file():
        made = type(settings).read(folder)
        settings.check_resumes(made, folder, given)


def _lacks_memory(error: Exception) -> bool:
    """Whether a size was too large for the memory, or for 64 bits."""
    if isinstance(error, MemoryError | OverflowError):
        return True
    return not isinstance(error, InterplayError) and any(phrase in str(error) for phrase in _NO_MEMORY)
