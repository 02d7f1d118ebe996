"""Bad arguments of the Python API: each ends in one clear line that is an ``InterplayError``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from interplay.agents import Setting, find_agent
from interplay.envs import market_v0
from interplay.envs.behaviour.synthetic import GivenPopulation, SyntheticBehaviour, TownPopulation
from interplay.envs.config import MarketConfig
from interplay.envs.market import Market
from interplay.envs.mechanisms.boosts import Boosts
from interplay.envs.mechanisms.mood import Mood
from interplay.envs.presets import Preset, Training, find_preset
from interplay.envs.recommend_v0 import RecommendEnv, RecommendVectorEnv
from interplay.experiments.benchmark.command import BenchmarkSettings
from interplay.experiments.common.options import make_options
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.fidelity.command import fidelity
from interplay.experiments.fidelity.settings import FidelitySettings
from interplay.experiments.offpolicy.command import OpeSettings, ope
from interplay.experiments.representation.recipe import Recipe
from interplay.experiments.studies.speed.command import BenchSettings
from refusals import refused

NAN, INF = float("nan"), float("inf")
Calls = dict[str, Callable[[], Any]]
KALE = find_preset("kale")
MARKET = KALE.market()
STATE = MARKET.reset([0, 1])
USERS, ITEMS = torch.zeros(2, 1, dtype=torch.int64), torch.zeros(2, 4, dtype=torch.int64)
SLOTS = torch.zeros(2, 1, 4, dtype=torch.int64)

CONFIG = [
    ("num_users", 6.5), ("num_users", "6"), ("num_users", None), ("num_users", True), ("num_users", -1),
    ("num_users", 2**40), ("num_users", np.int64(3)), ("num_users", [1]), ("num_items", NAN), ("slate_size", 2.0),
    ("embedding_size", 0), ("num_topics", 1.5), ("num_segments", False), ("num_user_features", 1.0), ("horizon", INF),
    ("horizon", torch.tensor(3)), ("num_candidates", 6.5), ("history_length", -1), ("boosts.levels", 3.0),
    ("boosts.levels", None), ("boosts.levels", [2.0]), ("boosts.levels", (NAN,)), ("boosts.levels", (2.0, True)),
    ("boosts.levels", "2"), ("boosts.cost", NAN), ("boosts.cost", "free"), ("slate_order", None), ("slate_order", 1),
    ("response_mode", "means"), ("temperature", 0), ("temperature", INF), ("position_bias", -1.0),
    ("satiation.gain", 1e300), ("mood.weight", True), ("drift.rate", 1.01), ("drift.noise", torch.tensor(1.0)),
    ("mood.leaving", "no"), ("mood.leaving", 0), ("mood.leaving", None), ("budgets", "yes"), ("budgets", np.True_),
    ("budgets.start", -INF), ("budgets.upkeep", [0.1]), ("team", None), ("team", NAN), ("team", 2),
    ("mood.return_rate", "0.1"),
    ("num_users", {}), ("mechanisms", {}), ("crowding.fees", ()), ("investing.fees", ()), ("visits.steps", ()),
    ("programmes.intensities", ()), ("coaching.spread", 11.0), ("visits.hazard", ()),
    ("user_sees", "all"), ("user_state", ("own",)), ("item_state", True), ("wearout.decay", 10**400),
]

SEEDS = (1.7, "1", True, torch.tensor(True), np.True_, -1, NAN, np.float64(2), [1], torch.tensor(1.0), np.array([1, 2]))
COUNTS = (0, -1, 1.5, "2", True, NAN, INF, [2])
ACTIONS: dict[str, Any] = {
    "None": None, "float": USERS.float(), "bool": USERS.bool(), "int32": USERS.int(), "numpy": USERS.numpy(),
    "list": USERS.tolist(), "number": 1, "another shape": USERS[0], "meta": USERS.to("meta"), "text": "1"}


def training() -> Calls:
    values: list[tuple[str, Any]] = [
        ("num_worlds", 0), ("num_worlds", 2.5), ("episodes", None), ("episodes", True), ("eval_worlds", "64"),
        ("discount", NAN), ("discount", 1.5), ("side", "user"), ("others", None), ("measure", 3), ("options", []),
        ("options", None)]
    return {f"Training({k}={v!r})": lambda k=k, v=v: Training(**{k: v}) for k, v in values}


def core() -> Calls:
    calls: Calls = {}
    for name, action in ACTIONS.items():
        calls[f"step with users' actions {name}"] = lambda a=action: MARKET.step(STATE, a, ITEMS)
        calls[f"step with items' actions {name}"] = lambda a=action: MARKET.step(STATE, USERS, a)
        calls[f"offer with slots {name}"] = lambda a=action: MARKET.offer(STATE, a)
    for seed in (*(each for each in SEEDS if not isinstance(each, list)), [], [-1], None):  # several seeds are fine
        calls[f"reset with seed {seed!r}"] = lambda s=seed: MARKET.reset([0], s)
    for worlds in (None, 3, np.array(3), [torch.tensor(True)], "ab",
                   [], [0.5], [True], [-1], [2**40], ["0"], [[0, 1]], np.zeros(2), torch.zeros(2),
                   torch.zeros(2, 2, dtype=torch.int64), torch.ones(2, dtype=torch.bool)):
        calls[f"reset of worlds {worlds!r}"] = lambda w=worlds: MARKET.reset(w)
    for side in ("user", None, 0, ["users"]):
        if side is not None:
            calls[f"observe side {side!r}"] = lambda s=side: MARKET.observe(STATE, s)
        calls[f"spec of side {side!r}"] = lambda s=side: MARKET.spec_of(s)
    sizes = ("num_users", "num_items", "embedding_size", "num_topics")
    like_kale = {size: getattr(KALE.config, size) for size in sizes}
    others = {f"state of another {size}": find_preset("town").market(**like_kale | {size: 5}).reset([0, 1])
              for size in like_kale}
    for name, state in {"None": None, "a tensor": STATE["mood"], "{}": {}, **others}.items():
        calls[f"step from {name}"] = lambda s=state: MARKET.step(s, USERS, ITEMS)
        calls[f"observe {name}"] = lambda s=state: MARKET.observe(s, "users")
        calls[f"boosts of {name}"] = lambda s=state: MARKET.boosts(s)
    for chance in (1.0, torch.zeros(2, 1, dtype=torch.float64), torch.zeros(2), np.zeros((2, 1), np.float32)):
        calls[f"offer with log_propensity {chance!r}"] = lambda c=chance: MARKET.offer(STATE, SLOTS, c)
    for users in (None, [0], torch.zeros(1), torch.zeros(1, 1, dtype=torch.int64), torch.tensor([1]),
                  torch.tensor([-1])):
        calls[f"observe_all of {users!r}"] = lambda u=users: MARKET.observe_all(STATE, u)
    calls["observe with expected 1"] = lambda: MARKET.observe(STATE, "users", 1)  # type: ignore[arg-type]
    return calls


def makers() -> Calls:
    calls: Calls = {f"a market with {k}={v!r:.40}": lambda k=k, v=v: KALE.config.changed("market", {k: v})
                    for k, v in CONFIG}
    devices = ["gpu0", "", None, 0, "cuda:99", *([] if torch.cuda.is_available() else ["cuda"])]
    calls |= {f"device {device!r}": lambda d=device: KALE.market(d) for device in devices}
    names = (None, 3, "nowhere", "os:path", [], 500 * "x")
    calls |= {f"preset {preset!r}": lambda p=preset: find_preset(p) for preset in names}
    calls["Market(None)"] = lambda: Market(None, MARKET.behaviour)  # type: ignore[arg-type]
    calls["Market(behaviour=None)"] = lambda: Market(MARKET.config, None)  # type: ignore[arg-type]
    for name in ("spread", "taste_scale", "sweetness"):
        for value in (None, "1", NAN, True, torch.tensor(1.0)):
            given = {name: value}
            calls[f"TownPopulation({name}={value!r})"] = lambda g=given: TownPopulation(MarketConfig(), **g)
    calls["TownPopulation(None)"] = lambda: TownPopulation(None)  # type: ignore[arg-type]
    calls["SyntheticBehaviour(3)"] = lambda: SyntheticBehaviour(3)  # type: ignore[arg-type]
    rows: list[tuple[str, Any]] = [("appeal", [0.0, INF]), ("user_vector", [[NAN]]), ("segment", [0.5]),
                                   ("segment", [-1]), ("topics", [[1.0], [1e300]]), ("mood_effect", [0.5])]
    for name, value in rows:
        given = {"appeal": [0.0, 0.0], name: value}
        calls[f"GivenPopulation({name}={value})"] = lambda g=given: GivenPopulation(**g)
    two = SyntheticBehaviour(GivenPopulation(appeal=[0.0] * 4, user_vector=[[1.0], [1.0]], segment=[0, 1]))
    calls["users in a segment too many"] = lambda: Market(KALE.config.changed("x", {"num_users": 2}), two).reset([0])
    calls["Preset(seeds=0)"] = lambda: Preset("x", KALE.config, KALE.behaviour, KALE.training, "", seeds=0)
    calls["Preset(config=None)"] = lambda: Preset("x", None, KALE.behaviour, KALE.training, "")  # type: ignore[arg-type]
    calls["market(horizons=3)"] = lambda: KALE.market(horizons=3)
    return calls


def facades() -> Calls:
    calls: Calls = {}
    kinds: dict[str, Any] = {"parallel_env": market_v0.parallel_env, "env": market_v0.env, "RecommendEnv": RecommendEnv,
                             "RecommendVectorEnv": lambda *given, **named: RecommendVectorEnv(2, *given, **named)}
    shared: list[tuple[str, Any]] = [("preset", None), ("preset", 3), ("preset", "nowhere"), ("market", "kale"),
                                     ("render_mode", "pictures"), ("render_mode", 3), ("horizon", 2.5), ("team", NAN)]
    own: dict[str, list[tuple[str, Any]]] = {
        "parallel_env": [("deaths", "no"), ("deaths", 1), ("deaths", None), ("action_mask", True),
                         ("action_mask", None), ("action_mask", ["obs"]), *(("max_cycles", n) for n in COUNTS)],
        "RecommendEnv": [("others", None), ("items", 1)], "env": [("deaths", "no")],
        "RecommendVectorEnv": [("others", "last"), ("autoreset_mode", "Never"), ("autoreset_mode", None)]}
    for kind, make in kinds.items():
        for name, value in shared + own[kind]:
            given = {"preset": "kale"} | {name: value} if name != "market" else {name: value}
            calls[f"{kind}({name}={value!r})"] = lambda m=make, g=given: m(**g)
        for seed in SEEDS:
            calls[f"{kind}: reset(seed={seed!r})"] = lambda m=make, s=seed: m("kale").reset(seed=s)
    calls |= {f"num_envs={n!r}": lambda n=n: RecommendVectorEnv(n, "kale") for n in (*COUNTS, None)}
    return calls | plays()


def begun(env: Any) -> Any:
    env.reset(seed=0)
    return env


def plays() -> Calls:
    calls: Calls = {}
    for actions in (None, [0, 1], 3, "user_0", {"user_9": 0}, {0: 0}, {"user_0": 1.0}, {"user_0": "1"},
                    {"user_0": NAN}, {"user_0": [1]}, {"user_0": np.zeros(2)}, {"user_0": torch.tensor(True)}):
        calls[f"parallel step({actions!r})"] = lambda a=actions: begun(market_v0.parallel_env("kale")).step(a)
    for action in (None, 1.0, "1", NAN, [1], np.array([1])):
        calls[f"RecommendEnv step({action!r})"] = lambda a=action: begun(RecommendEnv("kale")).step(a)
    for batch in (None, 0, [0], [0.0, 1.0], [True, False], ["0", "1"], np.zeros((2, 1), np.int64)):
        calls[f"vector step({batch!r})"] = lambda b=batch: begun(RecommendVectorEnv(2, "kale")).step(b)
    for mask in (None, [True, False], np.zeros(2, np.bool_), np.ones(3, np.bool_), np.ones(2, np.int64)):
        options = {"reset_mask": mask}
        calls[f"reset_mask={mask!r}"] = lambda o=options: begun(RecommendVectorEnv(2, "kale")).reset(options=o)
    for agent in ("user_9", 3, None, []):
        calls[f"observation_space({agent!r})"] = lambda a=agent: market_v0.parallel_env("kale").observation_space(a)
        calls[f"action_space({agent!r})"] = lambda a=agent: market_v0.parallel_env("kale").action_space(a)
    for kind in (market_v0.parallel_env, RecommendEnv, lambda name: RecommendVectorEnv(1, name)):
        env: Any = kind("kale")
        calls[f"{env} step before reset"] = lambda e=env: e.step({} if e is not None else None)
        calls[f"{env} reset(options=3)"] = lambda k=kind: k("kale").reset(options=3)
    return calls


def agents() -> Calls:
    calls: Calls = {}
    options: list[tuple[str, str, Any]] = [
        ("dqn", "hidden", 6.5), ("dqn", "hidden", None), ("dqn", "hidden", True), ("dqn", "learning_rate", NAN),
        ("dqn", "learning_rate", "fast"), ("dqn", "double", "no"), ("dqn", "double", 1), ("dqn", "sharing", None),
        ("dqn", "epsilon_end", NAN), ("dqn", "target_rate", INF), ("ippo", "clip", None), ("ippo", "encoder", 3),
        ("ippo", "max_norm", INF), ("pqn", "rollout_length", 2.0), ("linucb", "alpha", "1"),
        ("linear-thompson", "ridge", NAN), ("beta-bernoulli", "shared", 1), ("conditional-logit", "temperature", 0),
        ("q-learning", "rate_power", NAN), ("q-learning", "num_kinds", [3]), ("slateq", "optimiser", None),
        ("shared-critic", "mixing", 1), ("shared-critic", "response_weight", INF),
        ("matrix-factorisation", "size", "8"), ("mappo", "num_epochs", False)]
    for name, option, value in options:
        kind = find_agent(name).Options
        calls[f"{name} {option}={value!r}"] = lambda k=kind, o=option, v=value: k(**{o: v})
        calls[f"--user-option of {name} {option}={value!r}"] = (
            lambda k=kind, o=option, v=value: make_options(k, {o: v}, "agent"))
    dqn: Any = find_agent("dqn")
    for field, value in (("seed", 1.7), ("seed", "0"), ("device", "cpu"), ("total_steps", None), ("discount", NAN)):
        setting = Setting(**{field: value})  # type: ignore[arg-type]
        calls[f"Setting({field}={value!r})"] = lambda s=setting: dqn(MARKET.specs["users"], s)
    calls["options of another agent"] = lambda: dqn(MARKET.specs["users"], Setting(), find_agent("ippo").Options())
    return calls


def settings() -> Calls:
    train: list[tuple[str, Any]] = [
        ("seed", 1.7), ("seed", None), ("seed", "0"), ("episodes", 2.5), ("num_worlds", "4"), ("eval_worlds", True),
        ("discount", NAN), ("device", "gpu"), ("threads", None), ("log_dir", "runs"), ("market", "a=1"), ("users", 3),
        ("reward_range", (0.0, INF)), ("reward_range", (0.0,)), ("held_out", "some"), ("k_core", 1.0), ("split", None)]
    calls: Calls = {f"train {k}={v!r}": lambda k=k, v=v: TrainSettings(**{k: v}).check() for k, v in train}
    fit: list[tuple[str, Any]] = [("learning_rate", NAN), ("epochs", 1.5), ("task", None), ("side_features", 1)]
    calls |= {f"pretrain {k}={v!r}": lambda k=k, v=v: Recipe(**{k: v}).check() for k, v in fit}
    some: list[tuple[str, Any]] = [("scale", NAN), ("seeds", 2.0), ("presets", "kale"), ("quick", 1), ("out", "x")]
    calls |= {f"benchmark {k}={v!r}": lambda k=k, v=v: BenchmarkSettings(**{k: v}).checked() for k, v in some}
    speed: list[tuple[str, Any]] = [("threads", 1), ("seconds", INF), ("repeats", None)]
    calls |= {f"bench {k}={v!r}": lambda k=k, v=v: BenchSettings(**{k: v}).check() for k, v in speed}
    calls["ope folds=2.5"] = lambda: ope(OpeSettings(path=Path("x.csv"), folds=2.5))  # type: ignore[arg-type]
    calls["fidelity log=3"] = lambda: fidelity(FidelitySettings(log=3))  # type: ignore[arg-type]
    return calls


CALLS: Calls = {**training(), **core(), **makers(), **facades(), **agents(), **settings()}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing may be written here."""
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", CALLS)
def test_bad_arguments_end_in_one_clear_line(name: str) -> None:
    with refused():
        CALLS[name]()


def test_there_are_many() -> None:
    assert len(CALLS) >= 165


def test_good_arguments_of_every_kind_pass() -> None:
    """Checks that refused everything would pass the table above."""
    config = MarketConfig(num_users=3, team=1, slate_order="ranked",
                          mechanisms=(Boosts(levels=(2, 4.5)), Mood(leaving=True)))
    assert config.team == 1
    assert MARKET.reset(np.array([3, 4]), np.int64(5))["mood"].shape == (2, 1)
    assert MARKET.reset(torch.tensor([3], dtype=torch.int32))["mood"].shape == (1, 1)
    assert MARKET.step(STATE, USERS, ITEMS)[1].position.shape == (2, 1)
    assert begun(market_v0.parallel_env("kale", max_cycles=np.int64(3), deaths=True)).max_cycles == 3
    assert begun(gymnasium.make_vec("interplay/Recommend-v0", np.int64(2), preset=KALE)).num_envs == 2
    TrainSettings(seed=3, reward_range=(0, 1.5), log=Path("x.csv"), users="dqn,hidden=3").check()
    assert find_agent("dqn").Options(learning_rate=1, hidden=3).hidden == 3
