"""Threads that markets work on: one, unless more are set.

Kernels and torch share one OpenMP. Its threads spin while they wait for each other, and where other programs use the
CPU, the thread that is waited for may not run meanwhile: two threads were 20 times slower than one. Nothing but the
environment variable ``OMP_WAIT_POLICY=PASSIVE``, set before torch is imported, makes them sleep; the command line sets
it. A market takes no thread that it was not given. Torch's own number of threads is left as it is for everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, Protocol, TypeVar

import torch

from interplay.envs import kernels
from interplay.envs.checking import as_integer

P = ParamSpec("P")
R = TypeVar("R")


def set_num_threads(count: int) -> None:
    """Let all markets and facades of this process work on so many threads.

    Set ``OMP_WAIT_POLICY=PASSIVE`` before torch is imported, unless the machine has nothing else to do.

    Raises:
        InterplayError: not an integer of at least 1.
    """
    kernels.num_threads = as_integer("count", count, least=1)


class Decorator(Protocol):
    """Takes a function, and gives one of the same signature."""

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate."""
        ...


def on_own_threads(numbers: Callable[..., int] | None = None) -> Decorator:
    """Have torch work on the market's threads within a function, and on as many as before after it.

    Args:
        numbers: gives, from the function's arguments, the numbers of the largest table that torch works on. Torch gets
            one thread where they are too few, as kernels do: to wake a second one takes longer. None = it always gets
            all.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*arguments: P.args, **options: P.kwargs) -> R:
            if torch.compiler.is_compiling():  # which cannot trace a number of threads
                return function(*arguments, **options)
            before, wanted = torch.get_num_threads(), kernels.num_threads
            if wanted > 1 and numbers is not None:
                wanted = kernels.deserved(numbers(*arguments, **options))
            if before == wanted:
                return function(*arguments, **options)
            torch.set_num_threads(wanted)
            try:
                return function(*arguments, **options)
            finally:
                torch.set_num_threads(before)

        return call

    return decorate
