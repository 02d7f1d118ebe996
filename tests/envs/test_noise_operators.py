"""Every way to draw noise gives the same bits: torch, a GPU's kernel, compiled code; a step may be a tensor."""

import shutil
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from interplay.envs import hashing, kernels
from interplay.envs.noise import MOST, Stream, any_of, polar, uniform, uniform_rows, world_key

KEY = world_key(2**40 + 3, torch.arange(5))
FIRST = torch.tensor([0, 5, -7, 1 << 30], dtype=torch.int32)
STEPS = torch.tensor([7, 0, -3, 70_000, 1 << 30], dtype=torch.int32)

DRAWS: dict[str, Callable[[Tensor, Tensor | int, Tensor], Tensor]] = {
    "uniform": lambda key, step, mask: uniform(key, step, Stream.SLATE, (3, 11), offset=MOST - 40),
    "uniform_rows": lambda key, step, mask: uniform_rows(key, step, Stream.SLATE, FIRST, 7),
    "any_of": lambda key, step, mask: any_of(key, step, Stream.EXPLORE, mask, offset=9),
    "polar": lambda key, step, mask: torch.cat(polar(key, step, Stream.DRIFT, (3, 2))),
}


def some_mask() -> Tensor:
    mask = torch.rand(5, 4, 9, generator=torch.Generator().manual_seed(0)) < 0.5
    mask[..., 0] = True
    return mask


@pytest.mark.parametrize("with_kernels", [True, False])
@pytest.mark.parametrize("draw", DRAWS)
def test_one_step_for_all_worlds_may_be_a_tensor(draw: str, with_kernels: bool,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    if not with_kernels:
        monkeypatch.setattr(kernels, "usable", lambda tensor: False)
    one = DRAWS[draw](KEY, torch.tensor([7], dtype=torch.int32), some_mask())
    assert torch.equal(one, DRAWS[draw](KEY, 7, some_mask()))


@pytest.mark.parametrize("step", [3, STEPS, STEPS[:1]])
@pytest.mark.parametrize("draw", ["uniform", "uniform_rows", "any_of"])
def test_compiled_noise_has_the_same_bits(draw: str, step: Tensor | int) -> None:
    torch.compiler.reset()
    compiled = torch.compile(DRAWS[draw], fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(KEY, step, some_mask()), DRAWS[draw](KEY, step, some_mask()))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_generated_code_has_the_same_bits_and_stays_within_its_memory() -> None:
    """With int32 products of a loop's index, gcc dropped the end of the loop."""
    torch.compiler.reset()
    compiled = torch.compile(uniform, fullgraph=True)
    for _ in range(100):  # memory beyond a tensor's end, written once, may go unnoticed
        drawn = compiled(KEY, STEPS, Stream.SLATE, (3, 11), MOST - 40)
    assert torch.equal(drawn, uniform(KEY, STEPS, Stream.SLATE, (3, 11), MOST - 40))


def test_a_compiled_step_that_counts_on_is_not_compiled_again_and_again() -> None:
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(DRAWS["uniform"], fullgraph=True, backend="aot_eager")
    for step in (0, 1, 5, 1 << 20, (1 << 32) - 1):
        assert torch.equal(compiled(KEY, step, some_mask()), DRAWS["uniform"](KEY, step, some_mask()))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 3


@pytest.mark.parametrize("draw", DRAWS)
def test_fake_tensors_have_the_shapes_of_real_ones(draw: str) -> None:
    real = DRAWS[draw](KEY, STEPS, some_mask())
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = DRAWS[draw](*map(mode.from_tensor, (KEY, STEPS, some_mask())))
    assert (fake.shape, fake.dtype) == (real.shape, real.dtype)


def compare_kernels() -> None:
    """Compare what Triton's interpreter draws with the reference."""
    from interplay.envs.kernels import noise_gpu

    for step, number in ((None, 7), (None, -3), (STEPS, 0), (STEPS[:1], 0), (torch.stack([STEPS, STEPS], 1)[:, 0], 0)):
        for offset, first, count in ((0, None, 1), (123_456, None, 5), (MOST - 10, None, 1500), (4, FIRST, 6)):
            draw = (KEY, step, number, int(Stream.DRIFT), offset, first, count)
            assert torch.equal(noise_gpu.uniform(*draw), hashing.uniform(*draw)), draw
        for mask in (torch.zeros(5, 3, 6, dtype=torch.bool), some_mask()[:, :, :1], some_mask()):
            place = (KEY, step, number, int(Stream.EXPLORE), 9, mask)
            assert torch.equal(noise_gpu.any_of(*place), hashing.any_of(*place)), place
    noise_gpu._LONGEST = 4
    assert torch.equal(noise_gpu.any_of(*place), hashing.any_of(*place))


def test_the_kernels_of_a_gpu_have_the_same_bits(interpreted: Callable[[str], None]) -> None:
    interpreted(__file__)


if __name__ == "__main__":
    compare_kernels()
