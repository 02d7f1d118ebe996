"""Bad calls of the two environments of other frameworks: PettingZoo's and Gymnasium's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
import torch

from interplay.envs import market_v0
from interplay.envs.recommend_v0 import RecommendEnv, RecommendVectorEnv

Call = tuple[str, Callable[[], Any]]

_SEEDS: tuple[Any, ...] = (1.7, math.nan, "x", -1, True, [1], np.zeros(2))
_ACTIONS: tuple[Any, ...] = (1.5, math.nan, "x", True, [1], np.zeros(3, np.int64), np.float32(1.0), torch.zeros(1),
                             {"a": 1})
_PRESETS: tuple[Any, ...] = (None, "", ":", "os:path", "no-such", "../../x:Y", 3)


def market_env_calls() -> Iterator[Call]:
    """Of ``market_v0``."""
    bad: dict[str, tuple[Any, ...]] = {
        "max_cycles": (math.nan, 0, -1, 1.5, "x", True, math.inf), "deaths": ("no", None, 1, math.nan),
        "action_mask": (None, "infos", 1, True), "render_mode": ("rgb", 1, True, ""), "market": ("kale", 3),
        "num_users": (None, 1.5, 0, "x", True), "nope": (1,), "boosts": ({"levels": (0.5,)}, {"levels": [2.0]}, 2.0)}
    for name, values in bad.items():
        for value in values:
            yield f"market_v0.parallel_env({name}={value!r})", _made(market_v0.parallel_env, **{name: value})
    for value in _PRESETS:
        yield f"market_v0.parallel_env({value!r})", _made(market_v0.parallel_env, value)
    for value in _SEEDS:
        yield f"market_v0 reset(seed={value!r})", _market_reset(value)
    for value in _ACTIONS:
        yield f"market_v0 step(user_0: {value!r})", _market_step({"user_0": value})
    for value in (None, 3, [0, 0], {"unknown": 0}, {3: 0}):
        yield f"market_v0 step({value!r})", _market_step(value)
    yield "market_v0 step() before reset", lambda: _market().step({})
    yield "market_v0 state() before reset", lambda: _market().state()


def recommend_env_calls() -> Iterator[Call]:
    """Of ``recommend_v0``."""
    bad: dict[str, tuple[Any, ...]] = {"others": (None, "all", 1), "items": (None, "all", True),
                                       "render_mode": ("rgb", 1, True), "num_items": (None, 1.5), "nope": (1,),
                                       "market": ("kale",)}
    for name, values in bad.items():
        for value in values:
            yield f"RecommendEnv({name}={value!r})", _made(RecommendEnv, **{name: value})
    for value in _PRESETS[:5]:
        yield f"RecommendEnv({value!r})", _made(RecommendEnv, value)
    for value in (0, -1, 1.5, None, "x", True, math.nan):
        yield f"RecommendVectorEnv(num_envs={value!r})", _made(RecommendVectorEnv, value, "kale")
    for value in _SEEDS:
        yield f"RecommendEnv reset(seed={value!r})", _made(_recommend_reset, value)
    for value in _ACTIONS:
        yield f"RecommendEnv step({value!r})", _recommend_step(value)
    for value in (None, 1, [0], [0.0, 1.0], np.zeros((2, 2), np.int64), torch.zeros(2), [True, False], "ab"):
        yield f"RecommendVectorEnv step({value!r})", _vector_step(value)
    yield "RecommendEnv step() before reset", lambda: RecommendEnv("kale").step(0)
    yield "gymnasium.make(nope=1)", lambda: gymnasium.make("interplay/Recommend-v0", nope=1)


def _made(kind: Callable[..., Any], *given: Any, **named: Any) -> Callable[[], Any]:
    def call() -> Any:
        return kind(*given, **named)

    return call


def _market() -> Any:
    return market_v0.parallel_env("kale")


def _recommend_reset(seed: Any) -> Any:
    return RecommendEnv("kale").reset(seed=seed)


def _market_reset(seed: Any) -> Callable[[], Any]:
    def call() -> Any:
        return _market().reset(seed=seed)

    return call


def _market_step(actions: Any) -> Callable[[], Any]:
    def call() -> Any:
        env = _market()
        env.reset(seed=0)
        return env.step(actions)

    return call


def _recommend_step(action: Any) -> Callable[[], Any]:
    def call() -> Any:
        env = RecommendEnv("kale")
        env.reset(seed=0)
        return env.step(action)

    return call


def _vector_step(actions: Any) -> Callable[[], Any]:
    def call() -> Any:
        env = RecommendVectorEnv(2, "kale")
        env.reset(seed=0)
        return env.step(actions)

    return call
