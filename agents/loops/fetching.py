"""Has a CPU read rows of a memory before they are worked on: from far memory a row takes longer than its arithmetic."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from interplay.envs.kernels.jit import routine

_LINE = 64  # bytes that come at once
_AHEAD = 16  # rows, whose lines a core can wait for while it works
_BYTE, _NUMBER = ir.IntType(8), ir.IntType(32)
_READ, _KEEP, _DATA = (_NUMBER(number) for number in (0, 3, 1))


def _reading(_: Any, place: Any) -> Any:
    """What numba compiles ``_fetch`` to: an instruction that starts to read an address, and waits for nothing."""
    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        pointer = builder.inttoptr(given[0], _BYTE.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, _NUMBER, _NUMBER, _NUMBER])
        builder.call(builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind),
                     [pointer, _READ, _KEEP, _DATA])
        return context.get_dummy_value()

    return types.void(types.intp), code


_fetch: Any = intrinsic(_reading)


@routine
def _fetch_row(table: Any, row: int) -> None:
    """Start to read a row of a table in one piece."""
    size = table.strides[0]
    start = table.ctypes.data + row * size
    for place in range(start, start + size, _LINE):
        _fetch(place)
    _fetch(start + size - 1)


@routine
def fetch_ahead(own: Any, options: Any, rows: Any, place: int) -> None:
    """Start to read what agents see that come a little after this place in these rows; all at once would be lost."""
    if place + _AHEAD < len(rows):
        _fetch_row(own, rows[place + _AHEAD])
        _fetch_row(options, rows[place + _AHEAD])
