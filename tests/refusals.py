"""How tests assert an error: by its type, the thing, the value and what the fix names, never by its sentences."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from interplay.envs.messages import halves
from interplay.envs.types import InterplayError

LONGEST = 300
"""Characters of a line that shows an error."""


@contextmanager
def refused(*things: Any, fix: Any = (), kind: type[Exception] = InterplayError) -> Iterator[pytest.ExceptionInfo]:
    """Assert that the block is refused with a message whose problem names ``things`` and whose fix names ``fix``.

    Args:
        things: the thing (a setting, file, column, row or agent) and its value, and whatever else it has to name.
        fix: one name, or several in a tuple: settings, flags, commands, values.
        kind: the type of the error.
    """
    with pytest.raises(kind) as caught:
        yield caught
    assert_refuses(str(caught.value), *things, fix=fix)


def assert_said(stderr: str, *things: Any, fix: Any = ()) -> None:
    """Assert that a command's last words on ``stderr`` are an error that names ``things``, and ``fix`` in its fix."""
    assert "Traceback" not in stderr
    *_, last = stderr.splitlines()
    assert last.startswith("error: "), stderr
    assert len(last) <= LONGEST, last
    assert_refuses(last.removeprefix("error: "), *things, fix=fix)


def assert_refuses(message: str, *things: Any, fix: Any = ()) -> None:
    """Assert that a message is one line, not too long, and names ``things`` and then, in its fix, ``fix``."""
    problem, remedy = halves(message)
    assert "\n" not in message, message
    assert len(message) <= LONGEST, message
    assert remedy, f"no fix: {message}"
    assert not (missing := [thing for thing in things if not _names(problem, thing)]), f"{missing} not in: {problem}"
    fixes = fix if isinstance(fix, tuple) else (fix,)
    assert not (missing := [name for name in fixes if not _names(remedy, name)]), f"{missing} not in: {remedy}"


def _names(text: str, thing: Any) -> bool:
    """Whether a text names a thing as a whole, not as a part of a word, a flag, a dotted name or a number."""
    whole = "|".join(re.escape(form) for form in {str(thing), repr(thing), f"{thing:,}" if type(thing) is int else ""}
                     if form)
    return re.search(rf"(?<![\w.-])(?<!\d,)({whole})(?![\w-]|[.,]\w)", text) is not None
