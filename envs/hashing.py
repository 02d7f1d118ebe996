"""The arithmetic of noise in plain torch: a hash of 32-bit integers. It is the reference for every faster way.

It gives the same bits on every device and when ``torch.compile`` generates code from it. The multipliers of the mixing
rounds are those of "lowbias32", found by Chris Wellons' hash-prospector search; the construction is in the spirit of
Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).

Every function takes a step in two forms of which one is used: ``step``, int32 ``[B]`` or ``[1]`` on the device of
``key``, or ``number``, a Python integer, where ``step`` is None.
"""

from __future__ import annotations

import torch
from torch import Tensor

GOLDEN = -1640531527
"""2^32 / golden ratio, as a signed 32-bit integer: spreads consecutive counters."""

STREAM = 0x85EBCA6B
"""An odd number that spreads streams. Any would do, since the product is hashed."""

MULTIPLIER_1 = 0x7FEB352D
MULTIPLIER_2 = 0x846CA68B - (1 << 32)


def signed(value: int) -> int:
    """The low 32 bits of a Python integer as the signed integer that torch.int32 can hold."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)  # % and not &, since torch.compile traces it for any integer


def mix(x: Tensor) -> Tensor:
    """Hash int32 bits, in place. Right shifts are arithmetic, hence the masks."""
    x ^= (x >> 16) & 0xFFFF
    x *= MULTIPLIER_1
    x ^= (x >> 15) & 0x1FFFF
    x *= MULTIPLIER_2
    x ^= (x >> 16) & 0xFFFF
    return x


def uniform(key: Tensor, step: Tensor | None, number: int, stream: int, offset: int, first: Tensor | None,
            count: int) -> Tensor:
    """Uniform draws in (0, 1).

    Args:
        key: int32 ``[B, 2]``, keys of worlds.
        step: see above.
        number: see above.
        stream: which use of noise this is.
        offset: index of the first draw.
        first: int32 ``[R]``, added to ``offset`` in each of R rows; None = there is one row.
        count: draws of each row.

    Returns:
        float32 ``[B, R, count]``, or ``[B, count]`` without ``first``.
    """
    counter = signed(number * GOLDEN) if step is None else step * GOLDEN
    # Stream and step each go through the hash: as a sum, one stream would be another one some steps later.
    one = mix(mix(key[:, 0] + signed(stream * STREAM)) + counter)
    two = mix(key[:, 1] ^ one)
    index = torch.arange(count, device=key.device)
    if first is not None:
        index = first.unsqueeze(1) + index
    # The product is taken in 64 bits, where it cannot overflow. A compiler may assume that signed integers do not: from
    # an overflow in the 32-bit product with a loop's index, gcc concludes that the loop ends early, and drops its end.
    # The mask keeps torch.compile from multiplying out the index: Triton has no constants of more than 32 bits there.
    spread = ((index & 0xFFFFFFFF) * GOLDEN).to(torch.int32)
    shape = (-1, *[1] * spread.dim())
    bits = (one + signed(offset * GOLDEN)).view(shape) + spread
    bits ^= (bits >> 15) & 0x1FFFF
    bits *= MULTIPLIER_1
    bits = mix(bits.bitwise_xor_(two.view(shape)))
    # 23 bits and a half: float32 holds (2^23 - 0.5) exactly, so that 0 and 1 are never returned.
    bits = (bits >> 9) & 0x7FFFFF
    return bits.to(torch.float32).add_(0.5).mul_(2.0**-23)


def any_of(key: Tensor, step: Tensor | None, number: int, stream: int, offset: int, mask: Tensor) -> Tensor:
    """The place of the highest of as many uniform draws as ``mask`` bool ``[..., A]`` allows: int64 ``[...]``."""
    draws = uniform(key, step, number, stream, offset, None, mask.numel() // key.shape[0])
    return highest(draws.view(mask.shape), mask)


def highest(draws: Tensor, mask: Tensor) -> Tensor:
    """The place of the highest of the draws that ``mask`` allows, the first of equals: int64 ``[...]``."""
    return torch.where(mask, draws, -1.0).argmax(-1)
