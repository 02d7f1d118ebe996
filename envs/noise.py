"""Noise as a pure function of (seed, world, step, stream, index).

A counter-based generator: an integer hash that gives the same bits on every device (``hashing``). There is no state
to carry, so one world of a batch replays alone, and a run that stops goes on exactly where it was.

On a CPU with numba, and on a GPU with Triton, one compiled loop draws. Elsewhere plain torch code does. A step may be
a Python integer or a tensor on the device of the key; a CUDA graph can advance only the latter.

Limits: world, step, stream and index have 32 bits each, so that a world has 2^32 different draws for each step and
stream. What exceeds them is rejected, since it would repeat draws. Seeds may be of any length: 64 bits are used as they
are, longer ones are hashed to 64.
"""

from __future__ import annotations

import hashlib
import math
from enum import IntEnum

import torch
from torch import Tensor

from interplay.envs import kernels
from interplay.envs.arguments import can_be_read
from interplay.envs.hashing import GOLDEN, mix, signed
from interplay.envs.kernels import noise_operators
from interplay.envs.types import InterplayError

MOST = 1 << 32
"""Different worlds, steps, and draws of one world in one step and stream."""


class Stream(IntEnum):
    """One number for each use of noise, so that no two uses share draws."""

    POPULATION = 1
    SLATE = 2
    RESPONSE = 3
    DRIFT = 4
    RETURN = 5
    EXPLORE = 6
    ACTION = 7
    REPLAY = 8
    WEIGHTS = 9


def check_draws(what: str, count: int) -> None:
    """Check that so many draws of one world, in one step and stream, all differ.

    Raises:
        InterplayError: they would repeat.
    """
    if count > MOST:
        raise InterplayError(f"{what}: {count:,} draws of noise for each world and step, but only 2^32 = {MOST:,} "
                             "differ: lower the sizes")


def _check_call(step: Tensor | int, name: str, shape: tuple[int, ...], offset: int, count: int) -> None:
    if isinstance(step, int) and not -(1 << 31) <= step < MOST:
        raise InterplayError(f"step={step} must be a 32-bit integer")
    if count > MOST:  # asked first, since words take longer than draws of a small world
        check_draws(f"{name}={tuple(shape)}, offset={offset}", count)


def world_key(seed: int, worlds: Tensor) -> Tensor:
    """Keys of the worlds numbered ``worlds`` (int64 ``[B]``) under ``seed``: int32 ``[B, 2]``.

    Raises:
        InterplayError: a negative seed, or the number of a world in the CPU's memory that has more than 32 bits. Those
            on other devices are not read, since that would wait for the device, nor while operators are recorded.
    """
    if seed < 0:
        raise InterplayError(f"seed={seed} must not be negative")
    if can_be_read(worlds) and not ((worlds >= 0) & (worlds < MOST)).all():
        raise InterplayError(f"worlds {worlds.min().item()} to {worlds.max().item()} must lie between 0 and 2^32 - 1")
    if seed >= 1 << 64:
        seed = int.from_bytes(hashlib.blake2b(str(seed).encode(), digest_size=8).digest(), "big")
    low, high = signed(seed), signed(seed >> 32)
    number = worlds.to(torch.int32)
    first = mix(mix(number * GOLDEN + low) + high)
    second = mix(mix(number ^ low) * GOLDEN + first)
    return torch.stack([first, second], dim=1)


def uniform(key: Tensor, step: Tensor | int, stream: int, shape: tuple[int, ...], offset: int = 0) -> Tensor:
    """Uniform draws in the open interval (0, 1).

    Args:
        key: int32 ``[B, 2]`` from ``world_key``.
        step: the step's number, int32 ``[B]``, or one for all worlds: int32 ``[1]`` or an integer.
        stream: which use of noise this is.
        shape: shape of the draws of one world.
        offset: index of the first draw, so that a long row can be drawn in pieces.

    Returns:
        float32 ``[B, *shape]``.

    Raises:
        InterplayError: a step of more than 32 bits, or an index.
    """
    count = math.prod(shape)
    _check_call(step, "shape", shape, offset, offset + count)
    if kernels.usable(key):
        return kernels.uniform(key, step, stream, shape, offset)
    return noise_operators.uniform(key, step, stream, offset, None, count).view(key.shape[0], *shape)


def uniform_rows(key: Tensor, step: Tensor | int, stream: int, first: Tensor, count: int) -> Tensor:
    """Uniform draws in rows that start anywhere: float32 ``[B, R, count]``.

    Args:
        key: as for ``uniform``.
        step: as for ``uniform``.
        stream: as for ``uniform``.
        first: int32 ``[R]``, index of each row's first draw, modulo 2^32.
        count: draws of each row.
    """
    if kernels.usable(key):
        return kernels.uniform_rows(key, step, stream, first, count)
    return noise_operators.uniform(key, step, stream, 0, first, count)


def any_of(key: Tensor, step: Tensor | int, stream: int, mask: Tensor, offset: int = 0) -> Tensor:
    """A place where ``mask`` is True, each as likely: where it allows the highest of as many uniform draws.

    Args:
        key: as for ``uniform``.
        step: as for ``uniform``.
        stream: as for ``uniform``.
        mask: bool ``[..., A]``, of which something is True in each row. As many rows belong to each key.
        offset: as for ``uniform``.

    Returns:
        int64 ``[...]``.
    """
    count = mask.numel() // key.shape[0]
    _check_call(step, "shape of the mask", mask.shape, offset, offset + count)
    if kernels.usable(key) and kernels.usable(mask):
        return kernels.any_of(key, step, stream, mask, offset)
    return noise_operators.any_of(key, step, stream, offset, mask)


def gumbel(key: Tensor, step: Tensor | int, stream: int, shape: tuple[int, ...], offset: int = 0) -> Tensor:
    """Standard Gumbel draws, arguments as for ``uniform``."""
    return as_gumbel(uniform(key, step, stream, shape, offset))


def as_gumbel(draws: Tensor) -> Tensor:
    """Uniform draws turned into standard Gumbel ones, in place."""
    return draws.log_().neg_().log_().neg_()


def normal(key: Tensor, step: Tensor | int, stream: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal draws, arguments as for ``uniform``."""
    cosine, radius = polar(key, step, stream, shape)
    return cosine.mul_(radius)


def polar(key: Tensor, step: Tensor | int, stream: int, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """A cosine and a radius each, whose product is standard normal: Box and Muller's transform; as for ``uniform``."""
    _check_call(step, "shape", (2, *shape), 0, 2 * math.prod(shape))
    if kernels.usable(key):
        radius, angle = kernels.radius_and_angle(key, step, stream, shape)
    else:
        radius, angle = uniform(key, step, stream, (2, *shape)).unbind(1)
        angle = angle.mul_(2.0 * math.pi)
    return angle.cos_(), radius.log_().mul_(-2.0).sqrt_()
