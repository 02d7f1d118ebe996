"""Steps that are recorded and replayed, without a GPU: operator by operator."""

from dataclasses import dataclass

import pytest
import torch

from interplay.envs import kernels
from interplay.envs.graphs import Graph, NotCapturable, record, recording
from interplay.envs.noise import any_of
from interplay.envs.presets import presets
from interplay.envs.trees import _copy_on_gpu, copy_all, own, owned, tensors_of, with_tensors
from interplay.envs.types import SIDES, TensorRecord
from refusals import refused

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Pair(TensorRecord):
    one: torch.Tensor
    other: torch.Tensor


@pytest.mark.parametrize("name", [name for name, preset in presets().items() if preset.training.side != "platform"])
def test_a_replayed_market_has_the_same_bits(name):
    market = presets()[name].market()

    def step(state):
        actions = [any_of(state.key, state.time, 50 + n, market.observe(state, side).mask)
                   for n, side in enumerate(SIDES)]
        return market.step(state, *actions)

    with kernels.switched_off():
        graph = Graph(step, market.reset([0, 1, 2]))
        for worlds in ([3, 4, 5], [6, 7, 8]):  # other people in the same memory
            state = market.reset(worlds)
            graph.load(state)
            for _ in range(6):
                state, found = step(state)
                replayed = graph.replay()
                for one, other in zip([*state.tensors(), *found.tensors()],
                                      [*graph.record.tensors(), *replayed.tensors()], strict=True):
                    torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def test_what_a_step_gives_does_not_change_with_the_record():
    graph = Graph(lambda pair: (Pair(pair.one + 1, pair.other), pair.one), Pair(torch.zeros(2), torch.ones(2)))
    assert graph.replay().tolist() == [0, 0]  # what it saw, not what followed
    assert graph.record.one.tolist() == [1, 1]
    assert graph.replay().tolist() == [1, 1]


def test_numbers_of_the_host_stay_as_they_were():
    count = [0]

    def work():
        count[0] += 1
        return torch.ones(1) * count[0]

    recorded = record(work, CPU)
    assert not recording()
    recorded.replay()
    assert recorded.result.tolist() == [1]


@pytest.mark.parametrize("work", [lambda x: x.sum().item(), lambda x: x[x > 0], lambda x: torch.tensor([1.0]),
                                  lambda x: x.nonzero(), lambda x: bool(x.any())])
def test_what_cannot_be_replayed_is_rejected(work):
    with refused("torch's", fix="device", kind=NotCapturable):
        record(lambda: work(torch.ones(3)), CPU)
    assert not recording()


def test_an_operator_is_replayed_on_what_its_inputs_were():
    """Torch turns tensors round in place, and code appends to lists that were stacked."""
    parts, seen = [torch.zeros(2), torch.ones(2)], torch.arange(2.0)

    def work():
        stacked = torch.stack([part + seen for part in parts])
        stacked.transpose_(0, 1)
        parts.append(seen)
        return stacked * 2

    recorded = record(work, CPU)
    seen += 1
    recorded.replay()
    assert recorded.result.tolist() == [[2, 4], [4, 6]]


def test_copies_are_made_as_if_all_were_read_first():
    one, other = torch.zeros(2), torch.ones(2)
    copy_all([one, other], [other, one])
    assert (one.tolist(), other.tolist()) == ([1, 1], [0, 0])
    wide = torch.zeros(1, 2).expand(3, 2)
    mine = own(wide)
    copy_all([mine], [torch.ones(1, 2).expand(3, 2)])
    assert (mine.stride(), mine.tolist(), wide.sum().item()) == ((0, 1), [[1, 1]] * 3, 0)


def test_tensors_of_all_types_are_copied_at_once():
    sources = [torch.tensor([1.5, 2.5]), torch.tensor([True, False]), torch.tensor([[3], [4]]), torch.ones(1).expand(4)]
    targets = [torch.zeros(2), torch.tensor([False, True]), torch.zeros(2, 1, dtype=torch.int64),
               torch.zeros(1).expand(4)]
    _copy_on_gpu(list(zip(targets, sources, strict=True)))
    assert all(torch.equal(to, of) for to, of in zip(targets, sources, strict=True))


def test_trees_are_taken_apart_and_put_together():
    tree = {"a": [torch.zeros(1), 3], "b": (Pair(torch.ones(1), torch.full((1,), 2.0)), None)}
    new = with_tensors(tree, iter([x + 1 for x in tensors_of(tree)]))
    assert [x.item() for x in tensors_of(new)] == [1, 2, 3]
    assert (new["a"][1], new["b"][1]) == (3, None)
    mine = owned(new)
    mine["a"][0].zero_()
    assert new["a"][0].item() == 1
