"""A GPU's kernels of layer norms give what torch gives, and the same gradients."""

from collections.abc import Callable

import torch


def compare_kernels() -> None:
    """Compare what Triton's interpreter gives with torch."""
    from interplay.agents.parts import norm_gpu

    norm_gpu._PROGRAMS = 3  # so that a program of the backward pass takes several tiles
    for shape in ((5, 7, 64), (1, 1), (300, 48), (0, 8)):
        generator = torch.Generator().manual_seed(len(shape))
        rows, grad = (torch.randn(shape, generator=generator) + 3.0 for _ in range(2))
        weight, bias = (torch.randn(shape[-1], generator=generator) for _ in range(2))
        found = []
        for norm in (lambda x, w, b: norm_gpu.LayerNorm.apply(x, w, b, 1e-5),
                     lambda x, w, b: torch.nn.functional.layer_norm(x, x.shape[-1:], w, b, 1e-5)):
            given = [table.clone().requires_grad_() for table in (rows, weight, bias)]
            out = norm(*given)
            out.backward(grad)
            found.append([out.detach(), *(table.grad for table in given)])
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-4)


def test_the_kernels_of_a_gpu_give_what_torch_gives(interpreted: Callable[[str], None]) -> None:
    interpreted(__file__)


if __name__ == "__main__":
    compare_kernels()
