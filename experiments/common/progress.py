"""Progress of long work: the library counts its parts, and the command line shows a bar of them."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from tqdm import TqdmWarning

with warnings.catch_warnings():
    warnings.simplefilter("ignore", TqdmWarning)  # in a notebook without ipywidgets, bars are text
    from tqdm.auto import tqdm

__all__ = ["advance", "each", "progress", "shown_progress", "tqdm"]

T = TypeVar("T")

_PATIENCE = 2.0
"""Seconds before a bar appears: what is done sooner needs none."""

_shown: ContextVar[bool] = ContextVar("shown", default=False)
_advance: ContextVar[Callable[[], object] | None] = ContextVar("advance", default=None)


@contextmanager
def shown_progress() -> Iterator[None]:
    """Show bars on standard error within this block, where that is a terminal."""
    token = _shown.set(sys.stderr.isatty())
    try:
        yield
    finally:
        _shown.reset(token)


@contextmanager
def progress(what: str, total: int) -> Iterator[None]:
    """Count ``total`` parts of some work in this block, each of which calls ``advance`` when it is done.

    Args:
        what: is done, for a person.
        total: how many parts there are.
    """
    with tqdm(total=total, desc=what, delay=_PATIENCE, disable=not _shown.get(), smoothing=0.0, leave=False) as bar:
        token = _advance.set(bar.update)
        try:
            yield
        finally:
            _advance.reset(token)


def advance() -> None:
    """A part of the work around is done; without ``progress`` around, nothing happens."""
    update = _advance.get()
    if update is not None:
        update()


def each(items: Sequence[T], what: str) -> Iterator[T]:
    """The items, which count as parts of ``what`` as they are done."""
    with progress(what, len(items)):
        for item in items:
            yield item
            advance()
