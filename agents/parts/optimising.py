"""One optimiser for all deep agents: Adam with a falling rate and clipped gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interplay.agents.loops.flat import separated, separated_copies
from interplay.agents.parts.ranks import ALONE, Ranks
from interplay.agents.parts.schedules import Scalar, linear
from interplay.agents.parts.stateful import Stateful
from interplay.envs.stacking import is_stacked, of_copies


class Optimiser(Stateful):
    """Adam (Kingma and Ba 2015) whose step falls linearly to a tenth over the training.

    Args:
        module: what is trained.
        learning_rate: at the start.
        max_norm: gradients are scaled down to this length; 0 = they are not.
        stacked: whether the first axis of all parameters counts independent networks. Then the gradient of each has a
            length of its own.

    Attributes:
        ranks: the processes over which gradients are averaged.
    """

    ranks: Ranks = ALONE
    _known: _Known | None = None

    def __init__(self, module: nn.Module, learning_rate: float, max_norm: float = 0.0, stacked: bool = False) -> None:
        parameters = list(module.parameters())
        self._learning_rate, self._max_norm, self._stacked = learning_rate, max_norm, stacked
        # Fused: one kernel for all parameters (a quarter of the time on small networks), and no step counter that
        # lives on the host. Devices without it get the plain loop.
        self._device = parameters[0].device
        self._on_gpu = self._device.type == "cuda"  # there a graph may record it, which reads the rate from a tensor
        self._adam = torch.optim.Adam(parameters, lr=self._as_rate(learning_rate), capturable=self._on_gpu,
                                      fused=self._on_gpu or self._device.type == "cpu")

    def step(self, loss: Tensor, progress: Scalar) -> None:
        """Follow the gradient of ``loss``.

        Args:
            loss: a scalar.
            progress: part of the training that is done.
        """
        if is_stacked(loss):
            def follow(losses: Tensor) -> list[Tensor]:  # the sum's gradient is that of each loss for its own weights
                self._follow(losses.sum(), progress, 1 + self._stacked)
                return []

            of_copies(follow, loss)
        else:
            self._follow(loss, progress, int(self._stacked))

    def follow(self, gradient: Tensor, progress: Scalar) -> None:
        """Follow a gradient that loops have worked out on a CPU.

        Args:
            gradient: float32 ``[P]``, of all parameters in their order, one after the other.
            progress: part of the training that is done.
        """
        if is_stacked(gradient):
            def move(flat: Tensor) -> list[Tensor]:
                if self._max_norm > 0.0:
                    flat = flat * self._share(flat.norm(dim=1)).unsqueeze(1)
                for parameter, part in zip(self._parameters, separated_copies(flat, self._parameters), strict=True):
                    parameter.grad = part.contiguous()  # the fused optimiser takes it for that
                self._move(progress, 1, clip=False)
                return []

            of_copies(move, gradient)
        else:
            self._known = self._known or _Known(self._parameters)
            self._known.become(gradient, self._max_norm if self.ranks.size == 1 else 0.0)
            for parameter, part in zip(self._parameters, self._known.parts, strict=True):
                parameter.grad = part
            self._move(progress, 0, clip=self.ranks.size > 1)

    @property
    def _parameters(self) -> list[Tensor]:
        parameters: list[Tensor] = self._adam.param_groups[0]["params"]
        return parameters

    def _follow(self, loss: Tensor, progress: Scalar, axes: int) -> None:
        """The same as ``step``; so many first axes of all parameters count networks."""
        for parameter in self._parameters:
            parameter.grad = None  # what zero_grad does, without its bookkeeping
        loss.backward()  # type: ignore[no-untyped-call]
        self._move(progress, axes)

    def _move(self, progress: Scalar, axes: int, clip: bool = True) -> None:
        """Follow the parameters' gradients."""
        if self.ranks.size > 1:
            self.ranks.average([p.grad for p in self._parameters if p.grad is not None])
        if clip and self._max_norm > 0.0:
            self._clip(axes)
        (group,) = self._adam.param_groups
        group["lr"] = self._as_rate(linear(self._learning_rate, 0.1 * self._learning_rate, progress))
        self._step()
        group["lr"] = self._learning_rate  # what is saved follows from no schedule

    def _step(self) -> None:
        """What ``self._adam.step`` does, on a CPU without its bookkeeping, which takes longer than the work."""
        (group,) = self._adam.param_groups
        moved = [p for p in group["params"] if p.grad is not None]
        states: list[Any] = [self._adam.state.get(p) for p in moved] if self._device.type == "cpu" else [None]
        if None in states:  # before the first step
            self._adam.step()
            return
        first, second = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq"))
        with torch.no_grad():
            torch._fused_adam_(moved, [p.grad for p in moved], first, second, [], _counted(states), lr=group["lr"],
                               beta1=group["betas"][0], beta2=group["betas"][1], weight_decay=0.0, eps=group["eps"],
                               amsgrad=False, maximize=False)

    def _as_rate(self, rate: Scalar) -> Scalar:
        """As Adam wants it: on a GPU as float32 there."""
        if not self._on_gpu:
            return rate
        return rate.float() if isinstance(rate, Tensor) else torch.full((), rate, device=self._device)

    def _clip(self, axes: int) -> None:
        parameters = self._parameters
        if not axes:
            gradients = [p.grad for p in parameters if p.grad is not None]
            length = torch.stack(torch._foreach_norm(gradients)).norm()
            torch._foreach_mul_(gradients, self._share(length))
            return
        gradients = [p.grad.flatten(axes).flatten(0, axes - 1) for p in parameters if p.grad is not None]
        length = torch.stack([gradient.norm(dim=1) for gradient in gradients]).norm(dim=0)
        share = self._share(length).unsqueeze(1)
        for gradient in gradients:
            gradient *= share

    def _share(self, length: Tensor) -> Tensor:
        """What gradients of such a length are multiplied by."""
        return (self._max_norm / (length + 1e-6)).clamp(max=1.0)


class _Known:
    """A gradient of all parameters as one table, of which ``parts`` are views. It is no state."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._flat = torch.cat([parameter.detach().flatten() for parameter in parameters])
        self.parts = separated(self._flat.unsqueeze(0), parameters)

    def become(self, gradient: Tensor, max_norm: float) -> None:
        """Be this gradient, scaled down to the length ``max_norm`` unless it is 0."""
        mine, new = self._flat.numpy(), gradient.numpy()
        length = math.sqrt(np.dot(new, new)) if max_norm > 0.0 else 0.0
        np.multiply(new, min(1.0, max_norm / (length + 1e-6)) if max_norm > 0.0 else 1.0, out=mine)


def _counted(states: Sequence[dict[str, Tensor]]) -> list[Tensor]:
    """Adam's counts of steps, one more each. They are views of one tensor, which is changed in one go."""
    steps = [state["step"] for state in states]
    table = steps[0]._base
    if table is None or len(table) != len(steps) or any(step._base is not table for step in steps):
        table = torch.stack(steps)
        steps = list(table.unbind())
        for state, step in zip(states, steps, strict=True):
            state["step"] = step
    table += 1
    return steps


def num_updates(state: Any) -> int | None:
    """Updates that an agent has learnt in, from what its ``state_dict`` gives; None if it has no optimiser.

    Of several optimisers it is the one with most updates.
    """
    if isinstance(state, Mapping) and {"state", "param_groups"} <= state.keys():
        return max((int(of_one["step"]) for of_one in state["state"].values() if "step" in of_one), default=0)
    parts = state.values() if isinstance(state, Mapping) else state if isinstance(state, list | tuple) else ()
    return max((found for part in parts if (found := num_updates(part)) is not None), default=None)


def valid_mean(values: Tensor, valid: Tensor, dim: int | None = None) -> Tensor:
    """The mean of the values where ``valid`` (of their shape) is True, 0 where it never is; over one axis or all."""
    return (values * valid).sum(dim) / valid.sum(dim).clamp(min=1)
