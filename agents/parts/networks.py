"""Networks that serve either side."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from interplay.envs.noise import Stream, uniform, world_key
from interplay.envs.types import SideSpec


class OptionScorer(nn.Module):
    """Values of all actions: each option is scored with the same weights, whatever its place.

    An option's hidden vector sums one layer of the agent's own features, one of the option's, and one of the mean
    option, so that an option is judged against what else is there. Doing nothing is scored from the rest alone.

    Args:
        spec: the side's shapes.
        hidden: width.
        seed: of the weights, which are the same on every device.
        device: where they live.
    """

    def __init__(self, spec: SideSpec, hidden: int, seed: int, device: torch.device) -> None:
        super().__init__()
        own, option = len(spec.own_features), len(spec.option_features)
        self._own = _linear(own, hidden, device)
        self._option = _linear(option, hidden, device)
        self._around = _linear(option, hidden, device)
        # Items of some markets can only rest: then there is no option to score.
        self._option_head = _head(hidden, spec.num_levels, device) if spec.num_levels > 0 else None
        self._nothing_head = _head(hidden, 1, device)
        _initialise(self, seed)

    def forward(self, own: Tensor, options: Tensor) -> Tensor:
        """``own [..., F_own]`` and ``options [..., M, F_option]`` to values ``[..., 1 + M * L]``."""
        context = self._own(own) + self._around(options.mean(-2))
        nothing: Tensor = self._nothing_head(context)
        if self._option_head is None:
            return nothing
        each = self._option_head(context.unsqueeze(-2) + self._option(options))
        return torch.cat([nothing, each.flatten(-2)], dim=-1)


def _linear(inputs: int, outputs: int, device: torch.device) -> nn.Linear:
    """A layer whose weights are not drawn yet: torch would draw them from its global generator."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs, device=device)  # type: ignore[no-untyped-call]
    return layer


def _head(hidden: int, outputs: int, device: torch.device) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(), _linear(hidden, hidden, device), nn.ReLU(), _linear(hidden, outputs, device))


@torch.no_grad()
def _initialise(module: nn.Module, seed: int) -> None:
    """Uniform weights of variance 2 / inputs (He et al. 2015), biases 0."""
    for number, parameter in enumerate(module.parameters()):
        if parameter.dim() == 1:
            parameter.zero_()
            continue
        key = world_key(seed, torch.tensor([number], device=parameter.device))
        draw = uniform(key, 0, Stream.WEIGHTS, tuple(parameter.shape))[0]
        parameter.copy_((2.0 * draw - 1.0) * (6.0 / parameter.shape[1]) ** 0.5)
