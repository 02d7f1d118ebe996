"""Memory that CUDA graphs share, without a GPU."""

import gc

import pytest
import torch

from interplay.envs import graphs


class Graph:
    """Stands for a CUDA graph that was recorded."""


def test_graphs_share_memory_as_long_as_one_of_them_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    handles = iter(range(9))
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: next(handles))
    assert graphs._memory() == 0
    one, other = Graph(), Graph()
    graphs._graphs.add(one)
    graphs._graphs.add(other)
    del one
    gc.collect()
    assert [graphs._memory(), graphs._memory()] == [0, 0]
    del other
    gc.collect()
    assert graphs._memory() == 1  # torch has given the old one back
