"""Short messages: how long an error may be, and what is shown of long lists. ``checking.shown`` shortens values."""

from __future__ import annotations

import difflib
import re
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

LONGEST = 290
"""Characters of an error's message, so that a line with ``error:`` before it has at most 300."""

_LISTED = 190

_MEANT = {"gpu": "cuda"}
"""Words for a thing that has another name here, to which no likeness of letters leads."""

_LIBRARY = Path(__file__).parents[1]


def place_of(error: BaseException, *apart: Path) -> str:
    """Where an error came from, as `` at students.py:12 `return known` ``; "" if nowhere that counts.

    It is the last line outside of this library that it came through, if there is one.

    Args:
        error: that was caught.
        apart: files and folders that do not count, as torch's does not.
    """
    no_place = (*apart, *getattr(sys.modules.get("torch"), "__path__", ()))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")
              and not any(Path(frame.filename).is_relative_to(path) for path in no_place)]
    own = [frame for frame in frames if not Path(frame.filename).is_relative_to(_LIBRARY)] or frames
    return f" at {Path(own[-1].filename).name}:{own[-1].lineno} `{own[-1].line}`" if own else ""


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text in one line. A long one loses its middle, since it begins with the thing and ends with the fix."""
    line = " ".join(text.splitlines())
    if len(line) <= longest:
        return line
    end = (longest - 5) // 3
    return f"{line[:longest - 5 - end]} ... {line[len(line) - end:]}"


_SEPARATORS = re.compile(r"""(?<!\w)'[^']*'(?!\w)|(?<!\w)"[^"]*"(?!\w)"""
                         r"|\((?:[^()]|\([^()]*\))*\)|\[[^][]*\]|\{[^{}]*\}"
                         r"|(?P<end>[:;]|,?(?= must )) ")
"""What is quoted or in brackets, which is skipped, or the end of a problem."""


def halves(message: str) -> tuple[str, str]:
    """What is wrong, and how to fix it: a message split at its last colon or semicolon, or before its last "must".

    Colons in quotes and brackets belong to values. The fix is empty where there is no place to split.
    """
    ends = [found for found in _SEPARATORS.finditer(message) if found["end"] is not None]
    return (message[:ends[-1].start()], message[ends[-1].end():]) if ends else (message, "")


def choice(names: Iterable[str], wanted: str = "") -> str:
    """How to fix an unknown name: the one that was perhaps meant, and all that there are."""
    known = list(names)
    by_word = {name.strip("'"): name for name in known}  # quotes would make short names alike
    meant = wanted.lower().strip("'")
    near = difflib.get_close_matches(_MEANT.get(meant, meant), by_word, n=1, cutoff=0.6)
    return (f"did you mean {by_word[near[0]]}? " if near else "") + f"choose from {listed(known, wanted)}"


def listed(names: Iterable[str], wanted: str = "") -> str:
    """The names, as many as a message has room for, those most like ``wanted`` first."""
    known = list(names)
    if sum(len(name) + 2 for name in known) <= _LISTED:
        return ", ".join(known)
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
    room, kept = _LISTED, []
    for name in [*near, *(name for name in known if name not in near)]:
        room -= len(name) + 2
        if room < 0:
            break
        kept.append(name)
    return ", ".join([*kept, f"... ({len(known)} in all)"])
