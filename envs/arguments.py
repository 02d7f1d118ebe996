"""Arguments of ``Market``, checked at its entry. Nothing here reads a GPU's tensor: that would wait for it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from interplay.envs.checking import as_integer, check_value, shown
from interplay.envs.types import InterplayError

_MOST_WORLDS = 2**32  # noise hashes 32 bits of a world's number


def as_device(device: torch.device | str) -> torch.device:
    """The device of this name, which must be one that torch can use here.

    Raises:
        InterplayError: it is not.
    """
    check_value("device", device, str | torch.device)
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        raise InterplayError(f"device={shown(str(device))} cannot be used here ({str(error).splitlines()[0][:120]}): "
                             "choose cpu, or cuda where torch has it") from error


def as_worlds(worlds: object, device: torch.device) -> Tensor:
    """Numbers of worlds, as int64 ``[B]``.

    Args:
        worlds: integers of at least 0, or a tensor of them.
        device: where they go.

    Raises:
        InterplayError: they are not integers, or there is none.
    """
    if isinstance(worlds, Tensor):
        numbers = worlds.to(device)
    elif isinstance(worlds, Iterable) and not isinstance(worlds, str | bytes) and getattr(worlds, "ndim", 1) > 0:
        numbers = torch.tensor([_number(each) for each in worlds], dtype=torch.int64, device=device)
    else:
        raise InterplayError(f"worlds={shown(worlds)} must be a list of numbers of worlds, such as [0, 1]")
    if numbers.dtype not in (torch.int64, torch.int32) or numbers.dim() != 1 or numbers.shape[0] == 0:
        raise InterplayError(f"worlds of shape {tuple(numbers.shape)} and dtype {numbers.dtype}: give a list of at "
                             "least one number")
    return numbers.long()


def _number(world: object) -> int:
    number = as_integer("worlds", world)
    if number >= _MOST_WORLDS:
        raise InterplayError(f"worlds={number} must be below 2^32: start again from 0 with another seed")
    return number


def check_tensor(name: str, value: object, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
    """Check a tensor's type, shape and place.

    Raises:
        InterplayError: one of them is another.
    """
    if not isinstance(value, Tensor):
        raise InterplayError(f"{name}={shown(value)} must be a tensor of shape {tuple(shape)}: use torch.as_tensor")
    if tuple(value.shape) != shape:
        raise InterplayError(f"{name} of shape {tuple(value.shape)}: give {tuple(shape)}")
    if value.dtype != dtype:
        raise InterplayError(f"{name} of dtype {value.dtype}: give {dtype}")
    if value.device != device:
        raise InterplayError(f"{name} is on {value.device}: move it to the market's {device}")


def check_indices(name: str, value: Tensor, count: int) -> None:
    """Check that integers are among 0 to ``count - 1``, where ``can_be_read`` says that they can.

    Raises:
        InterplayError: one is not.
    """
    if not can_be_read(value) or value.numel() == 0:
        return
    low, high = value.min().item(), value.max().item()
    if low < 0 or high >= count:
        raise InterplayError(f"{name} {low} to {high} are not all there: give numbers between 0 and {count - 1}")


def can_be_read(value: Tensor) -> bool:
    """Whether a check may look at values: in the CPU's memory, and not while operators are recorded."""
    recorded = torch.compiler.is_compiling() or _get_current_dispatch_mode() is not None
    return not recorded and type(value) is Tensor and value.is_cpu
