"""Slates that a market exported, evaluated for other platforms: exact answers, and those of play."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
import torch

from interplay.agents import Agent, Offer, Setting, find_agent
from interplay.agents.parts.choosing import any_slate
from interplay.envs.behaviour.logged import LoggedBehaviour, logged_market_config
from interplay.envs.data import make_log
from interplay.envs.market import Market
from interplay.envs.presets import find_preset
from interplay.envs.types import Observation
from interplay.experiments.cli.main import main
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.evaluate.export import Recorder
from interplay.experiments.loop.players import Players
from interplay.experiments.offpolicy.exported import SlateLog, evaluate_slates, read_slates, uniform_slates
from interplay.experiments.offpolicy.replay import replayed
from refusals import assert_said, refused

# What users were shown before changes nothing: so what a platform earns in play is what its slates earn anywhere.
STATELESS: dict[str, object] = {"satiation.weight": 0.0, "mood.weight": 0.0, "wearout.weight": 0.0, "drift.rate": 0.0,
                                "drift.noise": 0.0, "mood.leaving": False, "budgets": False}


def town(**changes: object) -> Market:
    return find_preset("town").market(torch.device("cpu"), **{"horizon": 10, "num_users": 9, "num_items": 7} | changes)


def players_of(market: Market, users: str = "first", items: str = "rest", platform: str | None = None) -> Players:
    names = {"users": users, "items": items} | ({} if platform is None else {"platform": platform})
    return Players({side: find_agent(name)(market.spec_of(side), Setting(0, market.device))  # type: ignore
                 for side, name in names.items()})


def exported(folder: Path, market: Market, worlds: int = 3, **names: str) -> SlateLog:
    recorder, path = Recorder(market), folder / "a.market.parquet"
    evaluate(market, players_of(market, **names), worlds, recorder)
    recorder.write(path)
    return read_slates(path)


def earned(market: Market, worlds: int, platform: str) -> float:
    """For each user and step, in play."""
    total = evaluate(market, players_of(market, platform=platform), worlds).user_return.mean
    return total / (market.config.num_users * market.config.horizon)


class Withholding(Agent):
    """Any slate, but with nothing in its last slot."""

    name = "withholding"

    def act(self, observation: Observation, explore: bool) -> torch.Tensor:
        raise NotImplementedError

    def offer(self, observation: Observation, size: int, explore: bool) -> Offer:
        slots, chance = any_slate(self, observation.mask, size)
        return Offer(torch.cat([slots[..., :-1], torch.zeros_like(slots[..., :1])], dim=-1), chance)


class Silent(Withholding):
    """Does not say how likely its slates are."""

    name = "silent"

    def offer(self, observation: Observation, size: int, explore: bool) -> Offer:
        return any_slate(self, observation.mask, size)._replace(log_propensity=None)


class TestWhoMadeTheSlates:
    """Of the very policy that filled them, a log's mean reward is the answer, with every weight 1."""

    @pytest.mark.parametrize("changes", [{}, {"budgets.upkeep": 3.0}, {"num_candidates": 5}])
    def test_a_random_platform(self, tmp_path: Path, changes: dict[str, object]) -> None:
        """Also where items die, so that slots stay empty, and where not all items can be shown."""
        log = exported(tmp_path, town(**changes), platform="random")
        assert (uniform_slates(log) == log.log_propensity).all()
        for found in evaluate_slates(log, uniform_slates(log)):
            assert found.estimate.mean == log.reward[log.active].mean(), found
            assert found.effective_size == log.active.sum()
            assert found.warning == ""

    @pytest.mark.parametrize("changes", [{}, {"budgets.upkeep": 3.0}, {"num_candidates": 5}])
    def test_the_market_itself(self, tmp_path: Path, changes: dict[str, object]) -> None:
        """Played again, with the boosts of items that boost at random."""
        market = town(**changes)
        log = exported(tmp_path, market, users="conditional-logit", items="random")
        chances = replayed(log, market, players_of(market, items="random"), "run")
        assert chances == pytest.approx(log.log_propensity, abs=1e-4)
        assert log.log_propensity.std() > 0.1
        for found in evaluate_slates(log, chances):
            assert found.estimate.mean == pytest.approx(log.reward[log.active].mean(), abs=1e-5)

    def test_a_platform_that_is_certain(self, tmp_path: Path) -> None:
        market = town()
        log = exported(tmp_path, market, platform="greedy")
        assert (log.log_propensity == 0.0).all()
        found = evaluate_slates(log, replayed(log, market, players_of(market, platform="greedy"), "run"))
        assert {f.estimate.mean for f in found} == {log.reward[log.active].mean()}

    def test_slates_in_a_fixed_order(self, tmp_path: Path) -> None:
        market = find_preset("kale").market(torch.device("cpu"), horizon=5)
        log = exported(tmp_path, market)
        assert (replayed(log, market, players_of(market), "run") == 0.0).all()

    def test_a_log_of_lists_of_unequal_length(self, tmp_path: Path) -> None:
        """User k was never offered what it has no rating of; ids are the same in all worlds, users are not."""
        pairs = [(u, i) for u in range(4) for i in range(3 + u)]
        source = make_log(pl.DataFrame({"user": [u for u, _ in pairs], "item": [i for _, i in pairs],
                                        "reward": [float((u + i) % 3) for u, i in pairs]}))
        config = logged_market_config(source, horizon=6, slate_size=2, embedding_size=2, num_segments=1)
        market = Market(config, LoggedBehaviour(source, source, config))
        log = exported(tmp_path, market, worlds=2)
        assert sorted(set(log.frame["num_candidates"])) == [3, 4, 5, 6]
        assert replayed(log, market, players_of(market), "run") == pytest.approx(log.log_propensity, abs=1e-4)
        assert len(set(log.unit.tolist())) == 2 * 4
        assert (log.unit.reshape(6, 8) == log.unit[:8]).all()


class TestAnother:
    """What the target earns is known, since it is played in the same held-out worlds."""

    SIZES: ClassVar[dict[str, object]] = {**STATELESS, "num_users": 40, "slate_size": 2, "temperature": 1.0}

    def test_a_random_platform_from_the_markets_slates(self, tmp_path: Path) -> None:
        market = town(**self.SIZES)
        log = exported(tmp_path, market, worlds=30)
        truth = earned(market, 30, "random")
        assert log.reward.mean() - truth > 0.05
        for found in evaluate_slates(log, uniform_slates(log)):
            assert found.estimate.ci95[0] < truth < found.estimate.ci95[1], (found, truth)
            assert found.estimate.ci95[1] < log.reward.mean() - 0.02
            assert found.warning == ""

    def test_the_markets_slates_and_a_certain_platforms_from_random_ones(self, tmp_path: Path) -> None:
        market = town(**self.SIZES)
        log = exported(tmp_path, market, worlds=30, platform="random")
        drawn = evaluate(market, players_of(market), 30).user_return.mean / (40 * 10)
        for platform, truth in ((None, drawn), ("greedy", earned(market, 30, "greedy"))):
            assert truth - log.reward.mean() > 0.05
            for found in evaluate_slates(log, replayed(log, market, players_of(market, platform=platform), "run")):
                assert found.estimate.ci95[0] < truth < found.estimate.ci95[1], (platform, found, truth)
                assert found.estimate.ci95[0] > log.reward.mean() + 0.02

    def test_what_the_target_never_shows_has_no_weight(self, tmp_path: Path) -> None:
        """Random platforms leave no slot empty while there is something to show."""
        log = exported(tmp_path, town(), platform=f"{__name__}:Withholding")
        assert all(f.warning.startswith("no overlap") for f in evaluate_slates(log, uniform_slates(log)))

    def test_users_who_are_away_do_not_count(self, tmp_path: Path) -> None:
        log = exported(tmp_path, town(horizon=60, mood={"return_rate": 0.0, "max": 1.0}), platform="random")
        assert 0 < log.active.sum() < len(log)
        assert log.reward[~log.active].max() == 0.0
        found = evaluate_slates(log, uniform_slates(log))
        assert found[0].estimate.mean == log.reward[log.active].mean() > log.reward.mean()


class TestUnits:
    def test_rows_of_a_user_are_drawn_together(self, tmp_path: Path) -> None:
        """The same log ten times over knows no more."""
        log = exported(tmp_path, town(), platform="random")
        assert (log.unit.reshape(10, 27) == log.unit[:27]).all()
        assert len(set(log.unit.tolist())) == 27
        again = SlateLog("b", pl.concat([log.frame] * 10), np.tile(log.unit, 10))
        once, tenfold = (evaluate_slates(x, uniform_slates(x))[0].estimate.ci95 for x in (log, again))
        assert tenfold == pytest.approx(once)

    def test_or_those_of_a_world(self, tmp_path: Path) -> None:
        log = exported(tmp_path, town(), platform="random")
        by_world = read_slates(tmp_path / log.source, "world")
        assert by_world.unit.tolist() == log.frame["world"].to_list()


class TestRefusals:
    def test_slates_of_unknown_chance(self, tmp_path: Path) -> None:
        log = exported(tmp_path, town(), platform=f"{__name__}:Silent")
        with refused("a.market.parquet", "log_propensity", np.nan, "row 0", fix="--explore"):
            evaluate_slates(log, uniform_slates(log))

    def test_slates_that_were_certain(self, tmp_path: Path) -> None:
        log = exported(tmp_path, town(), platform="greedy")
        with refused("a.market.parquet", "log_propensity", 0, fix="--explore"):
            evaluate_slates(log, uniform_slates(log))

    @pytest.mark.parametrize(("changes", "players", "named", "fix"), [
        ({"num_users": 8}, {}, ["8 users", "a.market.parquet", 9], "market"),
        ({"horizon": 9}, {}, ["9 steps", "a.market.parquet", 10], "market"),
        ({"num_items": 4}, {}, ["4 items", "a.market.parquet", 7], "market"),
        ({"satiation.weight": 3.0}, {}, ["step", "a.market.parquet"], "rest"),
        ({"response_mode": "mean"}, {}, ["responses", "step 0", "a.market.parquet"], "rest"),
        ({}, {"items": "random"}, ["step", "a.market.parquet"], "rest"),
        ({}, {"platform": "random"}, ["random"], "`uniform`"),
    ])
    def test_targets_of_other_worlds_or_unknown_chance(self, tmp_path: Path, changes: dict[str, object],
                                                       players: dict[str, str], named: list[Any], fix: str) -> None:
        log, market = exported(tmp_path, town(), users="conditional-logit"), town(**changes)
        with refused("policy", *named, fix=fix):
            replayed(log, market, players_of(market, **players), "run")

    def test_rows_in_another_order_cannot_be_played_again(self, tmp_path: Path) -> None:
        log, market = exported(tmp_path, town()), town()
        for frame in (log.frame.reverse(), log.frame.head(-1)):
            with refused("a", f"{len(frame)} rows", fix="file"):
                replayed(SlateLog("a", frame, log.unit), market, players_of(market), "run")

    @pytest.mark.parametrize(("change", "named"), [
        (lambda f: f.drop("num_candidates"), ["num_candidates"]),
        (lambda f: f.with_columns(pl.col("reward").cast(pl.String)), ["reward", "String", "Float32"]),
        (lambda f: f.with_columns(reward=pl.lit(None, pl.Float32)), ["reward", "nothing", "row 1"]),
        (lambda f: f.with_columns(reward=pl.lit(np.nan, pl.Float32)), ["reward", np.nan, "row 1"]),
        (lambda f: f.with_columns(log_propensity=pl.lit(0.5, pl.Float32)), ["log_propensity", 0.5, "row 1"]),
        (lambda f: f.with_columns(num_candidates=-pl.col("num_candidates")), ["num_candidates", -7, "row 1"]),
        (lambda f: f.with_columns(slate=pl.col("slate").list.head(pl.col("world") + 1)), ["slate", 2, "row 10", 1]),
        (lambda f: f.with_columns(active=pl.lit(False)), ["active", False, 270]), (lambda f: f.head(0), [0]),
    ])
    def test_tables_that_no_export_wrote(self, tmp_path: Path, change: Callable[[pl.DataFrame], pl.DataFrame],
                                         named: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / exported(tmp_path, town(), platform="random").source
        change(pl.read_parquet(path)).write_parquet(path)
        assert main(["ope", str(path)]) == 2
        assert_said(capsys.readouterr().err, path.name, *named)

    @pytest.mark.parametrize(("flags", "named"), [
        (["--policy", "most-clicked"], ["policy", "most-clicked"]), (["--policy", "no-run"], ["no-run"]),
        (["--unit-column", "unit"], ["unit"]),
        (["--reward-column", "response"], ["propensity"])])  # a file whose columns are named is a table
    def test_flags_that_do_not_fit(self, tmp_path: Path, flags: list[str], named: list[str],
                                   capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["ope", str(tmp_path / exported(tmp_path, town(), platform="random").source), *flags]) == 2
        assert_said(capsys.readouterr().err, *named)

    def test_a_run_is_no_target_of_other_logs(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["ope", str(tmp_path), "--policy", "likely"]) == 2
        assert_said(capsys.readouterr().err, "policy", "likely", fix=("uniform", "most-clicked"))


def test_the_command_asks_a_runs_log_about_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of slates that a platform filled exploring, what it earns when it does not; and of those, itself again."""
    run, out = tmp_path / "run", tmp_path / "out.csv"
    sizes = [word for size in ("num_users=20", "num_items=7", "slate_size=2", "horizon=10")
             for word in ("--market", size)]
    assert main(["train", "--preset", "feed", "--platform", "dqn", "--platform-option", "epsilon_end=0.5", *sizes,
                 "--episodes", "1", "--num-worlds", "1", "--eval-worlds", "10", "--log-dir", str(tmp_path), "--name",
                 "run"]) == 0
    found = {}
    for name, flags in ("still", []), ("explored", ["--explore"]):
        path = tmp_path / f"{name}.market.parquet"
        assert main(["evaluate", str(run), "--export", str(path), *flags]) == 0
        capsys.readouterr()
        assert main(["ope", str(path), "--policy", str(run), "--csv", str(out)]) == 0
        found[name] = pl.read_csv(out)
        assert f"{name}.market.parquet: 2,000 slates that users saw" in (text := capsys.readouterr().out)
        assert f"target: the platform of {run}" in text
    assert found["still"]["estimator"].to_list() == ["IPS", "clipped IPS", "SNIPS"]
    mean = float(pl.read_parquet(tmp_path / "still.market.parquet")["reward"].sum()) / 2_000
    assert found["still"]["value"].to_list() == pytest.approx([mean] * 3)
    # A town changes little in ten steps: nearly what it earns in play.
    assert found["explored"]["value"].to_list() == pytest.approx([mean] * 3, abs=0.1)
    assert 400 < found["explored"]["effective_size"][0] < 1_500
