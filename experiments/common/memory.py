"""Memory of a computation that makes and frees the same large tensors again and again, as training does."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_TRIM, _MAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
_MOST = 1 << 30


@contextmanager
def kept_memory() -> Iterator[None]:
    """What is freed within the block stays with the process until its end, where the C library is glibc.

    By default glibc gives every large tensor back to the system at once. The next one then costs a page fault for each
    4 KiB that is written: a tenth of an update of ``pqn`` in 16 towns.
    """
    library = _glibc()
    if library is not None:
        library.mallopt(_MAP, _MOST)
        library.mallopt(_TRIM, _MOST)
    try:
        yield
    finally:
        if library is not None:
            library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    """The C library; None unless it is glibc."""
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):  # as on Windows
        return None
    return library if hasattr(library, "gnu_get_libc_version") else None
