"""One optimiser for all deep agents: Adam with a falling rate and clipped gradients."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from interplay.agents.parts.schedules import linear


class Optimiser:
    """Adam (Kingma and Ba 2015) whose step falls linearly to a tenth over the training.

    Args:
        module: what is trained.
        learning_rate: at the start.
        max_norm: gradients are scaled down to this length; 0 = they are not.
    """

    def __init__(self, module: nn.Module, learning_rate: float, max_norm: float = 0.0) -> None:
        self._parameters = list(module.parameters())
        self._learning_rate, self._max_norm = learning_rate, max_norm
        # Fused: one kernel for all parameters (a quarter of the time on small networks), and no step counter that
        # lives on the host. Devices without it get the plain loop.
        fused = self._parameters[0].device.type in ("cpu", "cuda")
        self._adam = torch.optim.Adam(self._parameters, lr=learning_rate, fused=fused)

    def step(self, loss: Tensor, progress: float) -> None:
        """Follow the gradient of ``loss``.

        Args:
            loss: a scalar.
            progress: part of the training that is done.
        """
        for group in self._adam.param_groups:
            group["lr"] = linear(self._learning_rate, 0.1 * self._learning_rate, progress)
        self._adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self._max_norm > 0.0:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._max_norm)
        self._adam.step()

    def state_dict(self) -> dict[str, Any]:
        """Adam's moments."""
        return self._adam.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``, which stays as it is: Adam would go on counting in its tensors of steps."""
        self._adam.load_state_dict(copy.deepcopy(state))


def valid_mean(values: Tensor, valid: Tensor) -> Tensor:
    """The mean of the values where ``valid`` (of their shape) is True, 0 where it never is."""
    return (values * valid).sum() / valid.sum().clamp(min=1)
