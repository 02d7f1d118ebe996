"""Notes to the user that are no errors: warnings of this package, which the command line prints as ``note: ...``."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class InterplayWarning(UserWarning):
    """Something that the user should know, in one line."""


@contextmanager
def printed_notes() -> Iterator[None]:
    """Print notes in one line each on standard error within the block; all other warnings as ever."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", InterplayWarning)
        show = warnings.showwarning

        def showwarning(message: Warning | str, category: type[Warning], *where: Any, **others: Any) -> None:
            if issubclass(category, InterplayWarning):
                print(f"note: {message}", file=sys.stderr)
            else:
                show(message, category, *where, **others)

        warnings.showwarning = showwarning
        yield
