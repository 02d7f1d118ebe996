"""A GPU's kernels compile for a chip, as their arguments ask for it: the interpreter takes what the compiler refuses.

No GPU is needed. Kernels are not run: what they would write is 0.
"""

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

# All mechanisms, with tastes of some numbers and of one; no boosts; slates of candidates that were retrieved first.
MARKETS: tuple[tuple[str, dict[str, int]], ...] = (
    ("town", {}), ("town", {"num_users": 1, "num_items": 5, "embedding_size": 1}), ("kale", {}),
    ("town", {"num_users": 3, "num_items": 9, "num_candidates": 5, "embedding_size": 3}))


class Chip:
    """Stands in for the driver of a GPU of compute capability 9.0."""

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)


def compiled_alone(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Have every launch of a kernel compile it and do no more; gives the names of those that were compiled."""
    import triton

    from interplay.envs import slates, slates_gpu
    from interplay.envs.kernels import noise_gpu, noise_operators, table_operators, tables_gpu

    names, run = set(), triton.runtime.jit.JITFunction.run

    def warm_up(kernel: Any, *arguments: Any, **options: Any) -> None:
        names.add(kernel.__module__.rsplit(".", 1)[1] + kernel.__name__)
        run(kernel, *arguments, **{**options, "warmup": True})

    triton.runtime.driver.set_active(Chip())
    monkeypatch.setattr(triton.runtime.jit.JITFunction, "run", warm_up)
    for owner, name, work in (
            (table_operators, "_JOINED", tables_gpu.joined),
            (table_operators, "products_by_torch", tables_gpu.products),
            (noise_operators, "_UNIFORM", noise_gpu.uniform), (noise_operators, "_ANY_OF", noise_gpu.any_of),
            (slates, "DRAW_SLATES", slates_gpu.draw_slates),
            (kernels, "of_gpu", lambda name, tensor: kernels.compiled(name)), (torch, "empty", torch.zeros),
            (torch, "empty_like", lambda like, dtype=None, **_: torch.zeros(like.shape, dtype=dtype or like.dtype)),
            (Tensor, "new_empty", Tensor.new_zeros)):
        monkeypatch.setattr(owner, name, work)
    return names


def compile_kernels() -> None:
    """Compile what a step of each market launches."""
    with pytest.MonkeyPatch.context() as patch, kernels.switched_off():
        names = compiled_alone(patch)
        for name, sizes in MARKETS:
            market = find_preset(name).market(**sizes)
            state = market.reset(range(3))
            seen = [market.observe(state, side) for side in SIDES]
            market.step(state, *(any_of(state.key, state.time, Stream.ACTION, each.mask) for each in seen))
    assert names == {"items_gpu_boosts", "items_gpu_mask", "items_gpu_move", "noise_gpu_any_of", "noise_gpu_uniform",
                     "slates_gpu_draw", "slates_gpu_draw_scored", "tables_gpu_cells", "tables_gpu_joined",
                     "tables_gpu_products", "users_gpu_move", "users_gpu_respond", "users_gpu_slot_mask"}


@pytest.mark.slow
def test_kernels_of_a_step_compile_for_a_gpu() -> None:
    if find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    done = subprocess.run([sys.executable, __file__], env={**os.environ, "TRITON_INTERPRET": "0"}, check=False,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    compile_kernels()
