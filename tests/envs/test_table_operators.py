"""A GPU's kernels of tables write what the reference writes."""

from collections.abc import Callable
from typing import Any

import torch

from interplay.envs.kernels import table_operators
from interplay.envs.kernels.table_operators import joined, products

BOUND = 1.5


def _random(*shape: int) -> torch.Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))
    values.view(-1)[:1] = torch.nan
    return values


def _tables(users: int) -> list[tuple[Any, ...]]:
    """Arguments of ``joined``; with many users, a program of the kernel is of one world."""
    worlds, items, slots = 5, 41, 4
    taken = torch.randint(items, (worlds, users, slots), generator=torch.Generator().manual_seed(0))
    of_items = _random(1, items, 9).expand(worlds, -1, -1)
    parts = [of_items[..., 1:3], _random(worlds, users, slots).unsqueeze(3), _random(worlds, items, 1),
             _random(slots).expand(worlds, users, slots).unsqueeze(3), _random(worlds, users, 0, slots).transpose(2, 3),
             of_items[..., 3:]]
    return [
        (parts, [0, 2, 5], taken, _random(worlds, users, 1, 4), 6, taken % 3 > 0, BOUND),
        ([_random(worlds, users, 2), of_items[:, :users]], [], None, None, 0, None, BOUND),
        ([_random(worlds, slots, users).transpose(1, 2).unsqueeze(3)] * 5, [], None, None, 0, None, BOUND),
        ([_random(worlds, users, 1)] * 9, [], None, None, 0, None, BOUND),  # too many parts: left to torch
        ([_random(0, users, 2)], [], None, None, 0, None, BOUND),
    ]


def compare_kernels() -> None:
    """Compare what Triton's interpreter writes with the reference."""
    from interplay.envs.kernels import tables_gpu

    for table in _tables(3) + _tables(40):
        torch.testing.assert_close(tables_gpu.joined(*table), table_operators.joined_by_torch(*table), rtol=0, atol=0,
                                   equal_nan=True)
    for inner in (1, 2, 5, 20, 100):
        one, two = _random(5, 7, inner), _random(5, inner, 3).transpose(1, 2)
        torch.testing.assert_close(tables_gpu.products(one, two), table_operators.products_by_torch(one, two),
                                   equal_nan=True)


def test_columns_are_joined_bounded_and_left_out() -> None:
    table = joined([torch.tensor([[[[1.0], [9.0]]]]), torch.tensor([[[-2.0, 3.0], [5.0, -7.0]]])], 4.0,
                   torch.tensor([[[True, False]]]), items=torch.tensor([[[1, 0]]]), by_item=[1],
                   factor=torch.tensor([[[[0.5]]]]), at=2)
    assert table.tolist() == [[[[1.0, 4.0, -3.5], [0.0, 0.0, 0.0]]]]


def test_products_are_those_of_all_rows() -> None:
    one, two = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[[5.0, 6.0]]])
    assert products(one, two).tolist() == [[[17.0], [39.0]]]


def test_the_kernels_of_a_gpu_write_the_same_tables(interpreted: Callable[[str], None]) -> None:
    interpreted(__file__)


if __name__ == "__main__":
    compare_kernels()
