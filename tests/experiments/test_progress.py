"""Bars of long work: shown in a terminal alone, and full when the work is done."""

from __future__ import annotations

import sys
from typing import Any, Self

import pytest

from interplay.experiments.common import progress as module
from interplay.experiments.common.progress import advance, each, progress, shown_progress
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.evaluate.evaluation import report
from interplay.experiments.loop.run import Run


class Bar:
    """Stands in for tqdm's."""

    made: list[Bar]

    def __init__(self, total: int, desc: str, disable: bool, **others: Any) -> None:
        self.total, self.desc, self.disable, self.done = total, desc, disable, 0
        self.made.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def update(self) -> None:
        self.done += 1


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    Bar.made = []
    monkeypatch.setattr(module, "tqdm", Bar)
    return Bar.made


def test_an_evaluation_beside_baselines_fills_its_bar(bars: list[Bar], tmp_path: Any) -> None:
    run = Run.start(TrainSettings(preset="kale", users="random", items="rest", market=("horizon=3",)), tmp_path)
    report(run.task.held_out, run.players, 2, 0)
    (bar,) = bars
    assert bar.done == bar.total > 0


def test_each_counts_what_is_done_and_inner_work_has_a_bar_of_its_own(bars: list[Bar]) -> None:
    for _ in each("ab", "outer"):
        with progress("inner", 3):
            advance()
    assert [(bar.desc, bar.total, bar.done) for bar in bars] == [("outer", 2, 2), ("inner", 3, 1), ("inner", 3, 1)]
    advance()  # no work is counted here
    assert sum(bar.done for bar in bars) == 4


@pytest.mark.parametrize("terminal", [True, False])
def test_bars_are_for_terminals(terminal: bool, bars: list[Bar], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with shown_progress(), progress("work", 1):
        pass
    with progress("work of a library", 1):
        pass
    assert [bar.disable for bar in bars] == [not terminal, True]
