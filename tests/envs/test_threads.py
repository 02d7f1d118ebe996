"""A market takes no thread that nobody gave it, and leaves torch as many as it had."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from interplay.envs import dispatch, market_v0
from interplay.envs.noise import polar
from interplay.envs.presets import find_preset
from interplay.envs.recommend_v0 import RecommendVectorEnv
from interplay.envs.threads import on_own_threads, set_num_threads
from refusals import refused


@pytest.fixture(autouse=True)
def torch_has_two() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
    set_num_threads(1)


@on_own_threads()
def inside() -> int:
    return torch.get_num_threads()


@pytest.mark.parametrize("given", [1, 2, 3])
def test_torch_gets_the_threads_of_the_market(given: int) -> None:
    set_num_threads(given)
    assert inside() == given
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("numbers", "expected"), [(1_000, 1), (1_000_000, 3)])
def test_torch_gets_one_thread_where_a_second_one_would_come_too_late(numbers: int, expected: int) -> None:
    @on_own_threads(lambda size: size)
    def inside_of(size: int) -> int:
        return torch.get_num_threads()

    set_num_threads(3)
    assert inside_of(numbers) == expected
    assert torch.get_num_threads() == 2


def test_torch_gets_its_threads_back_after_an_error() -> None:
    @on_own_threads()
    def fail() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.get_num_threads() == 2


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of threads of torch while observations and slates are made."""
    found: list[int] = []

    def noted(name: str) -> None:
        module, _, function = name.rpartition(".")
        original = getattr(sys.modules[module], function)

        def call(*arguments: object) -> object:
            found.append(torch.get_num_threads())
            return original(*arguments)

        monkeypatch.setattr(name, call)

    for name in ("market.observe_users", "market.observe_items", "market.build_slates", "market_v0.flat_sides",
                 "recommend_vector.user_view"):
        noted(f"interplay.envs.{name}")
    return found


def test_a_market_and_its_facades_work_on_one_thread(seen: list[int]) -> None:
    market = find_preset("kale").market()
    state = market.reset([0])
    market.observe(state, "users")
    market.step(state, torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, 4, dtype=torch.int64))
    env = market_v0.parallel_env("kale")
    env.reset(seed=0)
    env.step(dict.fromkeys(env.agents, 0))
    vector = RecommendVectorEnv(2, "kale")
    vector.reset(seed=0)
    vector.step(np.zeros(2, np.int64))
    assert len(seen) > 10
    assert set(seen) == {1}
    assert torch.get_num_threads() == 2


def test_small_worlds_stay_on_one_thread_and_large_ones_do_not(seen: list[int]) -> None:
    set_num_threads(2)
    for num_worlds, expected in ((1, 1), (70_000, 2)):
        market = find_preset("kale").market()
        state = market.reset(range(num_worlds))
        seen.clear()
        market.observe(state, "users")
        assert set(seen) == {expected}
    env = market_v0.parallel_env("kale")
    env.reset(seed=0)
    seen.clear()
    env.step(dict.fromkeys(env.agents, 0))
    vector = RecommendVectorEnv(2, "kale")
    vector.reset(seed=0)
    vector.step(np.zeros(2, np.int64))
    assert set(seen) == {1, 2}  # a reset is rare: it has all threads


def test_a_step_by_loops_leaves_torch_one_thread_but_for_the_noise_of_drift(seen: list[int],
                                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread that torch wakes for a small table costs more than it brings."""
    pytest.importorskip("numba")
    drawing: list[int] = []

    def noted(*arguments: Any) -> Any:
        drawing.append(torch.get_num_threads())
        return polar(*arguments)

    monkeypatch.setattr(dispatch, "polar", noted)
    market = find_preset("town").market(num_users=20_000, num_items=50)
    state = market.reset([0])
    set_num_threads(2)
    seen.clear()
    market.step(state, torch.zeros(1, 20_000, dtype=torch.int64), torch.zeros(1, 50, dtype=torch.int64))
    assert seen == [1]
    assert drawing == [2]


@pytest.mark.parametrize("count", [0, -1, 1.5, None, True])
def test_a_number_of_threads_is_at_least_one(count: object) -> None:
    with refused("count", count, fix=1):
        set_num_threads(count)  # type: ignore[arg-type]


def test_threads_of_the_command_line_sleep_while_they_wait() -> None:
    """Threads that spin are many times slower than threads that sleep where other programs run."""
    code = "import sys; from interplay.experiments.cli.entry import main; sys.exit(main(['presets']))"
    plain = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    plain["OMP_DISPLAY_ENV"] = "VERBOSE"
    done = subprocess.run([sys.executable, "-c", code], env=plain, capture_output=True, text=True, check=True)
    assert "GOMP_SPINCOUNT = '0'" in done.stderr
