"""Layers whose weights are drawn later, from the run's own noise, and copies of layers that are evaluated at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from interplay.envs.kernels.operators import has_triton
from interplay.envs.stacking import is_stacked


class StackedLinear(nn.Module):
    """``copies`` layers at once: ``[..., copies, M, inputs]`` to ``[..., copies, M, outputs]``."""

    def __init__(self, inputs: int, outputs: int, copies: int, device: torch.device) -> None:
        super().__init__()
        self.weight = undrawn_parameter(copies, outputs, inputs, device=device)
        self.bias = undrawn_parameter(copies, 1, outputs, device=device)

    def forward(self, rows: Tensor) -> Tensor:
        """Each copy on its own rows."""
        return torch.einsum("...nmi,noi->...nmo", rows, self.weight) + self.bias


class StackedNorm(nn.Module):
    """``copies`` layer norms (Ba et al. 2016) at once: ``[..., copies, M, size]`` to the same shape."""

    def __init__(self, size: int, copies: int, device: torch.device) -> None:
        super().__init__()
        self.weight, self.bias = (undrawn_parameter(copies, 1, size, device=device) for _ in range(2))

    def forward(self, rows: Tensor) -> Tensor:
        """Each copy on its own rows."""
        return nn.functional.layer_norm(rows, rows.shape[-1:]) * self.weight + self.bias


class Norm(nn.LayerNorm):
    """A layer norm (Ba et al. 2016); on a GPU with Triton one kernel, as torch's own is slow for rows this narrow."""

    def forward(self, rows: Tensor) -> Tensor:
        """Float32 ``[..., size]`` to the same shape."""
        if rows.is_cuda and has_triton() and not is_stacked(rows) and not torch.compiler.is_compiling():
            from interplay.agents.parts import norm_gpu  # which needs Triton

            normal: Tensor = norm_gpu.LayerNorm.apply(rows, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
            return normal
        return super().forward(rows)


def norm_layer(size: int, device: torch.device, copies: int = 0) -> nn.Module:
    """A layer norm, or ``copies`` of it."""
    return StackedNorm(size, copies, device) if copies else Norm(size, device=device)


def linear_layer(inputs: int, outputs: int, device: torch.device, copies: int = 0) -> nn.Module:
    """A layer, or ``copies`` of it; weights are not drawn yet, because torch would draw them from its global state."""
    if copies:
        return StackedLinear(inputs, outputs, copies, device)
    return undrawn(nn.Linear, inputs, outputs, device=device)


def undrawn(kind: type[nn.Module], *sizes: int, device: torch.device, **settings: object) -> nn.Module:
    """A layer of torch's whose weights are NaN until ``draw_weights`` draws those of the whole network.

    Made without values first, so that its own initialisation takes nothing from torch's global generator.
    """
    layer = kind(*sizes, **settings, device="meta").to_empty(device=device)
    for parameter in layer.parameters():
        nn.init.constant_(parameter, torch.nan)
    return layer


def undrawn_parameter(*sizes: int, device: torch.device) -> nn.Parameter:
    """A parameter of a layer of one's own, which is NaN until ``draw_weights`` draws it."""
    return nn.Parameter(torch.full(sizes, torch.nan, device=device))
