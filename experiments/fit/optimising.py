"""Maximum likelihood with a penalty, by L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from interplay.envs.types import InterplayError

Record = TypeVar("Record", bound=Any)


def with_tensors(record: Record, tensors: Mapping[str, Tensor]) -> Record:
    """A dataclass with other tensors in some fields."""
    changed: Record = replace(record, **tensors)
    return changed


def minimise(loss: Callable[[], Tensor], parameters: Sequence[Tensor], steps: int) -> None:
    """Change the parameters in place until the loss is at a minimum, or for so many steps.

    Args:
        loss: of the parameters; it may call ``backward`` on parts of itself, and gives what is left to be called on.
        parameters: leaves of which the loss has gradients.
        steps: most iterations of L-BFGS.

    Raises:
        InterplayError: the loss is not finite.
    """
    optimiser = torch.optim.LBFGS(list(parameters), max_iter=steps, history_size=30, line_search_fn="strong_wolfe",
                                  tolerance_grad=1e-6, tolerance_change=1e-7)

    least, best = torch.tensor(torch.inf), [parameter.detach().clone() for parameter in parameters]

    def closure() -> Tensor:
        nonlocal least, best
        optimiser.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        if torch.isfinite(value) and value.detach() < least:
            least, best = value.detach(), [parameter.detach().clone() for parameter in parameters]
        return value.detach()

    try:
        optimiser.step(closure)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        if "overflow" not in str(error):  # else a line search has left float32, and what it found before stands
            raise
    if not bool(torch.isfinite(least)):
        raise InterplayError("fit: the likelihood is not finite: check the rewards of the log with `interplay log`")
    with torch.no_grad():
        for parameter, value in zip(parameters, best, strict=True):
            parameter.copy_(value)


def leaf(values: Tensor) -> Tensor:
    """A parameter that starts at these values."""
    return values.detach().clone().requires_grad_(True)
