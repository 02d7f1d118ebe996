"""From results to a report: one pair of references for each market, rows that a report follows from, and tables."""

import json

import numpy as np
import pytest

from interplay.experiments.benchmark.report import text
from interplay.experiments.benchmark.scores import (
    METRICS,
    Row,
    collect,
    normalised,
    read_rows,
    references,
    scores,
    write_rows,
)
from interplay.experiments.common.tables import table
from refusals import refused


def estimate(value):
    return {"mean": value, "ci95": None}


def score_of(users, user_return):
    return {"users": users, "items": "q-learning", "platform": "plackett-luce",
            **dict.fromkeys(METRICS, estimate(1.0)), "user_return": estimate(user_return), "users_return": None}


def result(agent, seed, user_return, random, greedy):
    """A run in a market without a known optimum, whose baselines met opponents that learnt beside this agent."""
    return {"preset": "town", "users": agent, "items": "q-learning", "platform": None, "user_option": [],
            "item_option": [], "platform_option": [], "seed": seed, "agent_steps": 10, "wall_seconds": 1.0,
            "evaluation": score_of(agent, user_return),
            "baselines": [score_of("random", random), score_of("greedy", greedy)],
            "oracle": {"name": "greedy", "user_return": greedy, "random": random, "exact": False},
            "normalised_score": (user_return - random) / (greedy - random), "best_response_gap": None,
            "training": {"side": "users", "measure": "user_return", "options": {}}}


def collected(runs, results):
    for k, one in enumerate(results):
        (runs / str(k)).mkdir()
        (runs / str(k) / "results.json").write_text(json.dumps(one))
    return collect(runs, [str(k) for k in range(len(results))])


RUNS = [result("dqn", 0, 4700.0, 2700.0, 3400.0), result("dqn", 1, 4650.0, 2740.0, 3420.0),
        result("pqn", 0, 4720.0, 2600.0, 3450.0), result("pqn", 1, 4660.0, 2650.0, 3460.0)]
"""By references of its own each run of pqn, which scores higher, would be normalised to less than dqn's."""


def test_the_order_of_normalised_scores_is_that_of_the_scores(tmp_path):
    own = [one["normalised_score"] for one in RUNS]
    assert own[0] > own[2]
    assert own[1] > own[3]
    rows = [row for row in collected(tmp_path, RUNS) if row.kind in ("learner", "baseline")]
    score, relative = (np.array([row.figures[name] for row in rows]) for name in ("score", "normalised"))
    assert len(rows) == 8
    assert (np.argsort(score, kind="stable") == np.argsort(relative, kind="stable")).all()


def test_references_are_the_means_of_the_baselines_that_stand_beside_the_scores(tmp_path):
    rows = collected(tmp_path, RUNS)
    low, high = references(rows, "town")
    assert (low.agent, high.agent) == ("random", "greedy")
    assert low.figures["score"] == pytest.approx(np.mean(scores(rows, "town", "random"))) == 2720.0
    assert high.figures["score"] == pytest.approx(np.mean(scores(rows, "town", "greedy"))) == 3410.0
    assert np.mean(scores(rows, "town", "random", "normalised")) == pytest.approx(0.0)
    assert np.mean(scores(rows, "town", "greedy", "normalised")) == pytest.approx(1.0)


def test_normalised_scores_follow_from_the_rows_that_are_written(tmp_path):
    write_rows(collected(tmp_path, RUNS), tmp_path / "scores.csv")
    rows = read_rows(tmp_path / "scores.csv")
    for row, again in zip(rows, normalised(rows), strict=True):
        assert row.figures == pytest.approx(again.figures, rel=1e-5)


def test_a_market_whose_measure_is_no_return_is_not_normalised(tmp_path):
    other = {**RUNS[0], "training": {"side": "users", "measure": "coverage", "options": {}}}
    rows = collected(tmp_path, [other])
    assert references(rows, "town") is None
    assert not any("normalised" in row.figures for row in rows)


def test_a_report_names_its_references_and_calls_a_range_a_range(tmp_path):
    write_rows(collected(tmp_path, RUNS), tmp_path / "scores.csv")
    made = {"command": "x", "python": "3", "torch": "2", "numpy": "2", "cores": 2, "machine": "m"}
    data = {"scale": 1.0, "rewards": [], "options": [], "problems": {}}
    said = text(tmp_path, {"made": made, "data": data})
    assert "Normalised: 0 = random (2720), 1 = greedy (3410)." in said
    assert "| 4675.0 (4650.0 to 4700.0, n = 2) |" in said
    assert ("More than greedy agents, paired by training seed, mean [95 %]: dqn 1265.0 (1230.0 to 1300.0, n = 2), "
            "pqn 1280.0 (1240.0 to 1320.0, n = 2).") in said
    assert "Student's t" in said


def test_a_baseline_that_is_compared_as_an_agent_counts_once_for_each_seed(tmp_path):
    own = [result("random", seed, 2600.0 + seed, 1.0, 2.0) for seed in (0, 1)]
    rows = collected(tmp_path, [*RUNS, *own])
    assert scores(rows, "town", "random") == [2600.0, 2601.0]
    assert len(scores(rows, "town", "greedy")) == len({run["seed"] for run in RUNS})


def test_where_the_optimum_is_known_a_report_has_the_regret_to_it(tmp_path):
    rows = [Row("m", "a", "learner", seed, "user_return", "rest", {"score": score})
            for seed, score in ((0, 7.0), (1, 9.0))]
    best = Row("m", "optimum", "exact", -1, "user_return", "rest", {"score": 10.0})
    write_rows([*rows, best], tmp_path / "scores.csv")
    made = {"command": "x", "python": "3", "torch": "2", "numpy": "2", "cores": 2, "machine": "m"}
    said = text(tmp_path, {"made": made, "data": {"scale": 1.0, "rewards": [], "options": [], "problems": {}}})
    assert "Regret to the optimum, mean [95 %]: a 2.000 (1.000 to 3.000, n = 2)." in said


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_score_that_is_not_finite_is_no_result(value, tmp_path):
    bad = {**RUNS[0], "evaluation": score_of("dqn", value)}
    with refused("town", "dqn", "seed 0", "2 of 12"):
        collected(tmp_path, [bad])


def test_rows_with_a_score_that_is_not_finite_are_refused(tmp_path):
    write_rows([Row("m", "a", "learner", 0, "user_return", "rest", {"score": float("nan")})], tmp_path / "scores.csv")
    with refused("scores.csv", "a", "m", "1 of 1"):
        read_rows(tmp_path / "scores.csv")


def test_cells_cannot_break_a_markdown_table():
    lines = table(["a|b", "c"], [["<script>", "x\ny"], ["|", "z"]]).splitlines()
    assert lines == ["| a\\|b        | c   |", "|-------------|-----|",
                     "| &lt;script> | x y |", "| \\|          | z   |"]
