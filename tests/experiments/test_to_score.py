"""The race to a score: what counts as held, and that both kinds of learner run in it."""

import sys
from itertools import count
from types import SimpleNamespace

import pytest

from interplay.experiments.bench import to_score
from interplay.experiments.bench.to_score import SINGLE, Reached, race, text


def test_a_score_that_is_lost_again_is_touched_and_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wavering:
        over, steps, scores = False, 7, iter([1.0, 3.0, 1.0, 3.0, 4.0, 3.0, 9.0])

        def __init__(self, *_: str) -> None:
            pass

        def train(self) -> None:
            pass

        def score(self) -> float:
            return next(self.scores)

    monkeypatch.setattr(to_score, "Single", Wavering)
    monkeypatch.setattr(to_score, "time", SimpleNamespace(perf_counter=count().__next__))  # a second at each look
    (one,) = race("kale", 3.0, seconds=60.0, pause=1.0, names=())
    assert one.scores == (1.0, 3.0, 1.0, 3.0, 4.0, 3.0)
    assert (one.touched, one.held, one.trained) == (2.0, 4.0, 6.0)


def test_learners_and_the_single_file_run_and_are_evaluated() -> None:
    learner, single = race("kale", 1e9, seconds=0.01, pause=0.01, names=("q-learning",))
    assert (learner.name, single.name) == ("q-learning", SINGLE)
    assert learner.held is single.held is None
    assert learner.steps >= 10 * 256  # however many iterations fit in the time
    assert learner.steps % (10 * 256) == 0
    assert single.steps >= 10
    assert all(0.0 < one.scores[-1] < 39.3 for one in (learner, single))  # no policy earns more than the optimum


def test_the_report_says_how_much_longer_the_single_file_took() -> None:
    fast = Reached("dqn", 5.0, 10.0, 18.0, 1000, (30.0, 38.0, 38.0, 38.0))
    slow = Reached(SINGLE, 30.0, None, 400.0, 9000, (30.0, 38.0, 30.0))
    assert "over 40.0 times as long" in text([fast, slow], "kale", 37.0, "command")
    assert "not in 400 s" in text([fast, slow], "kale", 37.0, "command")
    held = Reached(SINGLE, 30.0, 50.0, 60.0, 9000, (38.0, 38.0, 38.0))
    assert "5.0 times as long" in text([fast, held], "kale", 37.0, "command")


def test_wrong_numbers_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["to_score", "--pause", "0"])
    with pytest.raises(SystemExit):
        to_score.main()
    assert "pause=0.0: give numbers above 0" in capsys.readouterr().err
