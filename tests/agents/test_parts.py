import warnings
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from interplay.agents import Setting, find_agent
from interplay.agents.parts import discretiser
from interplay.agents.parts.choosing import epsilon_greedy
from interplay.agents.parts.replay import MOST_ROWS, PrioritisedReplay, Replay, Rollout, fine_draw
from interplay.agents.parts.returns import Experience, NStep, lambda_returns
from interplay.envs import kernels
from interplay.envs.types import Transition
from refusals import refused


def rows(moved, first, count=2):
    """Rows whose states, actions and rewards all say their number."""
    numbers = list(range(first, first + count))
    return moved([numbers], [numbers], [[float(n) for n in numbers]], [[n + 1 for n in numbers]]).map(
        lambda x: x.flatten(0, 1))


def all_of(replay, count):
    return replay.sample((torch.arange(count) + 0.5) / count)[0]


def test_replay_overwrites_the_oldest_and_keeps_a_row_together(moved):
    replay = Replay(5)  # which becomes 4, a multiple of what comes at once
    for first in range(0, 14, 2):
        replay.add(rows(moved, first))
    found = all_of(replay, 4)
    assert replay.size == 4
    assert sorted(found.reward.tolist()) == [10.0, 11.0, 12.0, 13.0]
    assert found.action.tolist() == found.reward.tolist() == found.observation.state.tolist()
    assert (found.next_observation.state - 1).tolist() == found.reward.tolist()


def test_a_place_in_the_replay_shows_whose_row_it_is(moved):
    replay = Replay(7)
    for first in range(0, 30, 2):
        replay.add(rows(moved, first))
    found, place = replay.sample(torch.rand(64, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(place % 2, found.observation.state % 2)


def test_rows_may_come_by_world_and_agent(moved):
    flat, nested = Replay(8), Replay(8)
    for first in range(0, 12, 4):
        step = rows(moved, first, 4)
        flat.add(step)
        nested.add(step.map(lambda x: x.unflatten(0, (2, 2))), axes=2)
    with kernels.switched_off():
        nested.add(step.map(lambda x: x.unflatten(0, (2, 2))), axes=2)
        flat.add(step)
    for one, other in zip(all_of(flat, 8).tensors(), all_of(nested, 8).tensors(), strict=True):
        assert torch.equal(one, other)


def test_fine_draws_are_the_same_bits_with_and_without_loops(spec):
    one, other = (find_agent("dqn")(spec, Setting(seed=5)) for _ in range(2))
    with kernels.switched_off():
        expected = fine_draw(other, 100)
    assert torch.equal(fine_draw(one, 100), expected)


def test_exploring_by_loops_is_what_torch_does(spec):
    draws, allowed = torch.randn(40, 5, 3, generator=torch.Generator().manual_seed(0)), torch.ones(40, 5, 3)
    mask = allowed.bernoulli(0.6, generator=torch.Generator().manual_seed(1)) == 1.0
    mask[..., 0] = True
    for epsilon in (0.0, 0.1, 0.5, 1.0):
        one, other = (find_agent("dqn")(spec, Setting(seed=5)) for _ in range(2))
        for _ in range(3):
            with kernels.switched_off():
                expected = epsilon_greedy(other, draws, mask, epsilon)
            assert torch.equal(epsilon_greedy(one, draws, mask, epsilon), expected)


def test_replay_picks_uniformly(moved):
    replay = Replay(100)
    replay.add(rows(moved, 1))
    assert replay.sample(torch.tensor([0.01, 0.49, 0.51, 0.99]))[0].reward.tolist() == [1.0, 1.0, 2.0, 2.0]


def test_prioritised_replay_draws_in_proportion_and_corrects_for_it(moved):
    replay = PrioritisedReplay(4, 1.0, torch.device("cpu"))
    replay.add(rows(moved, 0, 4))
    draws = (torch.arange(1000) + 0.5) / 1000
    assert torch.bincount(replay.sample(draws)[1]).tolist() == [250] * 4  # new rows are all as likely
    replay.update(torch.arange(4), torch.tensor([1.0, -2.0, 3.0, 4.0]))
    index = replay.sample(draws)[1]
    assert torch.bincount(index).tolist() == pytest.approx([100, 200, 300, 400], abs=1)
    weight = replay.correction(torch.arange(4), 1.0)
    assert weight.tolist() == pytest.approx([1.0, 1 / 2, 1 / 3, 1 / 4], rel=1e-4)
    replay.add(rows(moved, 4, 4))
    assert torch.bincount(replay.sample(draws)[1]).tolist() == [250] * 4  # at the largest priority so far


def test_prioritised_replay_draws_for_each_agent_on_its_own(moved):
    """Two agents: the rows of one stay as likely, whatever happens to those of the other."""
    replay = PrioritisedReplay(4, 1.0, torch.device("cpu"), num_agents=2)
    for first in (0, 2):
        replay.add(rows(moved, first))
    draws = ((torch.arange(1000) + 0.5) / 1000).unsqueeze(1).expand(1000, 2)
    replay.update(torch.tensor([[0, 1], [2, 3]]), torch.tensor([[1.0, 1.0], [3.0, 1.0]]))
    found, index = replay.sample(draws)
    assert torch.bincount(index[:, 0]).tolist() == [250, 0, 750]
    assert torch.bincount(index[:, 1]).tolist() == [0, 500, 0, 500]
    assert torch.equal(found.reward, index.float())
    assert replay.correction(torch.tensor([[0, 1], [2, 3]]), 1.0).flatten().tolist() == pytest.approx([1, 1, 1 / 3, 1])
    replay.add(rows(moved, 4))
    index = replay.sample(draws)[1]
    assert torch.bincount(index[:, 0]).tolist() == [500, 0, 500]
    assert torch.bincount(index[:, 1]).tolist() == [0, 500, 0, 500]


class Words:
    """A player whose draws are those of the first 46 binary digits of ``numbers``."""

    def __init__(self, numbers):
        high = (numbers * 2**23).floor()
        low = (numbers * 2**46).floor() - high * 2**23
        self.words = ((torch.stack([high, low]) + 0.5) * 2**-23).float()

    def draw(self, *shape, stream):
        assert shape == self.words.shape
        return self.words


def test_every_row_of_a_large_replay_can_be_drawn():
    """With the 23 bits of one draw, a third of these rows could not."""
    class Places(Replay):
        def at(self, index):
            return None, index

    replay = Places(MOST_ROWS)
    replay.added = 12_000_000
    row = torch.cat([torch.arange(1000), replay.size - 1 - torch.arange(100_000)])
    draw = fine_draw(Words((row.double() + 0.5) / replay.size), len(row))
    assert torch.equal(replay.sample(draw)[1], row)
    edge = fine_draw(Words(torch.tensor([0.0, 1.0 - 2.0**-46], dtype=torch.float64)), 2)
    replay.added = MOST_ROWS
    assert replay.sample(edge)[1].tolist() == [0, MOST_ROWS - 1]


def test_a_replay_says_how_large_it_can_be():
    with refused("capacity", 100000000, fix=MOST_ROWS):
        Replay(100_000_000)


@pytest.mark.parametrize("make", [lambda: Replay(8),
                                  lambda: PrioritisedReplay(8, 0.6, torch.device("cpu"))])
def test_a_replay_goes_on_from_its_state(moved, make):
    one, other = make(), make()
    for first in range(0, 12, 2):
        one.add(rows(moved, first))
    other.load_state_dict(one.state_dict(), torch.device("cpu"))
    for replay in (one, other):
        replay.add(rows(moved, 50))
    assert all_of(one, 8).reward.tolist() == all_of(other, 8).reward.tolist()


def test_n_steps_are_joined_until_an_end_or_a_cut(moved):
    """World 0 goes on, world 1 ends in the second step, world 2 is cut off there; discount 0.5, three steps."""
    joining = NStep(3, 0.5)
    found = []
    for t in range(4):
        step = moved([[t]] * 3, [[t]] * 3, [[1.0 + t]] * 3, [[10 + t]] * 3)
        second = torch.tensor([[False], [t == 1], [False]]), torch.tensor([[False], [False], [t == 1]])
        found.append(joining.add(Transition(*(*list(vars(step).values())[:5], *second, step.valid))))
    assert found[0] is None
    assert found[1] is None
    first = found[2]
    assert first.action.flatten().tolist() == [0, 0, 0]
    assert first.reward.flatten().tolist() == [1.0 + 0.5 * 2 + 0.25 * 3, 1.0 + 0.5 * 2, 1.0 + 0.5 * 2]
    assert first.discount.flatten().tolist() == [0.125, 0.0, 0.25]
    assert first.next_observation.state.flatten().tolist() == [12, 11, 11]
    assert found[3].discount.flatten().tolist() == [0.125, 0.0, 0.5]
    assert found[3].next_observation.state.flatten().tolist() == [13, 11, 11]


def test_lambda_returns_between_one_step_and_all(moved):
    reward, ahead = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([10.0, 20.0, 30.0])
    discount, never = torch.full((3,), 0.5), torch.zeros(3, dtype=torch.bool)
    assert lambda_returns(reward, discount, never, ahead, 0.0).tolist() == [6.0, 12.0, 19.0]
    assert lambda_returns(reward, discount, never, ahead, 1.0).tolist() == [1 + 0.5 * (2 + 0.5 * 19), 11.5, 19.0]
    half = lambda_returns(reward, discount, never, ahead, 0.5)
    assert half[1].item() == 2.0 + 0.5 * (0.5 * 20.0 + 0.5 * 19.0)
    cut = torch.tensor([False, True, False])
    assert lambda_returns(reward, discount, cut, ahead, 1.0).tolist() == [1 + 0.5 * 12.0, 12.0, 19.0]
    ended = torch.tensor([0.5, 0.0, 0.5])
    assert lambda_returns(reward, ended, never, ahead, 1.0).tolist() == [2.0, 2.0, 19.0]


def test_a_rollout_is_given_when_it_is_full(moved):
    rollout, other = Rollout(3), Rollout(3)
    assert rollout.add(rows(moved, 0)) is None
    assert rollout.add(rows(moved, 2)) is None
    other.load_state_dict(rollout.state_dict(), torch.device("cpu"))
    for memory in (rollout, other):
        found = memory.add(rows(moved, 4))
        assert found.reward.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
        assert found.observation.state.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert rollout.add(rows(moved, 6)) is None


@pytest.mark.parametrize("by_torch", [False, True])
def test_a_memory_of_a_version_that_kept_something_else_is_named(moved, by_torch):
    before, now = Rollout(3), Rollout(3)
    before.add(rows(moved, 0))
    now.load_state_dict(before.state_dict(), torch.device("cpu"))
    with kernels.switched_off() if by_torch else nullcontext(), \
            refused("checkpoint", "Transition", "Experience", fix="version"):
        now.add(NStep(1, 0.9).add(rows(moved, 2)))
    seen = rows(moved, 2).observation
    fewer = replace(rows(moved, 2), observation=replace(seen, options=seen.options[..., :0]))
    with kernels.switched_off() if by_torch else nullcontext(), refused("checkpoint", "Transition", fix="version"):
        now.add(fewer)


def test_an_experience_is_saved_and_loaded(moved):
    one = NStep(1, 0.9).add(moved([[0, 1]], [[1, 2]], [[1.0, 3.0]], [[1, 1]]))
    other = Experience.from_state(one.state_dict())
    assert all(map(torch.equal, one.tensors(), other.tensors()))
    assert other.next_observation.history is None


def test_an_empty_cluster_is_nobodys_concern(monkeypatch):
    """Where rows differ by little more than rounding; scipy then keeps the centre, and says so at each fit."""
    fit = discretiser.kmeans2

    def warns(*args, **options):
        warnings.warn("One of the clusters is empty. Re-run kmeans with a different initialization.", stacklevel=3)
        return fit(*args, **options)

    monkeypatch.setattr(discretiser, "kmeans2", warns)
    clusters = discretiser.Discretiser(2, 1, 0)
    clusters.add(torch.tensor([[0.0], [0.1], [5.0]]))
    assert clusters(torch.tensor([[0.0], [5.0]])).unique().numel() == 2
