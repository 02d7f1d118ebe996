"""What agents and their parts keep as attributes is saved, loaded and moved."""

import io
from collections import deque, namedtuple

import numpy as np
import pytest
import torch
from torch import nn

from interplay.agents.parts.stateful import Stateful
from interplay.agents.testing.contract_harness import difference
from refusals import refused


class Part(Stateful):
    def __init__(self):
        self.table = torch.zeros(2)


class Whole(Stateful):
    """One of each kind."""

    def __init__(self, step):
        self.part, self.parts = Part(), {"a": Part(), "b": [Part()]}
        self.table, self.grown, self.later = torch.zeros(3), torch.zeros(0), None
        self.view = self.table[1:]
        self.weight = torch.zeros(2, requires_grad=True)
        self.network = nn.Linear(2, 1)
        self.optimiser = torch.optim.Adam([self.weight, *self.network.parameters()])
        self.steps, self.window, self.pair = [], deque(maxlen=2), (1, torch.zeros(1))
        self.count, self.share, self.on, self.word = 0, 0.5, False, "a"
        self.shape, self.find = slice(3), lambda: None  # no state
        self._step = step

    def live(self):
        """Change everything."""
        self.part.table += 1.0
        self.parts["b"][0].table += 2.0
        self.view += 3.0
        self.grown, self.later = torch.ones(4), torch.ones(2, 2)
        self.optimiser.zero_grad()
        (self.network(self.weight).sum() + self.weight.sum()).backward()
        self.optimiser.step()
        self.steps.append(self._step)
        self.window.extend([self._step.action] * 3)
        self.pair = (self.pair[0] + 1, self.pair[1] + 1.0)
        self.count, self.share, self.on, self.word = self.count + 1, self.share / 2, True, self.word + "a"


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.fixture
def lived(moved):
    torch.manual_seed(0)
    return [Whole(moved([[0, 1]], [[1, 2]], [[1.0, 3.0]], [[1, 1]])) for _ in range(2)]


def test_everything_goes_on_from_a_file(lived):
    one, other = lived
    for _ in range(3):
        one.live()
    assert difference(one.state_dict(), other.state_dict())
    other.load_state_dict(through_a_file(one.state_dict()))
    assert not difference(one.state_dict(), other.state_dict())
    one.live()
    other.live()
    assert not difference(one.state_dict(), other.state_dict())
    assert type(other.window) is deque
    assert other.window.maxlen == 2
    assert type(other.steps[0]) is type(one.steps[0])
    assert {"shape", "find"}.isdisjoint(one.state_dict())


def test_what_is_loaded_is_a_copy(lived):
    one, other = lived
    one.live()
    other.load_state_dict(one.state_dict())
    before = through_a_file(one.state_dict())
    other.live()
    assert not difference(before, through_a_file(one.state_dict()))


def test_tensors_are_moved(lived):
    one, other = lived
    one.live()
    other.load_state_dict(one.state_dict(), torch.device("meta"))
    assert {x.device.type for x in (other.table, other.part.table, other.later, other.steps[0].reward,
                                    other.window[0], other.parts["b"][0].table)} == {"meta"}
    assert other.weight.device.type == "cpu"  # the optimiser holds it


def test_a_state_that_does_not_fit_is_rejected(lived):
    one, other = lived
    with refused("Whole", "count"):
        other.load_state_dict({name: value for name, value in one.state_dict().items() if name != "count"})
    one.part.table = torch.zeros(3)
    with refused("Whole.part", "Part.table", [3], fix="[2]"):
        other.load_state_dict(one.state_dict())


class Numbers(Stateful):
    def __init__(self):
        self.mean, self.table, self.list = 0.0, np.zeros(3), []


def test_numpy_is_saved_as_plain_numbers_and_tensors():
    one, other = Numbers(), Numbers()
    one.mean, one.list = np.mean([1.0, 2.0]), [np.float32(2.0), np.int64(3)]
    one.table += 4.0
    other.load_state_dict(through_a_file(one.state_dict()))
    assert other.mean == 1.5
    assert other.list == [2.0, 3]
    assert isinstance(other.table, np.ndarray)
    assert other.table.tolist() == [4.0, 4.0, 4.0]


Row = namedtuple("Row", "reward action")


@pytest.mark.parametrize("value", [
    Row(torch.zeros(1), 1), [Row(1.0, 2)], deque([Row(1.0, 2)]), {1.0, 2.0}, [torch.zeros(1), object()],
    {"a": {2: {3.0}}}, torch.Generator(), np.random.default_rng(0)])
def test_what_would_be_lost_is_refused_when_it_is_saved(value):
    thing = Numbers()
    thing.odd = value
    with refused("Numbers.odd", type(value).__name__, fix=("tensors", "arrays", "numbers", "modules")):
        thing.state_dict()
