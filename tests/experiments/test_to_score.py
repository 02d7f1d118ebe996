"""The race to a score: what counts as held, and that both kinds of learner run in it."""

from dataclasses import asdict
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import made_by, rendered
from interplay.experiments.studies.speed import to_score
from interplay.experiments.studies.speed.single import SINGLES
from interplay.experiments.studies.speed.to_score import Race, Reached, race_text
from refusals import assert_said

SINGLE = "single-dqn"
RACE = "interplay.experiments.studies.speed.to_score:race"


def wavering(scores: list[float], until_over: int | None = None) -> type:
    """A learner who earns these, whatever it is trained, and whose training is over after so many evaluations."""
    class Wavering:
        steps = 7

        def __init__(self, *_: object) -> None:
            self.evaluated = 0

        @property
        def over(self) -> bool:
            return self.evaluated == until_over

        def train(self) -> None:
            pass

        def score(self) -> float:
            self.evaluated += 1
            return scores[self.evaluated - 1]

    return Wavering


def a_second_at_each_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_score, "time", SimpleNamespace(perf_counter=count().__next__))


def test_a_score_that_is_lost_again_is_touched_and_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_score, "Single", wavering([1.0, 3.0, 1.0, 3.0, 4.0, 3.0, 9.0]))
    a_second_at_each_look(monkeypatch)
    one = Race("kale", 3.0, seconds=60.0, pause=1.0).run(SINGLE, 0)
    assert one.scores == (1.0, 3.0, 1.0, 3.0, 4.0, 3.0)
    assert (one.touched, one.held, one.trained) == (2.0, 4.0, 6.0)


@pytest.mark.parametrize(("scores", "held"), [([1.0, 3.0, 1.0, 3.0], 4.0), ([1.0, 3.0, 1.0, 1.0], None)])
def test_what_is_held_until_the_training_is_over_is_held(scores: list[float], held: float | None,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_score, "Single", wavering(scores, until_over=4))
    a_second_at_each_look(monkeypatch)
    one = Race("kale", 3.0, seconds=60.0, pause=1.0).run(SINGLE, 0)
    assert (one.touched, one.held) == (2.0, held)


@pytest.mark.parametrize("name", SINGLES)
def test_learners_and_the_single_files_run_and_are_evaluated(name: str) -> None:
    race = Race("kale", 1e9, seconds=0.01, pause=0.01, num_worlds=32, episodes=3)
    learner, single = race.run("q-learning", 1), race.run(f"{name},learning_rate=0.003", 1)
    assert learner.held is single.held is None
    assert learner.steps >= 10 * 32  # however many iterations fit in the time
    assert learner.steps % (10 * 32) == 0
    assert single.steps >= 10
    assert all(0.0 < one.scores[-1] < 39.3 for one in (learner, single))  # no policy earns more than the optimum


def test_training_that_is_over_is_evaluated_once_more() -> None:
    one = Race("kale", 0.0, seconds=60.0, pause=60.0, num_worlds=2, episodes=1).run("q-learning", 0)
    assert (one.steps, len(one.scores)) == (2 * 50, 1)
    assert one.held == one.touched == one.trained


def test_the_report_says_how_much_longer_the_faster_single_file_took() -> None:
    def seeds(name: str, *held: float | None) -> list[Reached]:
        return [Reached(name, seed, held[seed], held[seed], 400.0, 1000, (38.0,)) for seed in range(len(held))]

    def text(found: list[Reached]) -> str:
        data = {"preset": "kale", "wanted": 37.0, "reached": [asdict(one) for one in found]}
        return race_text(Path(), {"made": made_by("command"), "data": data})

    fast, slow = seeds("dqn,y=1", 1.0, 2.0, 3.0), seeds(SINGLE, 9.0, 20.0, None)
    other = [*seeds("pqn", 4.0, 4.0, 4.0), *seeds("single-pqn", 6.0, 6.0, 6.0)]
    report = text([*fast, *slow, *seeds(f"{SINGLE},x=1", 9.0, 30.0, 90.0), *other])
    assert "2.0 s (1.0 to 3.0)" in report
    assert "by 2 of 3 seeds, from 9.0 s" in report
    assert "10.0 times as long" in report
    assert "1.5 times as long" in report  # PQN's is the PQN in a single file, not the DQN
    assert "times as long" not in text([*fast, *seeds(SINGLE, None, None, 9.0)])


@pytest.mark.parametrize(("option", "named", "fix"), [
    ("hidden=8", ["hidden", "single-pqn"], "learning_rate"),
    ("rollout_length=3", ["num_minibatches", 4, "3 steps"], "rollouts")])
def test_options_that_a_single_file_cannot_have_are_named(option: str, named: list[Any], fix: str, tmp_path: Path,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--learners", f"single-pqn,{option}", "--out", str(tmp_path)], RACE) == 2
    assert_said(capsys.readouterr().err, *named, fix=fix)


def test_wrong_numbers_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--pause", "0"], RACE) == 2
    assert_said(capsys.readouterr().err, "pause", 0.0, fix=0)


def test_a_race_writes_a_report_that_follows_from_its_rows(tmp_path: Path) -> None:
    flags = ["--learners", "pqn", SINGLE, "--seeds", "1", "--seconds", "0.01", "--pause", "0.01", "--num-worlds", "2",
             "--episodes", "1", "--out", str(tmp_path)]
    assert main(["kale", "1e9", *flags], RACE) == 0
    assert (tmp_path / "report.md").read_text() == rendered(tmp_path)
