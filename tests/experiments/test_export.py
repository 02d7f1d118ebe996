"""A market's log: whole, true, read back exactly, and good for off-policy evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from interplay.agents import Agent, Setting, find_agent
from interplay.envs.behaviour.logged import LoggedBehaviour, logged_market_config
from interplay.envs.data import ColumnNames, make_log, read_log
from interplay.envs.market import Market
from interplay.envs.presets import find_preset
from interplay.envs.types import Observation
from interplay.experiments.cli.main import main
from interplay.experiments.evaluate.evaluation import HELD_OUT_SEED, Score, evaluate
from interplay.experiments.evaluate.export import Recorder
from interplay.experiments.loop.players import Players
from interplay.experiments.offpolicy import WEIGHTING, evaluate_case
from interplay.experiments.offpolicy.slates import plackett_luce_log_probability, slate_case
from refusals import assert_said, refused


def players(market: Market, users: str = "random", platform: str | None = None) -> Players:
    def player(side: str, name: str) -> object:
        spec = market.platform_spec if side == "platform" else market.specs[side]  # type: ignore[index]
        return find_agent(name)(spec, Setting(0, market.device))  # type: ignore[call-arg, arg-type]

    named = {"users": users, "items": "rest"} | ({} if platform is None else {"platform": platform})
    return Players({side: player(side, name) for side, name in named.items()})  # type: ignore[misc]


def played(market: Market, worlds: int, **named: str) -> tuple[Score, Recorder]:
    recorder = Recorder(market)
    return evaluate(market, players(market, **named), worlds, recorder), recorder


def town(**changes: object) -> Market:
    return find_preset("town").market(torch.device("cpu"), **{"horizon": 12, "num_users": 9, "num_items": 7} | changes)


class SilentAgent(Agent):
    """Fills slates at random and does not say how likely they are."""

    name = "silent"

    def act(self, observation: Observation, explore: bool) -> torch.Tensor:
        return self.draw_allowed(observation.mask)


class TestRecorder:
    def test_every_step_of_every_user_is_there_and_adds_up_to_the_score(self) -> None:
        score, recorder = played(town(), 3)
        frame = recorder.frame()
        assert frame.height == 3 * 12 * 9
        assert frame.select("world", "step", "user").is_unique().all()
        earned = frame.group_by("world").agg(pl.col("reward").sum())["reward"].mean()
        assert earned == pytest.approx(score.user_return.mean, abs=1e-4)
        clicks = frame.group_by("world", maintain_order=True).agg(
            pl.col("response").sum() / (pl.col("position") > 0).sum())["response"]
        assert clicks.mean() == pytest.approx(score.click_through.mean, abs=1e-6)

    def test_items_are_those_of_the_slot_taken_and_context_is_what_was_seen(self) -> None:
        market = town()
        frame = played(market, 2)[1].frame()
        for row in frame.iter_rows(named=True):
            place = row["position"]
            expected = f"world{row['world']}/item_{row['slate'][place - 1]}" if place else None
            assert row["item"] == expected
        first = frame.filter(step=0, world=1)
        seen = market.observe(market.reset([0, 1], HELD_OUT_SEED), "users")
        whole = torch.cat([seen.own, seen.options.flatten(2)], dim=2)[1]
        assert first["context"].to_list() == whole.tolist()
        assert first["user"].to_list() == [f"world1/user_{u}" for u in range(9)]

    def test_empty_slots_are_null(self) -> None:
        """Items that die leave slots empty: with upkeep 3 from a budget of 10 they soon do."""
        frame = played(town(budgets={"upkeep": 3.0}), 2)[1].frame()
        late = frame.filter(step=11)
        assert late["slate"].explode(empty_as_null=True, keep_nulls=True).null_count() > 0
        assert frame.filter(step=0)["slate"].list.eval(pl.element().is_null()).list.any().sum() == 0

    def test_an_agent_that_watches_changes_nothing(self) -> None:
        market = town()
        assert played(market, 2)[0] == evaluate(market, players(market), 2)

    def test_slates_have_the_propensity_of_a_platform_that_knows_it(self) -> None:
        frame = played(town(), 1, platform="random")[1].frame().filter(step=0)
        assert frame["log_propensity"].to_list() == pytest.approx([-np.log(7 * 6 * 5 * 4)] * 9)
        certain = played(town(), 1, platform="slateq")[1].frame()
        assert (certain["log_propensity"] == 0.0).all()

    def test_and_none_of_one_that_does_not(self) -> None:
        frame = played(town(), 1, platform=f"{__name__}:SilentAgent")[1].frame()
        assert frame["log_propensity"].null_count() == frame.height
        with refused("log_propensity", np.nan, "row 0", fix=("dqn", "--explore", "offer")):
            slate_case(np.ones(frame.height), frame["log_propensity"].to_numpy(), np.zeros(frame.height))

    def test_nothing_played_is_refused(self) -> None:
        with refused("export"):
            Recorder(town()).frame()


class TestRoundTrip:
    def test_rewards_and_pairs_agree_exactly(self, tmp_path: Path) -> None:
        recorder = played(town(), 3)[1]
        path = tmp_path / "a.market.parquet"
        recorder.write(path)
        assert pl.read_parquet(path).equals(recorder.frame())
        log, rows = read_log(path), recorder.frame().filter(pl.col("position") > 0)
        assert log.reward.tolist() == rows["reward"].to_list()
        assert [log.user_ids[u] for u in log.user] == rows["user"].to_list()
        assert [log.item_ids[i] for i in log.item] == rows["item"].to_list()
        assert log.time is not None
        assert log.time.tolist() == rows["step"].to_list()
        assert log.dropped == {"in which a user took nothing": 3 * 12 * 9 - rows.height}

    def test_a_logs_own_market_gives_back_the_logs_rewards(self, tmp_path: Path) -> None:
        """Users and items have the log's ids in all worlds there, and each pair the reward that the log has of it."""
        pairs = [(f"u{9 - u}", 10 * i) for u in range(5) for i in range(6)]
        source = make_log(pl.DataFrame({"user": [u for u, _ in pairs], "item": [i for _, i in pairs],
                                        "reward": [float((2 * n + n // 6) % 5) for n in range(len(pairs))]}))
        config = logged_market_config(source, horizon=8, slate_size=3, embedding_size=4, num_segments=2)
        market = Market(config, LoggedBehaviour(source, source, config))
        path = tmp_path / "b.market.parquet"
        played(market, 4)[1].write(path)
        log = read_log(path)
        assert set(log.user_ids) == {"u5", "u6", "u7", "u8", "u9"}
        truth = dict(zip([(u, str(i)) for u, i in pairs], source.scaled(source.reward), strict=True))
        for u, i, reward in zip(log.user, log.item, log.reward, strict=True):
            assert reward == truth[str(log.user_ids[u]), str(log.item_ids[i])]

    def test_no_other_columns_can_be_named(self, tmp_path: Path) -> None:
        path = tmp_path / "a.market.parquet"
        played(town(), 1)[1].write(path)
        with refused("a.market.parquet", "item", "row"):
            read_log(path, ColumnNames(reward="response"))


def test_the_slates_of_another_temperature_are_evaluated_from_the_log() -> None:
    """Town's first step: what the log says of a warmer draw of slates, beside a market that draws them so."""
    sizes: dict[str, object] = {"horizon": 1, "num_users": 64, "num_items": 32}
    market, warmer = town(**sizes), town(temperature=0.7, **sizes)
    frame = played(market, 200, users="first")[1].frame()
    state = market.reset(range(200), HELD_OUT_SEED)
    taste = (state.user_vector @ state.population.item_vector.transpose(1, 2)).flatten(0, 1).double().numpy()
    slate, reward = frame["slate"].list.to_array(4).to_numpy(), frame["reward"].to_numpy().astype(np.float64)
    logged = frame["log_propensity"].to_numpy().astype(np.float64)
    assert plackett_luce_log_probability(taste / 0.5, slate) == pytest.approx(logged, abs=1e-3)
    case = slate_case(reward, logged, plackett_luce_log_probability(taste / 0.7, slate))
    truth = float(played(warmer, 200, users="first")[1].frame()["reward"].cast(pl.Float64).mean())  # type: ignore[arg-type]
    assert reward.mean() - truth > 0.02, "warmer slates are worse for who takes the first"
    for found in evaluate_case(case, WEIGHTING):
        assert found.estimate.ci95[0] - 0.01 < truth < found.estimate.ci95[1] + 0.01, found
        assert abs(found.estimate.mean - truth) < 0.5 * (reward.mean() - truth), found


class TestCommand:
    def test_evaluate_writes_what_its_table_says(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        run = ["--preset", "kale", "--users", "random", "--items", "rest", "--episodes", "1", "--num-worlds", "1",
               "--eval-worlds", "3", "--log-dir", str(tmp_path), "--name", "run"]
        assert main(["train", *run]) == 0
        path = tmp_path / "kale.market.parquet"
        capsys.readouterr()
        assert main(["evaluate", str(tmp_path / "run"), "--export", str(path)]) == 0
        out = capsys.readouterr().out
        assert f"wrote {path}" in out
        earned = float(pl.read_parquet(path)["reward"].sum()) / 3
        assert f"| random     | rest  | {earned:.3f} (" in out

    @pytest.mark.slow
    def test_a_platform_that_explores_writes_slates_of_chance(
            self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """With half of its slots left to chance; its evaluation stays without exploration."""
        run = ["--preset", "feed", "--platform", "q-learning", "--platform-option", "epsilon_end=0.5", "--episodes",
               "1", "--num-worlds", "1", "--eval-worlds", "1", "--log-dir", str(tmp_path), "--name", "run"]
        assert main(["train", *run]) == 0
        printed = []
        for flags in ([], ["--explore"]):
            path = tmp_path / f"feed{len(flags)}.market.parquet"
            capsys.readouterr()
            assert main(["evaluate", str(tmp_path / "run"), "--export", str(path), *flags]) == 0
            printed.append((capsys.readouterr().out.replace(str(path), ""), pl.read_parquet(path)["log_propensity"]))
        assert printed[0][0] == printed[1][0]
        assert (printed[0][1] == 0.0).all()
        assert (printed[1][1] < 0.0).all()

    def test_exploring_is_for_what_is_written(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["evaluate", str(tmp_path), "--explore"]) == 2
        assert_said(capsys.readouterr().err, "--explore", fix="--export run.market.parquet")

    @pytest.mark.parametrize(("name", "fix"), [("a.parquet", "NAME.market.parquet"), ("no/a.market.parquet", ())])
    def test_a_file_that_would_not_do_is_refused_before_anything_is_played(
            self, name: str, fix: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["evaluate", str(tmp_path / "no-run"), "--export", str(tmp_path / name)]) == 2
        assert_said(capsys.readouterr().err, "export", tmp_path / name, fix=fix)


class TestTrajectory:
    """An export is a whole trajectory of the users' agent: nothing of it has to be played again."""

    def test_each_row_is_followed_by_the_next_or_says_how_it_ended(self) -> None:
        frame = played(town(mood={"return_rate": 0.0, "max": 0.5, "decay": 1.0}), 2)[1].frame()
        assert frame["terminated"].any()
        assert frame["truncated"].any()
        assert not (frame["terminated"] & frame["truncated"]).any()
        ended = frame["terminated"] | frame["truncated"]
        for name in ("final_context", "final_mask"):
            assert (frame[name].is_not_null() == ended).all()
        for (_, _), rows in frame.group_by("world", "user"):
            ends = (rows["terminated"] | rows["truncated"]).arg_true().to_list()
            assert len(ends) == 1
            assert rows["active"].to_list() == [True] * (ends[0] + 1) + [False] * (11 - ends[0])
            if ends[0] < 11:  # what is seen at the end is what is seen next
                assert rows["final_context"][ends[0]].to_list() == rows["context"][ends[0] + 1].to_list()
                assert rows["final_mask"][ends[0]].to_list() == rows["mask"][ends[0] + 1].to_list()

    def test_the_last_observation_is_that_of_the_market(self) -> None:
        market = find_preset("kale").market(horizon=3)
        frame = played(market, 1, users="first")[1].frame()
        state = market.reset([0], HELD_OUT_SEED)
        for _ in range(3):
            state, _ = market.step(state, torch.ones(1, 1, dtype=torch.int64), torch.zeros(1, 4, dtype=torch.int64))
        seen = market.observe(state, "users")
        assert frame["final_context"].to_list()[:2] == [None, None]
        assert frame["final_context"].to_list()[2] == torch.cat([seen.own, seen.options.flatten(2)], 2)[0, 0].tolist()
        assert frame["truncated"].to_list() == [False, False, True]

    def test_masks_are_those_of_the_action(self) -> None:
        frame = played(town(budgets={"upkeep": 3.0}), 2)[1].frame()
        slots = frame["slate"].list.eval(pl.element().is_not_null())
        for mask, filled, active in zip(frame["mask"], slots, frame["active"], strict=True):
            assert mask.to_list() == [True, *(filled & active)]

    def test_propensities_of_actions_are_those_of_the_agent(self) -> None:
        frame = played(town(), 2)[1].frame()
        allowed = frame["mask"].list.sum().cast(pl.Float64)
        assert np.allclose(frame["log_action_propensity"].to_numpy(), -np.log(allowed.to_numpy()))
        assert (played(town(), 1, users="first")[1].frame()["log_action_propensity"] == 0.0).all()

    def test_an_agent_that_does_not_know_has_null(self) -> None:
        market = town()
        recorder = Recorder(market)
        evaluate(market, players(market, users="linear-thompson"), 1, recorder, explore=True)
        frame = recorder.frame()
        assert frame["log_action_propensity"].null_count() == frame.height
        assert frame["log_action_propensity"].dtype == pl.Float32


@pytest.mark.parametrize("name", ["dqn", "conditional-logit", "ippo", "shared-critic", "random"])
def test_actions_come_as_often_as_their_propensity_says(name: str) -> None:
    """The same moment in 4,000 worlds, by an agent that explores half of the time."""
    market = find_preset("kale").market()
    kind = find_agent(name)
    options = {} if "epsilon_start" not in kind.Options.__dataclass_fields__ else {"epsilon_start": 0.5}
    agent = kind.of({"users": market.specs["users"]}, Setting(0, market.device), kind.Options(**options))
    player = Players({"users": agent, "items": find_agent("rest")(market.specs["items"], Setting())})  # type: ignore[dict-item, arg-type, call-arg]
    seen = market.observe(market.reset([0] * 4000), "users", kind.sees_expected_reward)
    action = player.act({"users": seen, "items": market.observe(market.reset([0] * 4000), "items")}, True)["users"]
    chances = [float(player.log_propensity("users", seen, torch.full_like(action, a), True)[0, 0].exp())  # type: ignore[index]
               for a in range(5)]
    assert sum(chances) == pytest.approx(1.0, abs=1e-5)
    shares = np.bincount(action.flatten().numpy(), minlength=5) / 4000
    assert np.abs(shares - chances).max() < 0.04
