"""How tests assert an error: by its type, the thing, the value and what the fix names, never by its sentences."""

import re
from typing import Any

import pytest

from interplay.envs.messages import halves
from interplay.envs.types import InterplayError

LONGEST = 300
"""Characters of a line that shows an error."""


class Refusal:
    """Asserts that a block is refused; see ``refused``. The error is ``value`` afterwards."""

    def __init__(self, things: tuple[Any, ...], fix: Any, kind: type[Exception]) -> None:
        self.value: Any = None
        self._things, self._fix, self._kind = things, fix, kind

    def __enter__(self) -> "Refusal":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        if error is None:
            pytest.fail(f"no {self._kind.__name__} was raised")
        if not isinstance(error, self._kind):
            return False
        self.value = error
        assert len(str(error)) <= LONGEST or not isinstance(error, InterplayError), str(error)
        assert_refuses(str(error), *self._things, fix=self._fix)
        return True


def refused(*things: Any, fix: Any = (), kind: type[Exception] = InterplayError) -> Refusal:
    """Assert that the block is refused with a message whose problem names ``things`` and whose fix names ``fix``.

    Args:
        things: the thing (a setting, file, column, row or agent), its value, and whatever else it has to name.
        fix: one name, or several in a tuple: settings, flags, commands, values.
        kind: the type of the error.
    """
    return Refusal(things, fix, kind)


def assert_said(stderr: str, *things: Any, fix: Any = ()) -> None:
    """Assert that a command's last words on ``stderr`` are an error that names ``things``, and ``fix`` in its fix."""
    *before, last = stderr.splitlines()
    assert not [line for line in before if line.startswith(("error: ", "Traceback"))], stderr
    assert last.startswith("error: "), stderr
    assert len(last) <= LONGEST, last
    assert_refuses(last.removeprefix("error: "), *things, fix=fix)


def assert_refuses(message: str, *things: Any, fix: Any = ()) -> None:
    """Assert that a message is one line and names ``things`` and then, in its fix, ``fix``."""
    problem, remedy = halves(message)
    assert "\n" not in message, message
    assert remedy, f"no fix: {message}"
    for text, names in ((problem, things), (remedy, fix if isinstance(fix, tuple) else (fix,))):
        assert not (missing := [name for name in names if not _names(text, name)]), f"{missing} not in: {text}"


def _names(text: str, thing: Any) -> bool:
    """Whether a text names a thing as a whole, not as a part of a word, a flag, a dotted name or a number."""
    forms = {str(thing), repr(thing), *([f"{thing:,}"] if type(thing) is int else [])}
    whole = "|".join(map(re.escape, forms))
    return re.search(rf"(?<![\w.-])(?<!\d,)({whole})(?![\w-]|[.,]\w)", text) is not None
