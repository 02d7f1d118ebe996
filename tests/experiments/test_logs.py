"""From the settings of a log to its parts: what composes, and what a user is warned of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from interplay.envs.types import InterplayError
from interplay.experiments.common.flags import typed_flags
from interplay.experiments.common.log_settings import LogSettings
from interplay.experiments.common.logs import logged_parts
from interplay.experiments.common.settings import TrainSettings

WARNING = "are 1, the bottom of the scale"


def write(path: Path, rows: list[tuple[int, int, float]]) -> Path:
    path.write_text("user,item,reward\n" + "".join(f"{u},{i},{r}\n" for u, i, r in rows), encoding="utf-8")
    return path


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    """Twenty pairs: 7 clicked once, 6 twice, 7 three times."""
    times = [1] * 7 + [2] * 6 + [3] * 7
    pairs = [(n // 5, n % 5) for n in range(20)]
    return write(tmp_path / "clicks.csv", [(u, i, 1) for (u, i), n in zip(pairs, times, strict=True) for _ in range(n)])


def test_sums_keep_the_range_that_was_asked_for(clicks: Path) -> None:
    log = logged_parts(LogSettings(log=clicks, reward_range=(0.0, 10.0), duplicates="sum"), 0).whole
    assert log.reward_range == (0.0, 10.0)
    assert np.unique(log.scaled(log.reward), return_counts=True)[1].tolist() == [7, 6, 7]
    assert sorted(set(log.scaled(log.reward).tolist())) == pytest.approx([0.1, 0.2, 0.3])
    assert log.scaled(log.reward).mean() == pytest.approx(0.2)


def test_sums_without_a_range_have_their_own_and_do_not_leave_one_that_is_too_narrow(clicks: Path) -> None:
    assert logged_parts(LogSettings(log=clicks, duplicates="sum"), 0).whole.reward_range == (1.0, 3.0)
    with pytest.raises(InterplayError, match=r"lies outside reward_range=\(0, 2\): widen the range"):
        logged_parts(LogSettings(log=clicks, reward_range=(0.0, 2.0), duplicates="sum"), 0)


@pytest.mark.parametrize(("lowest", "settings", "warned"), [
    (1, {}, True), (1, {"reward_range": (0.0, 4.0)}, False), (0, {}, False), (1, {"implicit_above": 2.0}, False)])
def test_rewards_that_are_worth_nothing_are_warned_of(tmp_path: Path, lowest: int, settings: dict[str, object],
                                                      warned: bool) -> None:
    rows = [(u, i, 4 if (u + i) % 4 == 0 else lowest) for u in range(6) for i in range(8)]
    log = write(tmp_path / "shop.csv", [(u, i, float(r)) for u, i, r in rows])
    summary = logged_parts(LogSettings(log=log, **settings), 0).summary  # type: ignore[arg-type]
    assert ("warning" in summary) == warned
    if warned:
        assert f"36 of 48 rewards (75.0%) {WARNING}" in summary
        assert "--reward-range 0 4" in summary


def test_a_log_of_which_few_rewards_are_the_lowest_is_not_warned_of(tmp_path: Path) -> None:
    log = write(tmp_path / "stars.csv", [(u, i, float((u + i) % 5 + 1)) for u in range(6) for i in range(8)])
    assert "warning" not in logged_parts(LogSettings(log=log), 0).summary


def test_flags_are_typed_in_several_ways() -> None:
    words = ["train", "--preset", "town", "--seed=0", "--log_dir", "runs", "--no-allow-code", "--market", "seed=3"]
    assert typed_flags(words, TrainSettings) == {"preset", "seed", "log_dir", "allow_code", "market"}
    assert typed_flags(["--missing=mask"], LogSettings) == set()
