"""From the settings of a log to its parts: what composes, and what a user is warned of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from interplay.envs.behaviour.logged import LoggedBehaviour
from interplay.envs.market import Market
from interplay.envs.trees import tensors_of
from interplay.experiments.common.flags import typed_flags
from interplay.experiments.common.log_settings import LogSettings
from interplay.experiments.common.logs import logged_parts
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.task import make_task, with_agents
from refusals import refused

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
    with refused("reward", 3, "reward_range", (0, 2)):
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


def test_likely_columns_are_taken_where_that_is_asked_for(tmp_path: Path) -> None:
    log = tmp_path / "library.csv"
    log.write_text("row,member_date,member,movie,isbn,stars\n" + "".join(
        f"{n},2024-01-0{n % 9 + 1},m{n % 4},{'' if n == 3 else n % 5},{n % 7},{n % 5 + 1}\n" for n in range(40)),
        encoding="utf-8")
    with refused("library.csv", fix="--guess-columns"):
        logged_parts(LogSettings(log=log), 0)
    parts = logged_parts(LogSettings(log=log, guess_columns=True), 0)
    assert ("columns were guessed: --user-column member --item-column isbn --reward-column stars --time-column "
            "member_date") in parts.summary  # not every film is known, every book is
    assert (parts.whole.num_users, parts.whole.num_items, len(parts.whole)) == (4, 7, 40)
    log.write_text("a,b\n" + "".join(f"{n},{n / 3}\n" for n in range(20)), encoding="utf-8")
    with refused("library.csv", fix=("--user-column", "--item-column", "--guess-columns")):
        logged_parts(LogSettings(log=log, guess_columns=True), 0)


def test_words_have_a_scale_that_begins_where_nothing_happens(tmp_path: Path) -> None:
    log = tmp_path / "shop.csv"
    log.write_text("user,item,reward\n" + "".join(f"{u},{i},{'buy' if i == 1 else 'view'}\n" for u in range(3)
                                                  for i in range(3)), encoding="utf-8")
    whole = logged_parts(LogSettings(log=log, reward_map=("view=1", "buy=4")), 0).whole
    assert whole.reward_range == (0.0, 4.0)
    assert logged_parts(LogSettings(log=log, reward_map=("view=-1", "buy=4")), 0).whole.reward_range == (-1.0, 4.0)


def test_parts_of_a_log_take_turns_to_pay_and_hide_what_they_pay(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [(u, i, float(rng.integers(1, 6))) for u in range(12) for i in range(10) if rng.random() < 0.5]
    settings = TrainSettings(log=write(tmp_path / "log.csv", rows), cross_fit=3, device="cpu")
    task = make_task(settings, torch.device("cpu"))
    keys = [set(behaviour_of(task.market_of(episode))._tables.key.tolist()) for episode in range(3)]
    train = behaviour_of(task.market)
    assert set.union(*keys) == set(train._tables.key.tolist())
    assert sum(map(len, keys)) == len(train._tables.key)
    assert task.market_of(3) is task.market_of(0)
    for episode, paying in enumerate(keys):  # an item's features are those of the pairs that do not pay
        known = behaviour_of(task.market_of(episode))._train
        assert not paying & set(known.pair_key.tolist())
        count = task.market_of(episode).reset([0]).population.popularity[0]
        assert count.tolist() == np.bincount(known.item, minlength=known.num_items).tolist()
    assert task.market.spec_of("users").catalogue is None  # else a replay would show the features of all
    assert task.held_out.reset([0]).population.popularity.sum() == len(train._train)


def behaviour_of(market: Market) -> LoggedBehaviour:
    assert isinstance(market.behaviour, LoggedBehaviour)
    return market.behaviour


def test_a_run_with_parts_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    rows = [(u, i, float((u + i) % 4 + 1)) for u in range(8) for i in range(10)]
    settings = TrainSettings(log=write(tmp_path / "log.csv", rows), cross_fit=2, device="cpu", episodes=3, items="rest")
    runs = [Run.start(with_agents(settings), tmp_path / name) for name in ("whole", "stopped")]
    for run in runs:
        run.folder.mkdir()
        run.write_config()
        for _ in range(30):  # into the second episode, and so in the other part
            run.step()
            if run.episode_ended:
                run.next_episode()
    runs[1].save()
    again = Run.load(runs[1].folder)
    for run in (runs[0], again):
        while not run.finished:
            run.step()
            if run.episode_ended:
                run.next_episode()
    assert runs[0].curve == again.curve
    learnt = [tensors_of(run.players.state_dict()) for run in (runs[0], again)]
    assert all(torch.equal(own, other) for own, other in zip(*learnt, strict=True))


def test_a_log_of_which_few_rewards_are_the_lowest_is_not_warned_of(tmp_path: Path) -> None:
    log = write(tmp_path / "stars.csv", [(u, i, float((u + i) % 5 + 1)) for u in range(6) for i in range(8)])
    assert "warning" not in logged_parts(LogSettings(log=log), 0).summary


def test_flags_are_typed_in_several_ways() -> None:
    words = ["train", "--preset", "town", "--seed=0", "--log_dir", "runs", "--no-allow-code", "--market", "seed=3"]
    assert typed_flags(words, TrainSettings) == {"preset", "seed", "log_dir", "allow_code", "market"}
    assert typed_flags(["--missing=mask"], LogSettings) == set()
