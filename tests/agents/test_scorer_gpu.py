"""A GPU's kernels of ``OptionScorer`` give what torch gives, with the same gradients."""

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from interplay.agents.loops.flat import joined, separated

FORMS = [{}, {"num_outputs": 3, "layer_norm": True}, {"hidden": 40, "layer_norm": True}]
SHAPES = [(4, 1, (40, 9)), (3, 2, (5, 7)), (20, 1, (3,)), (1, 3, (1, 1)), (4, 1, (0, 3))]


def compare_kernels() -> None:
    """Compare what Triton's interpreter gives with torch."""
    from test_scorer import SPEC, assert_alike, network_of, results_of, seen_by

    from interplay.agents.loops import scorer, scorer_gpu
    from interplay.envs.kernels import switched_off

    scorer_gpu._PROGRAMS = 3  # so that programs of the gradient take several blocks

    def found_by_kernels(network, *given: Tensor) -> list[Tensor]:
        weights = list(network.parameters())
        flat = joined(weights)
        own, options, action = (scorer._rows(x, flat, last) for x, last in zip(given, (1, 2, 0), strict=True))
        scores = scorer_gpu.scores(network._form, flat, own, options)
        taken, kept = scorer_gpu.taken(network._form, flat, own, options, action)
        weigh = torch.linspace(-1.0, 1.0, taken.numel()).view(taken.shape)
        gradients = scorer_gpu.gradients(network._form, flat, 2.0 * taken * weigh, *kept)
        return [scores, taken, *separated(gradients, weights)]

    for form in FORMS:
        for options, levels, rows in SHAPES:
            spec = replace(SPEC, num_options=options, num_levels=levels)
            network, given = network_of(spec, **form), seen_by(spec, *rows)
            with switched_off():
                wanted = results_of(network, *given)
            found = found_by_kernels(network, *given)
            assert_alike([mine.view(other.shape) for mine, other in zip(found, wanted, strict=True)], wanted)
    compare_copies(scorer_gpu, [network_of(layer_norm=True) for _ in range(2)], seen_by(SPEC, 2, 70))


def compare_copies(scorer_gpu, networks, given: tuple[Tensor, ...]) -> None:
    """Two copies with weights of their own at once are as each alone."""
    with torch.no_grad():
        networks[1]._option.weight.mul_(1.5)
    form, flat = networks[0]._form, torch.cat([joined(list(network.parameters())) for network in networks])
    values, kept = scorer_gpu.taken(form, flat, *given)
    found = [scorer_gpu.scores(form, flat, *given[:2]), values, scorer_gpu.gradients(form, flat, values, *kept)]
    for copy in range(2):
        weights, one = flat[copy:copy + 1], [x[copy:copy + 1] for x in given]
        alone, kept = scorer_gpu.taken(form, weights, *one)
        each = [scorer_gpu.scores(form, weights, *one[:2]), alone, scorer_gpu.gradients(form, weights, alone, *kept)]
        for mine, other in zip(found, each, strict=True):
            torch.testing.assert_close(mine[copy:copy + 1], other, rtol=1e-4, atol=1e-5)


def test_no_argument_of_a_kernel_has_a_name_that_the_launcher_uses() -> None:
    """Triton passes arguments on by a function that it writes; its variables would take their place."""
    root = Path(__file__).parents[2]
    files = [*root.glob("agents/*/*_gpu.py"), *root.glob("envs/**/*_gpu.py")]
    kernels = [node for file in files for node in ast.walk(ast.parse(file.read_text("utf-8")))
               if isinstance(node, ast.FunctionDef) and "kernel" in "".join(map(ast.unparse, node.decorator_list))]
    assert len(kernels) > 20
    wrong = [(kernel.name, one.arg) for kernel in kernels for one in kernel.args.args
             if one.arg in {"options", "params", "specialization", "grid", "warmup"}]
    assert wrong == []


def test_the_kernels_of_a_gpu_give_what_torch_gives(interpreted: Callable[[str], None]) -> None:
    interpreted(__file__)


if __name__ == "__main__":
    compare_kernels()
