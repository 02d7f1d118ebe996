"""A GPU's kernels compile for chips, as their arguments ask for it: the interpreter takes what the compiler refuses.

No GPU is needed. Kernels are not run: what they would write is 0.
"""

import contextlib
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor

from interplay.envs import kernels
from interplay.envs.noise import Stream, any_of
from interplay.envs.presets import find_preset
from interplay.envs.types import SIDES

SHARED = {75: 64, 86: 99, 90: 227}
"""KiB of shared memory that a program may use, by compute capability: T4, RTX 30 and H100."""
# All mechanisms, with tastes of some numbers and of one; no boosts; slates of candidates that were retrieved first.
MARKETS: tuple[tuple[str, dict[str, int]], ...] = (
    ("town", {}), ("town", {"num_users": 1, "num_items": 5, "embedding_size": 1}), ("kale", {}),
    ("town", {"num_users": 3, "num_items": 9, "num_candidates": 5, "embedding_size": 3}))
# Features of an agent, options, features of one, and outputs: kale's, town's, and the widest.
NETWORKS = ((4, 4, 9, 1), (13, 9, 18, 1), (30, 50, 30, 32), (60, 9, 60, 1), (64, 50, 64, 64))


class Chip:
    """Stands in for a GPU's driver."""

    def __init__(self, capability: int) -> None:
        self._capability = capability

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", self._capability, 32)


def compiled_alone(patch: pytest.MonkeyPatch, capability: int) -> set[str]:
    """Have every launch of a kernel compile it and do no more; gives the names of those that were compiled."""
    import triton

    from interplay.envs import slates, slates_gpu
    from interplay.envs.kernels import noise_gpu, noise_operators, table_operators, tables_gpu

    names, run = set(), triton.runtime.jit.JITFunction.run

    def warm_up(kernel: Any, *arguments: Any, **options: Any) -> None:
        name = kernel.__module__.rsplit(".", 1)[1] + kernel.__name__
        names.add(name)
        made = run(kernel, *arguments, **{**options, "warmup": True})
        assert made.metadata.shared <= SHARED[capability] * 1024, (name, capability, made.metadata.shared)

    triton.runtime.driver.set_active(Chip(capability))
    for owner, name, work in (
            (triton.runtime.jit.JITFunction, "run", warm_up), (torch.cuda, "device_of", contextlib.nullcontext),
            (table_operators, "_JOINED", tables_gpu.joined),
            (table_operators, "products_by_torch", tables_gpu.products),
            (noise_operators, "_UNIFORM", noise_gpu.uniform), (noise_operators, "_ANY_OF", noise_gpu.any_of),
            (slates, "DRAW_SLATES", slates_gpu.draw_slates),
            (kernels, "of_gpu", lambda name, tensor: kernels.compiled(name)), (torch, "empty", torch.zeros),
            (torch, "empty_like", lambda like, dtype=None, **_: torch.zeros(like.shape, dtype=dtype or like.dtype)),
            (Tensor, "new_empty", Tensor.new_zeros)):
        patch.setattr(owner, name, work)
    return names


def compile_kernels(capability: int) -> None:
    """Compile what a step of each market launches, and a network's update."""
    with pytest.MonkeyPatch.context() as patch, kernels.switched_off():
        names = compiled_alone(patch, capability)
        for name, sizes in MARKETS:
            market = find_preset(name).market(**sizes)
            state = market.reset(range(3))
            seen = [market.observe(state, side) for side in SIDES]
            market.step(state, *(any_of(state.key, state.time, Stream.ACTION, each.mask) for each in seen))
        for network in NETWORKS:
            update(*network)
    assert names == {"items_gpu_boosts", "items_gpu_mask", "items_gpu_move", "noise_gpu_any_of", "noise_gpu_uniform",
                     "scorer_gpu_gradients", "scorer_gpu_scores", "scorer_gpu_taken", "slates_gpu_draw",
                     "slates_gpu_draw_scored", "tables_gpu_cells", "tables_gpu_joined", "tables_gpu_products",
                     "users_gpu_move", "users_gpu_respond", "users_gpu_slot_mask"}


def update(features: int, count: int, width: int, outputs: int) -> None:
    """What scores rows and works out the gradient of a network with hidden layers of 64."""
    from interplay.agents.loops import scorer_gpu
    from interplay.agents.loops.scorer import Form

    hidden, heads = 64, 2 * (64 * 65 + 4 * 64 + 65 * outputs)
    flat = torch.zeros(1, hidden * (features + 2 * width + 3) + heads)
    form, own, options = Form(hidden, 1, outputs, True), torch.zeros(1, 3, features), torch.zeros(1, 3, count, width)
    scorer_gpu.scores(form, flat, own, options)
    values, kept = scorer_gpu.taken(form, flat, own, options, torch.zeros(1, 3, dtype=torch.int64))
    scorer_gpu.gradients(form, flat, values, *kept)


@pytest.mark.slow
@pytest.mark.parametrize("capability", SHARED)
def test_kernels_compile_for_a_gpu(capability: int) -> None:
    if find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    done = subprocess.run([sys.executable, __file__, str(capability)], env={**os.environ, "TRITON_INTERPRET": "0"},
                          check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    compile_kernels(int(sys.argv[1]))
