"""Kernels give what torch gives; without numba, or when they are told not to, torch works alone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from interplay.envs import dispatch, kernels, population
from interplay.envs.behaviour.synthetic import SyntheticBehaviour, TownPopulation
from interplay.envs.facade import flat_shape, flat_sides, flatten
from interplay.envs.kernels import compiled, table_operators
from interplay.envs.kernels.packed import Packed
from interplay.envs.market import Market
from interplay.envs.noise import Stream, any_of, uniform, world_key
from interplay.envs.observing import item_view, user_view
from interplay.envs.presets import find_preset
from interplay.envs.slates import build_slates
from interplay.envs.threads import set_num_threads
from interplay.envs.types import SIDES
from interplay.envs.world import Slate, State, UserOutcome

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
@pytest.mark.parametrize(("shape", "offset"), [((5,), 0), ((130, 70), 0), ((3, 2, 2), 123_456),
                                             ((10,), (1 << 31) - 5), ((10,), (1 << 32) - 10)])
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


@pytest.mark.parametrize("width", [2, 9, 40, 1500])
def test_the_first_of_equals_comes_first_with_and_without_kernels(width: int) -> None:
    """``topk`` gives any of them, and not that which the loop gives."""
    values = torch.randint(-2, 3, (50, width), generator=torch.Generator().manual_seed(0)).float() / 3.0
    values[values < -0.5] = -torch.inf
    values[::2] *= -1.0  # 0 and -0 are equal
    values[values == torch.inf] = 0.0
    size = min(width, 17)
    with kernels.switched_off():
        top, index = kernels.top_k(values, size)
    for found, expected in zip(kernels.top_k(values, size), (top, index), strict=True):
        assert torch.equal(found, expected)
    assert torch.equal(index, values.sort(dim=1, descending=True, stable=True).indices[:, :size])
    assert torch.equal(top, values.gather(1, index))


def test_slates_that_tie_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a low temperature sums of scores and noise round to few numbers: many candidates tie."""
    market = town(temperature=1e-6, num_items=24, slate_size=24, embedding_size=1)
    state = market.reset(range(3))
    for step in range(5):
        made, expected = state.slate, without(monkeypatch, build_slates, market.constants, state)
        assert torch.equal(made.items, expected.items)
        state, _ = market.step(state, *random_actions(market, state, step))


@pytest.mark.parametrize("changes", [
    {}, {"num_users": 500, "num_items": 300, "slate_size": 5, "num_candidates": 20}, {"slate_size": 32},
    {"slate_size": 1, "num_items": 2}, {"temperature": 0.01}, {"num_users": 3000, "num_items": 600},
    {"num_users": 7, "num_segments": 9, "embedding_size": 5}])
def test_slates_are_the_same(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    market = town(**changes)
    state = market.reset(range(3))
    for step in range(20):
        same(build_slates(market.constants, state), without(monkeypatch, build_slates, market.constants, state))
        state, _ = market.step(state, *random_actions(market, state, step))


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(kernels, "_SMALL", 1 << 12)  # so that worlds of a test's size get both
    set_num_threads(2)
    yield
    set_num_threads(1)


@pytest.mark.parametrize("block", [1200, 7])
@pytest.mark.parametrize("worlds", [1, 3])
def test_slates_are_the_same_however_users_are_dealt_out(worlds: int, block: int, two_threads: None,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """To two threads, and in blocks of neighbours, of which the last is smaller and lacks segments."""
    monkeypatch.setattr(population, "_BLOCK", block)
    market = town(num_users=821, num_items=40, num_segments=5)
    state = market.reset(range(worlds))
    order, starts = state.population.by_segment(5)
    assert (np.sort(order) == np.arange(821)).all()
    assert starts.shape[1] == -(-821 // (5 * block)) * 5 + 1
    for _ in range(3):
        same(build_slates(market.constants, state), without(monkeypatch, build_slates, market.constants, state))
        state, _ = market.step(state, *random_actions(market, state, 0))


def test_two_threads_go_the_same_way_as_one(two_threads: None) -> None:
    def played() -> list[Tensor]:
        market = town(num_users=1500, num_items=40)
        state, found = market.reset(range(1)), []
        for step in range(5):
            state, happened = market.step(state, *random_actions(market, state, step))
            found += [*state.tensors(), *happened.tensors()]
        return found

    found = played()
    set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(found, played(), strict=True))


def test_a_small_town_stays_on_one_thread() -> None:
    """Two were slower for 2,000 users, whose slates of 50 candidates are the largest of its tables."""
    set_num_threads(2)
    assert [kernels.deserved(users * 50) for users in (2_000, 32_000)] == [1, 2]
    set_num_threads(1)


def test_slates_that_rounding_could_change_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    market = town()
    state = market.reset(range(2))
    draw = dispatch.draw_slates

    def wrong(*arguments: Any) -> tuple[Slate, list[list[int]]]:
        slate, _ = draw(*arguments)
        return replace(slate, items=slate.items * 0), [[w, u] for w in range(2) for u in range(64)]

    expected = build_slates(market.constants, state)
    monkeypatch.setattr(dispatch, "draw_slates", wrong)
    same(build_slates(market.constants, state), expected)


def test_slates_whose_values_tie_are_marked() -> None:
    """Two candidates whose values another rounding could swap: found by moving one score on to the other."""
    key, time = world_key(0, torch.arange(1)), torch.zeros(1, dtype=torch.int32)
    noise = -(-uniform(key, time, 1, (1, 3)).log()).log()[0, 0].numpy()
    scores = np.array([0.0, noise[0] - noise[1], -9.0], np.float32)
    untargeted, users = np.zeros((1, 3), np.int64), (np.array([[0]]), np.array([[0, 1]]))
    numbers = town(num_segments=1, temperature=1.0).constants.kernel.numbers

    def close(shift: float) -> bool:
        vectors = (scores + np.array([0.0, shift, 0.0], np.float32)).reshape(1, 1, 1, 3)
        slate = np.empty((1, 1, 2), np.int64), np.empty((1, 1, 2), np.bool_), np.empty((1, 1), np.float32)
        marked = np.empty((1, 1), np.bool_)
        count = compiled("slate_kernels").slates(
            numbers, np.ones((1, 1, 1), np.float32), np.ones((1, 3), np.bool_), untargeted, untargeted, 1, key.numpy(),
            time.numpy(), 1, *users, vectors, np.arange(3).reshape(1, 1, 3), np.zeros(1, np.float32), *slate, marked)
        assert count == marked.sum()
        return bool(marked[0, 0])

    assert close(0.0)
    assert close(1e-6)
    assert not close(1e-3)


def test_slates_read_nothing_behind_an_odd_number_of_candidates() -> None:
    """Candidates are scored in pairs: what lies in memory behind the last must not count."""
    size, count, lanes = 4, 5, 6
    random = np.random.default_rng(0)
    table, taste = (random.normal(size=shape).astype(np.float32) for shape in ((size * count,), (1, lanes, size)))
    key, time = world_key(0, torch.arange(1)).numpy(), np.zeros(1, np.int32)
    untargeted, users = np.zeros((1, count), np.int64), (np.arange(lanes)[None], np.array([[0, lanes]]))
    numbers = town(num_segments=1, temperature=1.0).constants.kernel.numbers

    def log_propensity(behind: float) -> Any:
        memory = np.concatenate([table, np.full(count, behind, np.float32)])
        slate = np.empty((1, lanes, 3), np.int64), np.empty((1, lanes, 3), np.bool_), np.empty((1, lanes), np.float32)
        compiled("slate_kernels").slates(
            numbers, taste, np.ones((1, count), np.bool_), untargeted, untargeted, 1, key, time, 1, *users,
            memory[:size * count].reshape(1, 1, size, count), np.arange(count).reshape(1, 1, -1),
            np.zeros(1, np.float32), *slate, np.empty((1, lanes), np.bool_))
        return slate[2]

    assert (log_propensity(0.0) == log_propensity(3.0)).all()


REMEMBERING = {"user_sees": "history", "history_length": 3, "user_state": "none"}


@pytest.mark.parametrize(("preset", "changes"), [
    ("town", {}), ("town", REMEMBERING), ("town", {"embedding_size": 5, "num_topics": 3, "team": 0.5}),
    ("town", {"num_candidates": 8, "drift.noise": 0.0, "num_users": 300}), ("town", {"drift.rate": 0.0}),
    ("town", {"response_mode": "mean"}), ("town", {"boosts.levels": ()}), ("town", {"mood.return_rate": 0.0}),
    ("town", {"budgets": False}), ("town", {"mood.max": 4, "temperature": 1, "budgets.upkeep": 1}),
    ("contest", {}), ("viability", {}), ("kale", {}), ("kale-partial", {}), ("feed", {})])
def test_worlds_go_the_same_way(preset: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bit of states, steps and what both sides see, but log-propensities, which move nothing."""
    def played() -> list[Tensor]:
        market = find_preset(preset).market(**changes)
        state = market.reset(range(3), seed=4)
        found = []
        for step in range(40):
            state, happened = market.step(state, *random_actions(market, state, step))
            slate = replace(state.slate, items=state.slate.items * state.slate.valid,
                            log_propensity=torch.zeros(()))  # an empty slot's item means nothing
            seen = [replace(market.observe(state, side), ids=torch.zeros(())) for side in SIDES]
            records = replace(state, slate=slate), happened, *seen
            found += [tensor for record in records for tensor in record.tensors()]
        return found

    found, expected = played(), without(monkeypatch, played)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_forbidden_actions_become_nothing_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def played() -> list[Tensor]:
        market = town(budgets={"start": 1.0}, mood={"max": 1.0})
        state = market.reset(range(3))
        found = []
        for step in range(20):
            generator = torch.Generator().manual_seed(step)
            actions = [torch.randint(-2, market.specs[side].num_actions + 3, (3, market.specs[side].num_agents),
                                     generator=generator) for side in SIDES]
            state, happened = market.step(state, *actions)
            found += [happened.illegal_users, happened.illegal_items, happened.position, happened.cost]
        return found

    found, expected = played(), without(monkeypatch, played)
    assert sum(tensor.sum() for tensor in found[::4]) > 0
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_responses_that_rounding_could_change_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    market = town()
    state = market.reset(range(2))
    action = torch.ones(2, 64, dtype=torch.int64)
    respond, rest = dispatch.respond, torch.zeros(2, 32, dtype=torch.int64)

    def wrong(*arguments: Any) -> tuple[UserOutcome, list[list[int]]]:
        choice, _ = respond(*arguments)
        return (replace(choice, response=1.0 - choice.response),
                [[world, user] for world in range(2) for user in range(64)])

    expected = market.step(state, action, rest)[1].response
    monkeypatch.setattr(dispatch, "plays_at_once", lambda *_: False)
    monkeypatch.setattr(dispatch, "respond", wrong)
    assert torch.equal(market.step(state, action, rest)[1].response, expected)


def test_a_step_in_one_call_goes_on_once_torch_has_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """All responses of its first call are wrong, and said to be close."""
    market, loops, calls = town(history_length=2), compiled("step_kernels"), []
    play, state = loops.play, market.reset(range(2))
    action, rest = torch.randint(-1, 6, (2, 64), generator=torch.Generator().manual_seed(0)), torch.ones(2, 32).long()

    def wrong(*arguments: Any) -> int:
        result: int = play(*arguments)
        *_, happened, answered = arguments
        calls.append(answered)
        if answered:
            return result
        out = market.constants.kernel.step
        for name, value in (("response", 9.0), ("close", True)):
            out.table(name, Packed(out, 2, happened))[...] = value
        return 128

    expected = market.step(state, action, rest)
    monkeypatch.setattr(loops, "play", wrong)
    found = market.step(state, action, rest)
    assert calls == [False, True]
    for one, other in zip(found, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.tensors(), other.tensors(), strict=True))


def played(market: Market, worlds: list[int], steps: int) -> list[Tensor]:
    """All tables of states and steps."""
    state = market.reset(worlds, seed=4)
    found = []
    for step in range(steps):
        state, happened = market.step(state, *random_actions(market, state, step))
        found += [tensor for record in (state, happened) for tensor in record.tensors()]
    return found


@pytest.mark.parametrize(("preset", "changes"), [
    ("town", {}), ("town", {"team": 0.5, "history_length": 3}), ("town", {"mood.return_rate": 0.0, "mood.max": 1.0}),
    ("town", {"drift.rate": 0.0, "drift.noise": 0.0}), ("contest", {}), ("kale", {})])
def test_a_step_in_one_call_is_the_step_in_three(preset: str, changes: dict[str, Any],
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    market = find_preset(preset).market(**changes)
    found = played(market, [0, 1], 30)
    monkeypatch.setattr(dispatch, "plays_at_once", lambda *_: False)
    assert all(torch.equal(a, b) for a, b in zip(found, played(market, [0, 1], 30), strict=True))


@pytest.mark.parametrize("worlds", [1, 5])
def test_small_worlds_have_the_drift_that_they_have_among_others(worlds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """They get the noise of some steps at once; two futures of one state get the same."""
    market = town(num_users=40, horizon=25)
    nothing = torch.zeros(1 + worlds, 40, dtype=torch.int64), torch.zeros(1 + worlds, 32, dtype=torch.int64)
    few, more = market.reset(range(1, 1 + worlds)), market.reset(range(1 + worlds))
    for _ in range(30):
        first, again = (market.step(few, *(part[1:] for part in nothing))[0].user_vector for _ in range(2))
        assert torch.equal(first, again)
        few, _ = market.step(few, *(part[1:] for part in nothing))
        with monkeypatch.context() as patch:
            patch.setattr(dispatch, "_TOGETHER", 1)
            more, _ = market.step(more, *nothing)
        assert torch.equal(few.user_vector, more.user_vector[1:])
    assert "_drifts" in few.__dict__
    assert "_drifts" not in more.__dict__


@pytest.mark.parametrize(("preset", "changes"), [
    ("town", {}), ("town", {"num_users": 12, "num_items": 9}), ("town", {"num_users": 5, "num_items": 70}),
    ("town", REMEMBERING), ("kale", {}), ("contest", {})])
@pytest.mark.parametrize("steps", [0, 3])
def test_flat_views_in_one_call_are_the_flattened_views(preset: str, changes: dict[str, Any], steps: int) -> None:
    market = find_preset(preset).market(**changes)
    state = market.reset([0])
    for step in range(steps):
        state, _ = market.step(state, *random_actions(market, state, step))
    assert state.is_packed == (steps > 0)
    found = flat_sides(market.constants, state, [flat_shape(market.specs[side]) for side in SIDES])
    expected = [flatten(user_view(market.constants, state)), flatten(item_view(market.constants, state))]
    for flat, one in zip(found, expected, strict=True):
        for array, other in zip(flat, one, strict=True):
            assert array.dtype == other.dtype
            np.testing.assert_array_equal(array, other)


def test_loops_know_in_which_order_torch_adds_up_little() -> None:
    """If they did not, they would be right all the same, but no faster than torch."""
    kernel = town(num_users=12, num_items=9).constants.kernel
    assert kernel.knows_affinity == (table_operators.adds_up_in_order(1, 1, 1))
    assert not town().constants.kernel.knows_affinity  # 64 users are too many for torch's own loop
    values = torch.randn(2, 5, 37, generator=torch.Generator().manual_seed(0))
    sums = np.empty((2, 5), np.float32)
    compiled("observation_kernels").add_up(values.numpy(), sums)
    np.testing.assert_array_equal(sums, table_operators.sum_in_order(values).numpy())


def test_a_behaviour_of_its_own_is_asked_for_its_responses() -> None:
    """Of 64 users who all take the first item, the formula would have some not respond."""
    class Eager(SyntheticBehaviour):
        def response(self, state: State, items: Tensor, shift: Tensor) -> Tensor:
            return torch.ones_like(shift)

    def responses(kind: type[SyntheticBehaviour]) -> float:
        config = replace(find_preset("town").config, position_bias=0.0)
        market = Market(config, kind(TownPopulation(config)))
        _, happened = market.step(market.reset([0]), torch.ones(1, 64, dtype=torch.int64),
                                  torch.zeros(1, 32, dtype=torch.int64))
        return happened.response.sum().item()

    assert responses(Eager) == 64
    assert responses(SyntheticBehaviour) < 64


@pytest.mark.parametrize("shape", [(1, 1), (5, 7, 3), (300, 9)])
def test_the_best_is_what_argmax_gives(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(-3, 3, shape, generator=generator).float()  # many are equal
    mask = torch.rand(shape, generator=generator) < 0.7
    mask[..., 0] = True
    values[..., -1] = torch.where(torch.rand(shape[:-1], generator=generator) < 0.2, torch.nan, values[..., -1])
    assert torch.equal(kernels.best(values, mask), values.masked_fill(~mask, -torch.inf).argmax(-1))


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


def test_torch_keeps_its_threads_and_a_forked_process_does_without_kernels() -> None:
    """In a process of its own, for numba starts its threads once.

    Vector environments of Gymnasium fork it so; OpenMP ends a child that uses the threads of its parent.
    """
    found = subprocess.run([sys.executable, "-c", """
import os
import torch
from interplay.envs.presets import find_preset
torch.set_num_threads(1)
market = find_preset("town").market()
state = market.reset([0])
market.observe(state, "users")
print(torch.get_num_threads(), end=" ")
actions = torch.ones(1, 64, dtype=torch.int64), torch.zeros(1, 32, dtype=torch.int64)
child = os.fork()
earned = market.step(state, *actions)[1].user_reward.sum().item()
if child == 0:
    os._exit(int(earned))
print(int(earned), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""], capture_output=True, text=True, check=True, timeout=100, env={**os.environ, "NUMBA_NUM_THREADS": "2"})
    threads, parent, forked = found.stdout.split()
    assert threads == "1"
    assert parent == forked != "0"


@pytest.mark.parametrize("shape", [(1, 1), (5, 7, 3), (2, 150, 9), (1, 700, 4)])
@pytest.mark.parametrize("offset", [0, 77, (1 << 31) - 2])
def test_any_of_is_the_same(shape: tuple[int, ...], offset: int, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.4
    mask[..., 0] |= ~mask.any(-1)
    draw = (world_key(5, torch.arange(shape[0])), 7, Stream.EXPLORE, mask, offset)
    place = any_of(*draw)
    assert torch.equal(place, without(monkeypatch, any_of, *draw))
    assert mask.gather(-1, place.unsqueeze(-1)).all()


def test_compiled_loops_are_kept_by_a_hash_of_all_sources(tmp_path):
    """Numba compares only the file of a loop: what it calls in other files would stay as it was compiled."""
    jit = compiled("jit")
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("x = 1\n", encoding="utf-8")
    before = jit.version(tmp_path)
    jit.version.cache_clear()
    assert jit.version(tmp_path) == before
    (tmp_path / "b.py").write_text("x = 2\n", encoding="utf-8")
    jit.version.cache_clear()
    assert jit.version(tmp_path) != before
    for loop in (compiled("noise_kernels").uniform, compiled("step_kernels").play):
        assert loop.py_func.__qualname__.endswith(f"_{jit.version()}")
