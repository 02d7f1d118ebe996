"""What loops are made of: ways to compile them, noise, and logarithms and exponentials that vector instructions can do.

``uint32`` wraps around as torch's ``int32`` does, and its right shifts bring in zeros, which torch needs masks for.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
import torch
from numba import uint32

from interplay.envs.kernels import leave_behind

Function = TypeVar("Function", bound=Callable[..., Any])

USERS = 64
"""Users that a thread serves at a time."""

_set = threading.local()
_MOST_THREADS: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]  # it is made when numba starts


def _start_threads() -> None:
    """Have numba start its threads, and leave torch as many as it had.

    Both may share one OpenMP, where numba's start would set torch's number, too: one thread would become all, which
    is slow beside others at work, and adds numbers up in another order.
    """
    before = torch.get_num_threads()
    numba.set_num_threads(_MOST_THREADS)
    torch.set_num_threads(before)
    if sys.platform != "win32":
        os.register_at_fork(after_in_child=leave_behind)  # OpenMP would end a forked process that asks for its threads


_start_threads()


@cache
def version(folder: Path = Path(__file__).parent) -> str:
    """A hash of all sources of a folder."""
    sources = sorted(folder.glob("*.py"))
    return hashlib.sha256(b"".join(map(Path.read_bytes, sources))).hexdigest()[:8]


def _kept(function: Function, **options: Any) -> Function:
    """Compiled, and kept on disk under a name that changes with any source here, and beside the function.

    Numba itself compares only the file of the function, not those of the functions that it calls.
    """
    folder = Path(function.__code__.co_filename).parent
    function.__qualname__ += "_" + "_".join(sorted({version(), version(folder)}))
    compiled: Function = numba.njit(function, cache=True, error_model="numpy", **options)
    return compiled


def loop(function: Function) -> Function:
    """For what Python calls: on all threads, and kept on disk once it is compiled."""
    # Without checks for a division by zero, so that loops that divide become vector instructions.
    return _kept(function, parallel=True)


def whole(function: Function) -> Function:
    """For what Python calls, on one thread: several loops in one call. It is kept on disk, too."""
    return _kept(function)


def serial(function: Function) -> Function:
    """A ``loop`` for others to call, on one thread: to start threads takes longer than a small world does."""
    python: Any = vars(function)["py_func"]
    compiled: Function = numba.njit(python, error_model="numpy")
    return compiled


def inlined(function: Function) -> Function:
    """For formulas: their lines become lines of the caller."""
    compiled: Function = numba.njit(function, inline="always", error_model="numpy")
    return compiled


def routine(function: Function) -> Function:
    """For all that loops call and whose bits matter."""
    compiled: Function = numba.njit(function, error_model="numpy")
    return compiled


def exact(function: Function) -> Function:
    """For what is never NaN, and whose bits matter."""
    compiled: Function = numba.njit(function, fastmath={"nnan", "nsz"}, error_model="numpy")
    return compiled


def finite(function: Function) -> Function:
    """For what is never NaN, so that the higher of two numbers is one instruction."""
    compiled: Function = numba.njit(function, fastmath={"contract", "nnan", "nsz"}, error_model="numpy")
    return compiled


def fused(function: Function) -> Function:
    """For what may be NaN, which stays; a product and a sum may be one instruction."""
    compiled: Function = numba.njit(function, fastmath={"contract"}, error_model="numpy")
    return compiled


def reordered(function: Function) -> Function:
    """For what is never NaN, and may be added up or compared in any order, and so side by side."""
    compiled: Function = numba.njit(function, fastmath={"reassoc", "contract", "nnan", "nsz"}, error_model="numpy")
    return compiled


def summed(function: Function) -> Function:
    """For what may be NaN, which stays, and may be added up in any order."""
    compiled: Function = numba.njit(function, fastmath={"reassoc", "contract"}, error_model="numpy")
    return compiled


def use_threads(count: int) -> None:
    """How many threads this thread's next loops run on; never more than numba started with."""
    if getattr(_set, "count", None) != count:  # numba takes its time to say how many it uses
        numba.set_num_threads(min(count, _MOST_THREADS))
        _set.count = count


@inlined
def _mix(x: Any) -> Any:
    x ^= x >> uint32(16)
    x = uint32(x * uint32(0x7FEB352D))
    x ^= x >> uint32(15)
    x = uint32(x * uint32(0x846CA68B))
    return x ^ (x >> uint32(16))


@inlined
def log(x: Any) -> Any:
    """Natural logarithm of a positive normal number, to 1e-7 of itself: ln m = 2 artanh((m - 1) / (m + 1)) as a series.

    Every integer is cast: numba would widen it, and vector instructions would hold half as many.
    """
    bits = np.float32(x).view(np.int32)
    power = np.int32(np.int32(bits - np.int32(0x3F3504F3)) >> np.int32(23))  # so that m lies in [0.707, 1.414]
    m = np.int32(bits - np.int32(power << np.int32(23))).view(np.float32)
    s = (m - np.float32(1.0)) / (m + np.float32(1.0))
    t = s * s
    series = np.float32(2 / 7) + t * np.float32(2 / 9)
    series = np.float32(2.0) + t * (np.float32(2 / 3) + t * (np.float32(2 / 5) + t * series))
    return s * series + np.float32(0.6931471805599453) * np.float32(power)


@inlined
def exp(x: Any) -> Any:
    """e to the ``x <= 0``, to 3e-7 of itself; what is below 1e-37 counts as that."""
    x = max(x, np.float32(-85.0))
    power = np.int32(np.float32(x * np.float32(1.4426950408889634)) - np.float32(0.5))
    # The logarithm of 2 in two parts, of which the first is so short that products with it are exact.
    r = (x - np.float32(power) * np.float32(0.693359375)) + np.float32(power) * np.float32(2.12194440e-4)
    series = np.float32(1 / 24) + r * (np.float32(1 / 120) + r * np.float32(1 / 720))
    series = np.float32(1.0) + r * (np.float32(1.0) + r * (np.float32(0.5) + r * (np.float32(1 / 6) + r * series)))
    return series * np.int32(np.int32(power + np.int32(127)) << np.int32(23)).view(np.float32)


@inlined
def exp_64(x: Any) -> Any:
    """e to the ``x`` in float64, to 1e-9 of itself; what is beyond e to the -80 or 80 counts as that."""
    x = min(max(x, -80.0), 80.0)
    power = np.int64(x * 1.4426950408889634 + 1000.5) - 1000  # rounded, as the conversion cuts towards 0
    r = x - np.float64(power) * 0.6931471805599453
    series = 1 / 120 + r * (1 / 720 + r * (1 / 5040 + r * (1 / 40320)))
    series = 1.0 + r * (1.0 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * series))))
    return series * np.int64((power + 1023) << 52).view(np.float64)


@reordered
def highest_of(values: Any) -> Any:
    """The highest of some numbers, -inf if there are none."""
    highest = np.float32(-np.inf)
    for value in values:
        highest = max(highest, value)
    return highest


@inlined
def first_and_second(key: Any, step: Any, stream: int, world: int) -> Any:
    """The two words that a world's draws of this step and stream are hashed with."""
    counter = uint32(uint32(step[world % len(step)]) * uint32(0x9E3779B9))
    first = _mix(uint32(uint32(key[world, 0]) + uint32(stream * 0x85EBCA6B)))
    first = _mix(uint32(first + counter))
    return first, _mix(uint32(key[world, 1]) ^ first)


@inlined
def draw(first: Any, second: Any, index: Any) -> Any:
    """Draw number ``index``, in (0, 1)."""
    bits = uint32(uint32(uint32(index) * uint32(0x9E3779B9)) + first)
    bits ^= bits >> uint32(15)
    bits = _mix(uint32(bits * uint32(0x7FEB352D)) ^ second)
    return (np.float32(np.int32(bits >> uint32(9))) + np.float32(0.5)) * np.float32(2.0**-23)


@routine
def parts_of(worlds: int, users: int) -> int:
    """How many parts the work is dealt out in, of so many users at a time, in one world or in a few small ones."""
    each, blocks = max(1, USERS // users), (users + USERS - 1) // USERS
    return (worlds + each - 1) // each * blocks


@routine
def where_of(part: int, worlds: int, users: int) -> tuple[int, int, int, int]:
    """The first world of a part, the one behind its last, its first user in each, and the one behind its last."""
    each, blocks = max(1, USERS // users), (users + USERS - 1) // USERS
    world, begin = part // blocks * each, part % blocks * USERS
    return world, min(worlds, world + each), begin, min(users, begin + USERS)


@inlined
def clamped(x: Any, low: Any, high: Any) -> Any:
    """``x``, but at least ``low`` and at most ``high``."""
    return min(max(x, low), high)


@inlined
def spare(c: Any, energy: Any, served: Any) -> Any:
    """What an item's budget can pay for a boost, in the order of ``masks.item_mask``.

    ``c`` are the market's numbers, ``served`` is the cost of the boost that is being served.
    """
    left = max(energy - served - np.float32(2.0) * c.budgets_upkeep, np.float32(0.0)) + c.tolerance
    return left if c.has_budgets else np.float32(np.inf)
