"""One optimiser for all deep agents: Adam with a falling rate and clipped gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from interplay.agents.loops.flat import call, can_move, in_one_piece, in_own_pieces, separated, separated_copies
from interplay.agents.parts.ranks import ALONE, Ranks
from interplay.agents.parts.schedules import Scalar, linear
from interplay.agents.parts.stateful import Stateful
from interplay.envs.stacking import is_stacked, of_copies

_KEPT = "exp_avg", "exp_avg_sq", "step"  # what Adam keeps of each parameter


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
    _whole: _Whole | None = None

    def __init__(self, module: nn.Module, learning_rate: float, max_norm: float = 0.0, stacked: bool = False) -> None:
        parameters = list(module.parameters())
        if not stacked and can_move(parameters[0]):
            # At once: torch rounds by where weights lie, and an agent that is loaded has to round as the saved one did.
            in_one_piece(parameters)
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
            gradient: float32 ``[P]``, of all parameters in their order, one after the other, or of stacked networks
                ``[S, P]``; it may be changed.
            progress: part of the training that is done.
        """
        if is_stacked(gradient):
            def follow(tables: Tensor) -> list[Tensor]:
                self.follow(tables, progress)
                return []

            of_copies(follow, gradient)
            return
        if self.ranks.size > 1:
            self.ranks.average([gradient])
        if self._max_norm > 0.0:
            _shorten(gradient, self._max_norm)
        whole = self._as_whole(progress, len(gradient) if gradient.dim() > 1 else 0)
        if whole is not None:
            self._move_whole(whole, gradient, progress)
            return
        parts = separated(gradient.unsqueeze(0), self._parameters) if gradient.dim() == 1 else separated_copies(
            gradient, self._parameters)
        for parameter, part in zip(self._parameters, parts, strict=True):
            parameter.grad = part.contiguous()  # the fused optimiser takes it for that
        self._step(progress)

    def moments(self, progress: Scalar, copies: int = 0) -> Moments | None:
        """What a loop needs to follow gradients by itself; None where it has to leave that to ``follow``.

        Args:
            progress: part of the training that is done.
            copies: of stacked networks; 0 = they are not stacked.
        """
        whole = self._as_whole(progress, copies) if self.ranks.size == 1 else None
        if whole is None:
            return None
        return self._moments(whole, progress)

    def _moments(self, whole: _Whole, progress: Scalar) -> Moments:
        (group,) = self._adam.param_groups
        weights, first, second, counts = whole.arrays
        return Moments(weights, first, second, counts, float(self._rate(progress)), group["betas"], group["eps"],
                       self._max_norm)

    def _move_whole(self, whole: _Whole, gradient: Tensor, progress: Scalar) -> None:
        weights, first, second, *given, _ = self._moments(whole, progress)
        tables = (table.reshape(-1) for table in (weights, first, second))
        call("adam_loop", "move", gradient.flatten(), *tables, *given)

    @property
    def _parameters(self) -> list[Tensor]:
        parameters: list[Tensor] = self._adam.param_groups[0]["params"]
        return parameters

    def _follow(self, loss: Tensor, progress: Scalar, axes: int) -> None:
        """The same as ``step``; so many first axes of all parameters count networks."""
        for parameter in self._parameters:
            parameter.grad = None  # what zero_grad does, without its bookkeeping
        loss.backward()  # type: ignore[no-untyped-call]
        if self.ranks.size > 1:
            self.ranks.average([p.grad for p in self._parameters if p.grad is not None])
        if self._max_norm > 0.0:
            self._clip(axes)
        # The same bits as those of loops that find the same gradient.
        whole = self._as_whole(progress, 0) if not axes and can_move(self._parameters[0]) else None
        gradients = [p.grad.flatten() for p in self._parameters if p.grad is not None]
        if whole is not None and len(gradients) == len(self._parameters):
            self._move_whole(whole, torch.cat(gradients), progress)
        else:
            self._step(progress)

    def _step(self, progress: Scalar) -> None:
        """What ``self._adam.step`` does, on a CPU without its bookkeeping, which takes longer than the work."""
        moved = [p for p in self._parameters if p.grad is not None]
        states: list[Any] = [self._adam.state.get(p) for p in moved] if self._device.type == "cpu" else [None]
        if None in states:  # before the first step
            (group,) = self._adam.param_groups
            group["lr"] = self._rate(progress)
            self._adam.step()
            group["lr"] = self._learning_rate  # what is saved follows from no schedule
            return
        if len(moved) < len(self._parameters):
            vars(self).pop("_whole", None)  # steps may not be the same for all any more
        first, second, counts = ([state[name] for state in states] for name in _KEPT)
        in_own_pieces((*moved, *first, *second))
        in_one_piece(counts).add_(1)
        self._move(progress, moved, [p.grad for p in moved if p.grad is not None], first, second, counts)

    @torch.no_grad()
    def _move(self, progress: Scalar, moved: list[Tensor], gradients: list[Tensor], first: list[Tensor],
              second: list[Tensor], counts: list[Tensor]) -> None:
        """Adam's step on a CPU: of parameters, with moments of their gradients, and numbers of steps."""
        (group,) = self._adam.param_groups
        rate: Any = self._rate(progress)
        torch._fused_adam_(moved, gradients, first, second, [], counts, lr=rate, beta1=group["betas"][0],
                           beta2=group["betas"][1], weight_decay=0.0, eps=group["eps"], amsgrad=False, maximize=False)

    def _as_whole(self, progress: Scalar, copies: int) -> _Whole | None:
        """All parameters, and what Adam keeps of them, as tables; None where steps are not the same for all."""
        if copies and isinstance(progress, Tensor):
            return None  # graphs are recorded, in which torch would move weights back
        parameters, kept = self._parameters, self._adam.state
        whole = self._whole
        if whole is None or not whole.holds(parameters, kept.get(parameters[0], {})):
            counts = {float(kept[p]["step"]) if p in kept else 0.0 for p in parameters}
            if len(counts) > 1 or 0.0 in counts:
                return None
            whole = self._whole = _Whole(parameters, [kept[p] for p in parameters], copies)
        return whole

    def _rate(self, progress: Scalar) -> Scalar:
        return self._as_rate(linear(self._learning_rate, 0.1 * self._learning_rate, progress))

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


class Moments(NamedTuple):
    """What a step of Adam reads and writes, as loops take it: see ``adam_loop``.

    Attributes:
        weights, first, second: float32 ``[S, P]``, all parameters, and moments of their gradients.
        counts: float32 ``[K]``, steps so far, the same number for each parameter.
        rate, betas, tiny: of Adam.
        max_norm: the length of gradients, at most; 0 = any.
    """

    weights: NDArray[np.float32]
    first: NDArray[np.float32]
    second: NDArray[np.float32]
    counts: NDArray[np.float32]
    rate: float
    betas: tuple[float, float]
    tiny: float
    max_norm: float


class _Whole:
    """Parameters, and what Adam keeps of them, as tables of which they are views. It is no state."""

    def __init__(self, parameters: Sequence[Tensor], kept: Sequence[Mapping[str, Tensor]], copies: int) -> None:
        first, second, counts = ([of_one[name] for of_one in kept] for name in _KEPT)
        tables = (in_one_piece(each, copies) for each in (parameters, first, second))
        self.arrays = [table.numpy() for table in (*tables, in_one_piece(counts)[0])]
        self._places = _places(parameters, kept[0])

    def holds(self, parameters: Sequence[Tensor], kept: Mapping[str, Tensor]) -> bool:
        """Whether parameters are where they were, and what Adam keeps of the first of them, which no one else moves."""
        return _places(parameters, kept) == self._places


def _places(parameters: Sequence[Tensor], kept: Mapping[str, Tensor]) -> list[int]:
    return [table.data_ptr() for table in (*parameters, *kept.values())]


def _shorten(gradient: Tensor, max_norm: float) -> None:
    """Scale gradients ``[..., P]`` down in place to this length, where they are longer."""
    for row in gradient.view(-1, gradient.shape[-1]).numpy():
        length = math.sqrt(np.dot(row, row)) + 1e-6
        if not length <= max_norm:
            row *= max_norm / length


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
