"""Commands that run in this process, with what they write captured and a time limit."""

from __future__ import annotations

import io
import signal
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from types import FrameType

from interplay.experiments.studies import main

_LIMIT = 20.0  # seconds: a refusal takes far less


class _Late(BaseException):
    """The time limit is over."""


def quiet(arguments: Sequence[str]) -> tuple[int | None, str]:
    """Run a command; gives its exit status, None at the time limit, and what it wrote to standard error."""
    error = io.StringIO()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(error), _limited():
            return main(list(arguments)), error.getvalue()
    except _Late:
        return None, error.getvalue()
    except SystemExit as end:  # the parser's own
        return end.code if isinstance(end.code, int) else 1, error.getvalue()
    except BaseException:  # as Python would end with it
        return 1, error.getvalue() + traceback.format_exc()


@contextmanager
def _limited() -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise _Late

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, _LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
