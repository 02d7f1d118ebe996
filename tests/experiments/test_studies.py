"""Studies run, and what they committed follows from their rows (see test_committed)."""

import json
from math import inf
from pathlib import Path
from statistics import mean

import numpy as np
import polars as pl
import pytest

from interplay.envs.data import make_log
from interplay.experiments.studies import bounds, budgets, log_memory, logged_items, published_ranking
from interplay.experiments.studies.interval_coverage import SIZES, CoverageSettings, study

COMMITTED = Path(__file__).parents[2] / "experiments" / "results" / "intervals"


def test_a_short_version_of_the_coverage_study_writes_its_report_and_rows(tmp_path):
    said = study(CoverageSettings(tmp_path, repeats=40))
    assert (tmp_path / "report.md").read_text() == said
    assert said.startswith("Made by `python -m interplay.experiments.studies.interval_coverage")
    rows = json.loads((tmp_path / "report.json").read_text())["data"]["rows"]
    assert {row["n"] for row in rows} == set(SIZES)
    assert all(0.0 <= row["used"] <= 1.0 for row in rows)


@pytest.mark.parametrize("figure", ["mean", "IQM", "IQM over three tasks"])
def test_committed_intervals_of_normal_values_cover_where_the_bootstraps_do_not(figure):
    rows = json.loads((COMMITTED / "report.json").read_text())["data"]["rows"]
    found = {row["n"]: row for row in rows if (row["figure"], row["values"]) == (figure, "normal")}
    assert set(found) == set(SIZES)
    assert all(0.92 <= found[n]["used"] <= 0.985 for n in (5, 10, 20))
    assert found[5]["bootstrap"] < 0.92


def test_a_study_of_budgets_keeps_what_it_has_trained_and_compares_with_the_longest(tmp_path, monkeypatch):
    tiny = ("kale,episodes=1,num_worlds=2,eval_worlds=2", "kale,sizes_of=cuda,episodes=2,num_worlds=3,eval_worlds=2")
    first = budgets.BudgetSettings(tiny[:1], ("beta-bernoulli",), num_seeds=2, out=tmp_path)
    budgets.study(first)
    rows = json.loads((tmp_path / "report.json").read_text())["data"]["rows"]
    assert [(row["seed"], row["episodes"], row["transitions"]) for row in rows] == [(0, 1, 100), (1, 1, 100)]
    kept = budgets._row
    monkeypatch.setattr(budgets, "_row", lambda plan, *key: kept(plan, *key) | {"score": 2.0 * rows[0]["score"]})
    said = budgets.study(budgets.BudgetSettings(tiny, ("beta-bernoulli",), num_seeds=1, out=tmp_path))
    assert said == (tmp_path / "report.md").read_text()
    longest, shortest = [line.split("|") for line in said.splitlines() if line.startswith("| beta-bernoulli")]
    assert [cell.strip() for cell in longest[2:5]] == ["3", "2", "300"]
    change = sum(row["score"] for row in rows) / 2 / (2.0 * rows[0]["score"]) - 1.0
    assert shortest[6].strip() == f"{100.0 * change:+.2f} %"


def test_a_short_version_of_the_study_of_bounds_keeps_its_rows(tmp_path, monkeypatch):
    settings = bounds.BoundsSettings(tmp_path, presets=("pigou",), runs=2, episodes=1)
    said = bounds.study(settings)
    assert "| pigou  | users | 4        | 12.500      | 12.500     | 1.000      | reached |" in said
    assert (tmp_path / "crossplay.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(bounds, "_exploited", None)  # what is known is not played again
    assert bounds.study(settings) == said


def test_committed_bounds_lie_where_they_must():
    """Planners between their base policy and the optimum; a learnt deviation at 90 % of the exact gain."""
    rows = json.loads((COMMITTED.parent / "bounds" / "report.json").read_text())["data"]["rows"]
    planned = {row["preset"]: row for row in rows if row["kind"] == "planning"}
    found = {row["preset"]: row["found"] / row["exact"] for row in rows if row["kind"] == "exploiting"}
    assert set(planned) == set(bounds.PLANNING)
    assert all(mean(row["base"]) < mean(row["planned"]) <= (row["optimum"] or inf) for row in planned.values())
    assert set(found) == set(bounds.EXPLOITING)
    assert all(part >= bounds.SHARE for part in found.values())


@pytest.mark.parametrize("name", list(log_memory.SHAPES))
def test_made_up_logs_have_the_histories_that_they_say(name):
    shape = log_memory.SHAPES[name]
    length = log_memory.lengths(shape)
    assert (len(length), length.sum()) == (shape.users, shape.rows)
    assert length.max() == length[0] == shape.longest
    assert length.min() >= shape.shortest


def test_a_made_up_log_has_no_pair_twice():
    frame = log_memory.made_up(log_memory.Shape(2_000, 90, 500, 400))
    assert frame.unique(["user", "item"]).height == frame.height == 2_000
    assert frame["user"].n_unique() == 90
    assert 0 <= frame["item"].min() < frame["item"].max() < 500


@pytest.mark.parametrize(("learnt", "verdict"), [(9.0, "below"), (10.0, "level"), (11.0, "above")])
def test_the_study_of_items_says_whether_they_end_below_resting(learnt, verdict):
    noise = [-0.1, 0.1, 0.05, -0.05, 0.0]
    row = {"log": "a", "flags": "", "price": [0.5] * 5, "boost": [1.0] * 5, "resting": [10.0] * 5,
           "learnt": [learnt + each for each in noise]}
    said = logged_items.text(Path(), {"made": {"command": "", "python": "", "torch": "", "numpy": "", "cores": 1,
                                               "machine": ""}, "data": {"rows": [row]}})
    assert f"| {verdict}" in said
    assert f"Below resting: {int(verdict == 'below')} of 1 logs." in said


def test_the_published_protocol_trains_on_three_quarters_of_each_item():
    rng = np.random.default_rng(0)
    rows = {name: rng.integers(high, size=400) for name, high in (("user", 30), ("item", 12), ("reward", 5))}
    log = make_log(pl.DataFrame(rows))
    kept = published_ranking.trained(log, 0)
    count = np.bincount(log.item)
    assert np.bincount(log.item[kept]).tolist() == [round(0.75 * each) for each in count.tolist()]
    assert (kept != published_ranking.trained(log, 1)).any()
