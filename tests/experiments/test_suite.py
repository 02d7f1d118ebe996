"""The suite: its frozen table, its number, its rows and the leaderboard made of them."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from interplay.envs.presets import find_preset
from interplay.experiments.cli.main import main
from interplay.experiments.common.logs import logged_parts
from interplay.experiments.loop.task import make_task
from interplay.experiments.suite import command as suite
from interplay.experiments.suite.command import SuiteSettings, play_suite
from interplay.experiments.suite.definition import SUITE, Reference, attribute_of
from interplay.experiments.suite.freezing import LINES, as_row, frozen
from interplay.experiments.suite.leaderboard import PAGE, ROWS, page, read_rows
from interplay.experiments.suite.rows import Played, SuiteRow, score_table
from refusals import assert_said, refused


def row_of(agent="dqn", without=(), **normalised):
    """A row whose scores are half of what counts as 1, but for some markets."""
    markets = {}
    for market in SUITE.scored:
        if market.name not in without:
            zero, one, share = market.zero.score, market.one.score, normalised.get(market.name, 0.5)
            scores = [zero + share * (one - zero)] * SUITE.seeds
            markets[market.name] = Played(scores, [market.normalised(score) for score in scores], 1.0, {})
    return SuiteRow(SUITE.version, SUITE.digest, agent, "", {"command": "interplay suite"}, markets)


def test_the_table_is_made_of_the_lines():
    assert list(SUITE.markets) == [line.name for line in LINES]


@pytest.mark.parametrize("name", ["kale-null", "contest", "ml-100k"])
def test_the_table_says_what_its_line_and_the_market_say(name):
    """Among them the references, which show that the market is what it was when the suite was made."""
    line = next(line for line in LINES if line.name == name)
    made = as_row(frozen(replace(line, eval_worlds=2)))
    kept = as_row(replace(SUITE.markets[name], training=replace(SUITE.markets[name].training, eval_worlds=2)))
    assert {**made, "zero": None} == {**kept, "zero": None}  # random agents play other worlds here


@pytest.mark.parametrize("market", SUITE.scored, ids=lambda market: market.name)
def test_another_default_of_a_preset_changes_no_suite(market, monkeypatch):
    preset = find_preset(market.preset)
    wanted = find_preset(attribute_of(market))
    changed = replace(preset, config=replace(preset.config, horizon=7, team=0.5),
                      training=replace(preset.training, episodes=1, options={"dqn": {"hidden": 1}}))
    monkeypatch.setattr("interplay.experiments.suite.definition.find_preset", lambda name: changed)
    found = market.as_preset()
    assert (found.config, found.training) == (wanted.config, wanted.training)
    assert found.config.horizon != 7
    assert found.training.options == {}


def test_a_score_beside_an_equilibrium_is_as_wrong_on_both_sides():
    market = replace(SUITE.markets["contest"], zero=Reference("random", 20.0), one=Reference("equilibrium", 12.0))
    assert [market.normalised(score) for score in (12.0, 10.0, 14.0, 20.0)] == [1.0, 0.75, 0.75, 0.0]


def test_the_number_is_the_mean_over_markets_within_limits():
    count = len(SUITE.scored)
    assert row_of().score(SUITE).mean == pytest.approx(0.5)
    assert row_of(town=4.5).score(SUITE).mean == pytest.approx(0.5 + 0.5 / count)
    assert row_of(town=-4.5).score(SUITE).mean == pytest.approx(0.5 - 0.5 / count)
    assert row_of(without=["feed"]).score(SUITE).mean == pytest.approx(0.5 - 0.5 / count)
    assert row_of().score(SUITE).ci95 == pytest.approx((0.5, 0.5))


def test_the_interval_covers_as_often_as_it_says():
    """Seeds of seven markets, of which each has another spread."""
    rng, row, truth = np.random.default_rng(0), row_of(), 0.5
    spread = dict(zip(row.markets, np.linspace(0.005, 0.08, len(row.markets)), strict=True))

    def drawn():
        markets = {name: replace(played, normalised=truth + spread[name] * rng.normal(size=SUITE.seeds))
                   for name, played in row.markets.items()}
        return replace(row, markets=markets).score(SUITE).ci95

    held = [low <= truth <= high for low, high in (drawn() for _ in range(1_000))]
    assert np.mean(held) == pytest.approx(0.95, abs=0.025)


def test_a_row_is_read_as_it_was_written(tmp_path):
    row_of().write(tmp_path / "dqn.json")
    assert SuiteRow.read(tmp_path / "dqn.json", SUITE) == row_of()


@pytest.mark.parametrize(("change", "named"), [
    (lambda row: row.pop("made"), ["made"]), (lambda row: row.update(definition="0"), ["0", SUITE.digest]),
    (lambda row: row["markets"]["kale"]["scores"].pop(), ["4 scores", "kale", 5]),
    (lambda row: row["markets"]["kale"].update(normalised=[0.9] * 5), ["normalised scores", "kale"]),
    (lambda row: row["markets"]["kale"].update(scores=["39"] * 5), []),
    (lambda row: row["markets"].update(cabbage=row["markets"]["kale"]), ["cabbage"])])
def test_what_is_no_row_is_refused(change, named, tmp_path):
    row_of().write(tmp_path / "dqn.json")
    values = json.loads((tmp_path / "dqn.json").read_text())
    change(values)
    (tmp_path / "dqn.json").write_text(json.dumps(values))
    with refused(tmp_path / "dqn.json", "suite-v1", *named, fix="interplay suite"):
        SuiteRow.read(tmp_path / "dqn.json", SUITE)


def test_the_best_row_comes_first_and_what_is_not_played_is_no_zero():
    lines = score_table([row_of("worse"), row_of("better", kale=0.9), row_of("users", without=["feed"])],
                        SUITE).splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[0] for row in cells] == ["better", "worse", "users"]
    assert [row[-2:] for row in cells] == [["0.50", "-"], ["0.50", "-"], ["-", "-"]]


def test_the_committed_leaderboard_follows_from_its_rows():
    assert PAGE.read_text(encoding="utf-8") == page(read_rows(ROWS, SUITE), SUITE)


def test_agents_play_the_markets_of_their_sides_with_their_own_options(tmp_path):
    """Whatever a market recommends to others."""
    markets = {agent: [market.name for market in suite._playable(SuiteSettings(agent))] for agent in
               ("dqn", "shared-critic", "slateq")}
    assert markets["slateq"] == ["feed"]
    assert markets["dqn"] == [*markets["shared-critic"], "feed"] == [market.name for market in SUITE.scored]
    (job, *_) = suite._jobs(SuiteSettings("dqn,hidden=8"), SUITE.markets["contest"], "dqn,hidden=8")
    assert (job.users, job.items, job.item_option) == ("first", "dqn", ("hidden=8",))


@pytest.mark.parametrize("name", ["kale", pytest.param("feed", marks=pytest.mark.slow)])
def test_a_market_that_has_changed_is_found_out(name, tmp_path, monkeypatch):
    """Before anything is played. Users of feed leave something to chance."""
    market = SUITE.markets[name]
    suite.check_unchanged([market])
    changed = replace(market, one=market.one._replace(score=market.one.score * 1.002))
    monkeypatch.setattr(suite, "SUITE", replace(SUITE, markets={name: changed}))
    monkeypatch.setattr(suite, "run_missing", lambda *given: pytest.fail("played"))
    with refused(name, "suite-v1"):
        play_suite(SuiteSettings("dqn", out=tmp_path))


@pytest.fixture
def small(monkeypatch):
    """Two markets."""
    few = {name: SUITE.markets[name] for name in ("kale", "contest")}
    monkeypatch.setattr(suite, "SUITE", replace(SUITE, markets=few))


def test_quick_plays_every_market_once_and_writes_no_row(small, tmp_path, capsys):
    assert main(["suite", "--agent", "linucb", "--quick", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "kale-linucb-quick: user return" in said
    assert "the agent runs in all" in said
    assert not list(tmp_path.glob("*.json"))


def test_a_row_is_written_for_an_agent_of_ones_own(small, tmp_path, monkeypatch, capsys):
    (tmp_path / "my_first.py").write_text("from interplay.agents.first import FirstAgent\n\n\n"
                                          "class Mine(FirstAgent):\n    name = 'mine'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    kale = suite.SUITE.markets["kale"]
    few = {"kale": replace(kale, training=replace(kale.training, num_worlds=1, episodes=1, eval_worlds=1))}
    monkeypatch.setattr(suite, "SUITE", replace(suite.SUITE, markets=few, seeds=2))
    monkeypatch.setattr(suite, "check_unchanged", lambda given: None)  # greedy users of one world get something else
    monkeypatch.setattr("interplay.experiments.cli.suite.SUITE", suite.SUITE)
    assert main(["suite", "--agent", "my_first:Mine", "--out", str(tmp_path / "out"), "--workers", "2"]) == 0
    assert re.search(r"^suite-v1: -?0\.\d+ .*^\| mine  \| ", capsys.readouterr().out, re.M | re.S)
    row = json.loads((tmp_path / "out" / "mine.json").read_text())
    assert row["code"].startswith("my_first:Mine ")
    assert row["made"]["command"] == "interplay suite --agent my_first:Mine"
    assert {name: len(played["scores"]) for name, played in row["markets"].items()} == {"kale": 2}
    assert {*row["made"]} >= {"python", "torch", "numpy", "interplay"}


def test_ml_100k_must_be_it(tmp_path):
    (tmp_path / "log.csv").write_text("user,item,reward\n1,1,1\n1,2,0\n2,1,0\n2,2,1\n")
    with refused("ml_100k", tmp_path / "log.csv", "2 users", "2 items", "4 rows", fix="u.data"):
        play_suite(SuiteSettings("dqn", ml_100k=tmp_path / "log.csv", out=tmp_path / "out"))


def test_ml_100k_has_the_numbers_of_the_table(ml_100k):
    settings = SuiteSettings("dqn", ml_100k=ml_100k)
    market = SUITE.markets["ml-100k"]
    job = next(suite._jobs(settings, market, "dqn"))
    task = make_task(job, torch.device("cpu"))
    assert logged_parts(job, 0).whole.num_users == task.market.config.num_users == 943
    assert {name: task.market.config.numbers()[name] for name in market.config} == market.config
    assert task.training.episodes == market.training.episodes


@pytest.mark.parametrize("words", ["--agent nope", "--agent dqn,nope=1", "--agent rest --workers 0", "--agent os:path"])
def test_a_bad_command_line_is_one_line(words, capsys):
    assert main(["suite", *words.split()]) == 2
    assert_said(capsys.readouterr().err)
