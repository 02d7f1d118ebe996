"""The kernel that draws slates on a GPU draws those of the reference."""

from collections.abc import Callable

import torch
from torch import Tensor

from interplay.envs import kernels
from interplay.envs.noise import world_key
from interplay.envs.slate_draws import draw

SHAPES = [(3, 5, 7, 4), (2, 64, 32, 4), (2, 3, 8, 8), (4, 3, 1, 1), (1, 2, 100, 5)]


def some_scores(shape: tuple[int, int, int], share: float) -> Tensor:
    """Of which so many may not be shown; of the last user none may."""
    generator = torch.Generator().manual_seed(shape[2])
    score = 5.0 * torch.randn(shape, generator=generator)
    score = score.masked_fill(torch.rand(shape, generator=generator) < share, -torch.inf)
    score[:, -1] = -torch.inf
    return score


def compare_kernels() -> None:
    """Compare what Triton's interpreter draws with the reference."""
    from interplay.envs import slates_gpu

    for worlds, users, width, size in SHAPES:
        key, step = world_key(5, torch.arange(worlds)), 3 * torch.arange(worlds, dtype=torch.int32)
        for share, offset, first in ((0.0, 0, None), (0.5, 12, None), (0.9, 0, 1000 * torch.arange(users) - 7)):
            slates = (some_scores((worlds, users, width), share), key, step, offset,
                      None if first is None else first.int(), size)
            place, valid, log_propensity = slates_gpu.draw_slates(*slates)
            expected, expected_valid, expected_log = draw(*slates)
            assert torch.equal(valid, expected_valid)
            assert torch.equal(place[valid], expected[valid])
            assert 0 <= place.min() <= place.max() < width
            torch.testing.assert_close(log_propensity, expected_log, rtol=1e-5, atol=1e-5)
    high = torch.tensor([1e6, 1e6, 1e6 - 1e4]).repeat(1, 4, 1)
    torch.testing.assert_close(slates_gpu.draw_slates(high, key, step, 0, None, 3)[2].exp(), torch.full((1, 4), 0.5))
    slates_gpu._WIDEST = 1
    assert torch.equal(slates_gpu.draw_slates(*slates)[0], draw(*slates)[0])


def test_log_propensities_of_large_scores_are_as_exact_as_those_of_small_ones() -> None:
    """Two alike items beside a worse one, far from 0 as at a low temperature: the first slot has either by a half."""
    key, step = world_key(5, torch.arange(1)), torch.zeros(1, dtype=torch.int32)
    for score in (1e6, -3e5):
        scores = torch.tensor([score, score, score - 1e4]).expand(1, 4, 3)
        for drawn in (draw, torch.ops.interplay.draw_slates):
            torch.testing.assert_close(drawn(scores, key, step, 0, None, 1)[2].exp(), torch.full((1, 4), 0.5))


def test_the_operator_does_without_kernels_of_the_cpu() -> None:
    """To the last bit, empty slots included, since graphs replay it where kernels are switched on."""
    slates = (some_scores((3, 5, 7), 0.7), world_key(5, torch.arange(3)), torch.zeros(3, dtype=torch.int32), 0, None, 7)
    found = torch.ops.interplay.draw_slates(*slates)
    with kernels.switched_off():
        expected = draw(*slates)
    assert not expected[1].all()
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_kernel_of_a_gpu_draws_the_same_slates(interpreted: Callable[[str], None]) -> None:
    interpreted(__file__)


if __name__ == "__main__":
    compare_kernels()
