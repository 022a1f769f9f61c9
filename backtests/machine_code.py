"""Compiles the kernel. Importing this file takes half a second, so only `machine.py` does, when somebody asks for it.

A call is told the address of a table of addresses, since handing fourteen arrays over one by one takes longer than a step.
"""

from __future__ import annotations

import hashlib
import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import carray, float64, int64, njit, types  # type: ignore[attr-defined] # its types lag behind
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from backtests import kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    Step = Callable[[int, int, float], int]

for _part in (
    kernel.floored,
    kernel.ceiled,
    kernel.note,
    kernel.buy,
    kernel.sell,
    kernel.hit,
    kernel.leave,
    kernel.moment,
):
    register_jitable(_part)
_step = register_jitable(kernel.step)
_INTS, _FLOATS, _INT_COLUMNS, _FLOAT_COLUMNS = kernel.INTS, kernel.FLOATS, kernel.INT_COLUMNS, kernel.FLOAT_COLUMNS


@intrinsic
def _pointer(typing_context: Any, address: Any) -> Any:  # noqa: ANN401, ARG001 - numba's protocol
    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), code


_at: Any = _pointer  # as compiled code calls it


def made() -> Step:
    """The step as machine code, from the disk if this very kernel was compiled before."""
    try:
        return _made(keeps=True)
    except RuntimeError:  # numba finds no folder that it could write
        return _made(keeps=False)


def _made(*, keeps: bool) -> Step:
    text = int(hashlib.sha256(inspect.getsource(kernel).encode()).hexdigest()[:15], 16)

    @njit([int64(int64, int64, float64)], cache=keeps)
    def step(address: int, verb: int, size: float) -> int:
        if verb < 0:
            return text  # part of what numba knows a compiled function by: another kernel is another function
        table = carray(_at(address), (14, 2), np.int64)
        return _step(
            carray(_at(table[0, 0]), (_INTS,), np.int64),
            carray(_at(table[1, 0]), (_FLOATS,), np.float64),
            carray(_at(table[2, 0]), (table[2, 1],), np.float64),
            carray(_at(table[3, 0]), (table[3, 1],), np.float64),
            carray(_at(table[4, 0]), (table[4, 1],), np.float64),
            carray(_at(table[5, 0]), (table[5, 1],), np.float64),
            carray(_at(table[6, 0]), (table[6, 1],), np.int64),
            carray(_at(table[7, 0]), (table[7, 1],), np.int64),
            carray(_at(table[8, 0]), (table[8, 1],), np.int64),
            carray(_at(table[9, 0]), (table[9, 1],), np.int64),
            carray(_at(table[10, 0]), (table[10, 1],), np.int64),
            carray(_at(table[11, 0]), (table[11, 1],), np.int64),
            carray(_at(table[12, 0]), (table[12, 1], _INT_COLUMNS), np.int64),
            carray(_at(table[13, 0]), (table[13, 1], _FLOAT_COLUMNS), np.float64),
            verb,
            size,
        )

    return step
