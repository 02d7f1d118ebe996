"""Part "calls": calls of the Python API with bad arguments, each of which must be refused in one line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from random import Random
from typing import Any, get_args, get_origin, get_type_hints

import gymnasium
import numpy as np
import torch

from interplay.agents import agents
from interplay.envs.config import MarketConfig
from interplay.envs.market import Market
from interplay.envs.presets import find_preset
from interplay.envs.types import InterplayError
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.representation.settings import PretrainSettings
from interplay.experiments.studies.faults.calls_envs import market_env_calls, recommend_env_calls
from interplay.experiments.studies.faults.rows import Row, judged, message_problems

PART = "calls"

Call = tuple[str, Callable[[], Any]]

_ODD: dict[type, tuple[Any, ...]] = {int: (None, 1.7, math.nan, "3", -1, True), bool: (None, "no", 2),
                                    float: (None, "x", math.nan, math.inf), str: (None, "no-such", 1),
                                    tuple: (None, 2.0, (math.nan,), ("x",))}
"""Bad values of options, by the type of the default."""


def bad_calls(count: int, draws: Random, place: Path) -> list[Row]:
    """Make ``count`` bad calls: of the environments, the market, its config, agents' options and settings."""
    groups = [list(market_env_calls()), list(recommend_env_calls()), list(_market_calls()), list(_config_calls()),
              list(_agent_calls()), list(_setting_calls(place))]
    shares = (45, 40, 35, 15, 20, 10)  # of 165
    calls = [call for group, share in zip(groups, shares, strict=True)
             for call in draws.sample(group, min(len(group), round(count * share / sum(shares))))]
    return [judged(PART, name, _problems(call)) for name, call in calls]


def _problems(call: Callable[[], Any]) -> list[str]:
    try:
        found = call()
    except InterplayError as error:
        return message_problems(str(error))
    except gymnasium.error.Error:  # the framework's own
        return []
    except Exception as error:
        return [f"{type(error).__name__} instead of InterplayError: {error}"]
    return [f"accepted, gave {type(found).__name__}"]


def _shown(value: Any) -> str:
    return f"{type(value).__name__}{tuple(value.shape)}" if hasattr(value, "shape") else repr(value)


def _config_calls() -> Iterator[Call]:
    for field in fields(MarketConfig):
        for value in _ODD[type(field.default)]:
            yield f"MarketConfig({field.name}={value!r})", _bound(MarketConfig, **{field.name: value})


def _market_calls() -> Iterator[Call]:
    market = find_preset("town").market("cpu", num_users=3, num_items=8)
    config, behaviour, state = market.config, market.behaviour, market.reset([0, 1])
    users, items = torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 8, dtype=torch.int64)
    worlds: list[Any] = [None, [], 3, "x", [[0, 1]], [0.5], torch.tensor([0.5]), [None], [True], np.zeros((2, 2))]
    for value in worlds:
        yield f"Market.reset({_shown(value)})", _bound(market.reset, value)
    for value in (None, 1.7, "x", math.nan, True):
        yield f"Market.reset([0], seed={value!r})", _bound(market.reset, [0], value)
    actions: list[Any] = [None, users.float(), users.bool(), users.numpy(), users[0], users.tolist(), 0,
                          torch.zeros(2, 5, dtype=torch.int64), users.to(torch.complex64)]
    for value in actions:
        yield f"Market.step(users={_shown(value)})", _bound(market.step, state, value, items)
    for value in (None, items.float(), items.bool(), items.numpy(), items[:, :2]):
        yield f"Market.step(items={_shown(value)})", _bound(market.step, state, users, value)
    yield "Market.step(state=None)", _bound(market.step, None, users, items)
    for value in ("user", "", 0):
        yield f"Market.observe(side={value!r})", _bound(market.observe, state, value)
    for value in (None, torch.zeros(2, 3, 2), torch.zeros(2, 3, 3, dtype=torch.int64), np.zeros((2, 3, 2), np.int64)):
        yield f"Market.offer({_shown(value)})", _bound(market.offer, state, value)
    for value in ("cuda", "tpu", None, 3, "cuda:99"):
        if not (torch.cuda.is_available() and value == "cuda"):
            yield f"Market(device={value!r})", _bound(Market, config, behaviour, value)
    yield "Market(config=None)", _bound(Market, None, behaviour)
    yield "Market(behaviour=None)", _bound(Market, config, None)
    for name in (None, "", ":", "os:path", "../../x:Y", 3):
        yield f"find_preset({name!r})", _bound(find_preset, name)


def _agent_calls() -> Iterator[Call]:
    """Options of all agents, with values that are bad for their types."""
    for kind in {agent.Options: agent for agent in agents().values()}:
        for field in fields(kind):
            for value in _ODD[type(field.default)]:
                yield f"{kind.__name__}({field.name}={value!r})", _bound(kind, **{field.name: value})


def _setting_calls(place: Path) -> Iterator[Call]:
    """Settings as the commands check them."""
    for kind, whole in ((TrainSettings, TrainSettings()), (PretrainSettings, PretrainSettings(log=place / "no.csv"))):
        for field in fields(kind):
            hint = get_type_hints(kind)[field.name]
            bad: tuple[Any, ...] = ()
            if hint is int:
                bad = (1.7, math.nan)
            elif hint is float:
                bad = (math.nan, "x")
            elif get_origin(hint) is not None and set(get_args(hint)) == {int, type(None)}:
                bad = (1.7, True)
            for value in bad:
                yield f"{kind.__name__}({field.name}={value!r}).check()", _checked(whole, field.name, value)


def _checked(whole: Any, name: str, value: Any) -> Callable[[], Any]:
    def call() -> Any:
        return replace(whole, **{name: value}).check()

    return call


def _bound(function: Callable[..., Any], *given: Any, **named: Any) -> Callable[[], Any]:
    def call() -> Any:
        return function(*given, **named)

    return call
