"""Whether a GPU's kernels of networks give what torch's code gives there: values, and gradients of all weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor

from interplay.agents.parts.networks import OptionScorer, draw_weights
from interplay.envs import kernels
from interplay.envs.presets import find_preset
from interplay.envs.types import SideSpec
from interplay.experiments.studies.gpu.bench import Bench, Case, Row

_ROWS, _HIDDEN = 5000, 64


def cases(bench: Bench) -> Iterator[Case]:
    """Networks of both sides of town, which have levels and none, with layer norms and without."""
    for side, spec in find_preset("town").market("cpu").specs.items():
        for normal in (True, False):
            yield Case({"preset": "town", "side": side, "layer_norm": normal}, partial(_both, bench, spec, normal))


def _both(bench: Bench, spec: SideSpec, normal: bool) -> Row:
    network = OptionScorer(spec, bench.sized(_HIDDEN, 8), bench.device, layer_norm=normal)
    draw_weights(network, 0, "study")
    given = _seen(bench, spec)
    (values, taken, gradients), wanted = _found(network, *given, by_kernels=True), _found(network, *given)
    return {name: float((one - other).norm() / other.norm()) for name, one, other in zip(
        ("values", "taken", "gradients"), (values, taken, gradients), wanted, strict=True)}


def _found(network: OptionScorer, own: Tensor, options: Tensor, action: Tensor,
           by_kernels: bool = False) -> list[Tensor]:
    """All values, those of actions, and the gradient of something that weighs these in different ways."""
    with nullcontext() if by_kernels else kernels.switched_off():
        with torch.no_grad():
            values = network(own, options)
        taken = network.taken(own, options, action)
        loss = (taken.square() * torch.linspace(-1.0, 1.0, taken.numel(), device=taken.device).view(taken.shape)).sum()
        gradients = torch.autograd.grad(loss, list(network.parameters()))
    return [values, taken.detach(), torch.cat([gradient.flatten() for gradient in gradients])]


def _seen(bench: Bench, spec: SideSpec) -> tuple[Tensor, Tensor, Tensor]:
    rows, generator = bench.sized(_ROWS, 20), torch.Generator().manual_seed(0)
    own = torch.randn(rows, len(spec.own_features), generator=generator)
    options = torch.randn(rows, spec.num_options, len(spec.option_features), generator=generator)
    action = torch.randint(spec.num_actions, (rows,), generator=generator)
    return own.to(bench.device), options.to(bench.device), action.to(bench.device)
