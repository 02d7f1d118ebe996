"""Kernels give what torch gives; without numba, or when they are told not to, torch works alone."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from interplay.envs import kernels
from interplay.envs.market import Market
from interplay.envs.noise import Stream, uniform, world_key
from interplay.envs.presets import find_preset
from interplay.envs.slates import build_slates
from interplay.envs.types import Slate, State

pytest.importorskip("numba")


@pytest.fixture(autouse=True)
def as_installed() -> Iterator[None]:
    kernels.available.cache_clear()
    yield
    kernels.available.cache_clear()


def without(monkeypatch: pytest.MonkeyPatch, call: Any, *arguments: Any) -> Any:
    """What torch gives."""
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "available", lambda: False)
        return call(*arguments)


def town(**changes: Any) -> Market:
    return find_preset("town").market(**changes)


def random_actions(market: Market, state: State, step: int) -> tuple[Tensor, Tensor]:
    masks = [market.observe(state, side).mask for side in ("users", "items")]
    generator = torch.Generator().manual_seed(step)
    draws = [torch.rand(mask.shape, generator=generator).masked_fill(~mask, -1.0) for mask in masks]
    return draws[0].argmax(-1), draws[1].argmax(-1)


def same(one: Slate, other: Slate) -> None:
    assert torch.equal(one.valid, other.valid)
    assert torch.equal(one.items[one.valid], other.items[one.valid])
    torch.testing.assert_close(one.log_propensity, other.log_propensity, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("step", [0, 7, -3, torch.tensor([1, 2, 1 << 30], dtype=torch.int32)])
@pytest.mark.parametrize(("shape", "offset"), [((5,), 0), ((130, 70), 0), ((3, 2, 2), 123_456)])
def test_uniform_draws_are_the_same_bits(step: Any, shape: Any, offset: int, monkeypatch: pytest.MonkeyPatch) -> None:
    key = world_key(2**40 + 3, torch.arange(3))
    draw = (key, step, Stream.RESPONSE, shape, offset)
    assert torch.equal(uniform(*draw), without(monkeypatch, uniform, *draw))


@pytest.mark.parametrize("size", [1, 3, 40])
def test_top_k_is_the_same_and_leaves_its_input_alone(size: int) -> None:
    values = torch.randn(6, 50, 40, generator=torch.Generator().manual_seed(0))
    values[values < 0.0] = -torch.inf
    before = values.clone()
    top, index = kernels.top_k(values, size)
    assert torch.equal(top, values.topk(size).values)
    assert torch.equal(values.gather(-1, index), top)
    assert (index.sort(-1).values.diff(dim=-1) > 0).all()  # nothing twice, not even of what is all -inf
    assert torch.equal(values, before)


@pytest.mark.parametrize("changes", [
    {}, {"num_users": 500, "num_items": 300, "slate_size": 5, "num_candidates": 20}, {"slate_size": 32},
    {"slate_size": 1, "num_items": 2}, {"temperature": 0.01}, {"num_users": 3000, "num_items": 600},
    {"num_users": 7, "num_segments": 9, "embedding_size": 5}])
def test_slates_are_the_same(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    market = town(**changes)
    state = market.reset(range(3))
    for step in range(20):
        same(build_slates(market._rules, state), without(monkeypatch, build_slates, market._rules, state))
        state, _ = market.step(state, *random_actions(market, state, step))


def test_slates_that_rounding_could_change_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    market = town()
    state = market.reset(range(2))
    draw = kernels.slates

    def wrong(*arguments: Any) -> kernels.Drawn:
        drawn = draw(*arguments)
        return drawn._replace(items=drawn.items * 0, close=torch.ones_like(drawn.close))

    expected = build_slates(market._rules, state)
    monkeypatch.setattr(kernels, "slates", wrong)
    same(build_slates(market._rules, state), expected)


def test_slates_whose_values_tie_are_marked() -> None:
    """Two candidates whose values another rounding could swap: found by moving one score on to the other."""
    key, ones = world_key(0, torch.arange(1)), torch.ones(1, 1, 1)
    time, by_segment = torch.zeros(1, dtype=torch.int32), (torch.tensor([[0]]), torch.tensor([[0, 1]]))
    noise = -(-uniform(key, time, 1, (1, 3)).log()).log()[0, 0]
    scores = torch.stack([torch.zeros(()), noise[0] - noise[1], torch.tensor(-9.0)])

    def close(shift: float) -> bool:
        scores_now = (scores + torch.tensor([0.0, shift, 0.0])).view(1, 1, 3)
        drawn = kernels.slates(key, time, 1, ones, by_segment, torch.zeros(1, 1, 1, 3), torch.arange(3).view(1, 1, 3),
                               scores_now, 1.0, 2)
        return bool(drawn.close)

    assert close(0.0)
    assert close(2e-6)
    assert not close(1e-3)


@pytest.mark.parametrize("preset", ["town", "contest", "kale", "feed"])
def test_worlds_go_the_same_way(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def played() -> list[Tensor]:
        market = find_preset(preset).market()
        state = market.reset(range(3), seed=4)
        rewards = []
        for step in range(30):
            state, happened = market.step(state, *random_actions(market, state, step))
            rewards += [happened.user_reward, happened.item_reward]
        return rewards

    assert all(torch.equal(a, b) for a, b in zip(played(), without(monkeypatch, played), strict=True))


def test_kernels_can_be_switched_off_and_need_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels.usable(torch.zeros(1))
    assert not kernels.usable(torch.zeros(1, device="meta"))
    monkeypatch.setenv("INTERPLAY_KERNELS", "0")
    kernels.available.cache_clear()
    assert not kernels.usable(torch.zeros(1))
    monkeypatch.delenv("INTERPLAY_KERNELS")
    kernels.available.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not kernels.usable(torch.zeros(1))


@pytest.mark.parametrize(("preset", "changes"), [
    ("town", {}), ("town", {"user_sees": "history", "history_length": 3}), ("kale", {}), ("viability", {})])
def test_users_see_the_same_bits(preset: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    market = find_preset(preset).market(**changes)
    state = market.reset(range(3))
    for step in range(10):
        seen, expected = (market.observe(state, "users"),
                          without(monkeypatch, market.observe, state, "users"))
        assert all(torch.equal(a, b) for a, b in zip(seen.tensors(), expected.tensors(), strict=True))
        state, _ = market.step(state, *random_actions(market, state, step))
