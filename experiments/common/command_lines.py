"""Command lines, for reports that say what made them: they follow from settings, also where nothing was typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any, get_type_hints

import tyro

from interplay.experiments.common.flags import changed, flag

_LEFT_OUT = ("code", "sizes_of", "typed", "resume", "log_dir", "name")
"""What the program has found out, and where a run is written."""


def command_line(command: str, settings: Any) -> str:
    """What to type for these settings: ``interplay train --preset kale``."""
    hints = get_type_hints(type(settings), include_extras=True)
    words = [word for name, value in changed(settings).items() if name not in _LEFT_OUT
             for word in _words(name, value, getattr(hints[name], "__metadata__", ()))]
    return shlex.join(["interplay", command, *words])


def _words(name: str, value: Any, marks: tuple[Any, ...]) -> Iterator[str]:
    """What to type for one setting, whose type hint is marked for tyro."""
    if isinstance(value, bool):
        yield flag(name if value else f"no_{name}")
    elif tyro.conf.UseAppendAction in marks:
        for each in value:
            yield from (flag(name), each)
    else:
        if tyro.conf.Positional not in marks:
            yield flag(name)
        yield from map(str, value if isinstance(value, tuple) else (value,))
