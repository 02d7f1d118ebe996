"""Preparing a log, splitting it in time, and both from the command line's settings."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from interplay.envs.data import (
    ColumnNames,
    InteractionLog,
    Preparation,
    centre_users,
    make_log,
    prepare,
    read_log,
    split_log,
)
from interplay.envs.data.split import How
from interplay.experiments.common.log_settings import LogSettings
from interplay.experiments.common.logs import logged_parts
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.loop.task import make_task
from refusals import refused


def log_of(*rows: tuple[Any, ...], **changes: Any) -> InteractionLog:
    """A log of ``(user, item, reward)`` or ``(user, item, reward, time)`` rows."""
    names = ["user", "item", "reward", "time"][:len(rows[0])]
    frame = pl.DataFrame([dict(zip(names, row, strict=True)) for row in rows])
    return replace(make_log(frame, ColumnNames(time="time" if "time" in names else None)), **changes)


def many(seed: int = 0) -> InteractionLog:
    """A random log in which pairs repeat, times are equal and users and items differ in how busy they are."""
    rng = np.random.default_rng(seed)
    return make_log(pl.DataFrame({
        "user": (30 * rng.random(600) ** 2).astype(int), "item": (40 * rng.random(600) ** 2).astype(int),
        "reward": rng.integers(1, 6, size=600), "time": rng.integers(40, size=600)}), ColumnNames(time="time"))


def rows(log: InteractionLog) -> list[tuple[object, object, float]]:
    return [(log.user_ids[user], log.item_ids[item], float(reward))
            for user, item, reward in zip(log.user, log.item, log.reward, strict=True)]


class TestDuplicates:
    ROWS = ((1, 5, 4, 30), (1, 6, 2, 10), (1, 5, 1, 20), (1, 5, 2, 30))

    @pytest.mark.parametrize(("how", "expected", "scale"), [
        ("mean", [(1, 6, 2.0), (1, 5, pytest.approx(7 / 3))], (1.0, 4.0)),
        ("sum", [(1, 6, 2.0), (1, 5, 7.0)], (2.0, 7.0)),
        ("first", [(1, 6, 2.0), (1, 5, 1.0)], (1.0, 4.0)),
        # Two rows are equally late, of which the log's last counts.
        ("last", [(1, 6, 2.0), (1, 5, 2.0)], (1.0, 4.0)),
    ])
    def test_one_row_for_each_pair(self, how: Any, expected: list[Any], scale: tuple[float, float]) -> None:
        log, notes = prepare(log_of(*self.ROWS), Preparation(duplicates=how))
        assert sorted(rows(log), key=lambda row: -row[1]) == expected  # type: ignore[operator]
        assert log.reward_range == scale
        assert notes == [f"duplicates one row for each pair, {how}; took away 2 rows"]
        assert log.summary().dropped == {"repeats of a pair": 2}

    def test_without_times_the_order_of_rows_decides(self) -> None:
        log = log_of((1, 5, 4), (1, 5, 1), (1, 5, 2))
        assert [rows(prepare(log, Preparation(duplicates=how))[0]) for how in ("first", "last")] == \
            [[(1, 5, 4.0)], [(1, 5, 2.0)]]

    def test_an_unknown_time_is_never_the_last(self) -> None:
        log = log_of((1, 5, 4, 7), (1, 5, 1, 8))
        log = replace(log, time=np.array([7.0, np.nan]))
        assert rows(prepare(log, Preparation(duplicates="last"))[0]) == [(1, 5, 4.0)]

    def test_held_out_rows_are_not_mixed_with_others(self) -> None:
        log = log_of((1, 5, 4), (1, 5, 2), (1, 5, 1), (2, 5, 3), split=np.array([False, False, True, False]))
        for how, expected in (("mean", 3.0), ("sum", 6.0)):
            prepared, _ = prepare(log, Preparation(duplicates=how))  # type: ignore[arg-type]
            assert rows(prepared) == [(1, 5, expected), (1, 5, 1.0), (2, 5, 3.0)]
            assert rows(split_log(prepared, how="own")[1]) == [(1, 5, 1.0)]

    def test_agrees_with_counting_one_by_one(self) -> None:
        log = many()
        prepared, _ = prepare(log, Preparation(duplicates="mean"))
        assert len(prepared) == len(log.pairs().key)
        order = np.argsort(prepared.pair_key)
        assert prepared.reward[order].tolist() == pytest.approx(log.pairs().reward.tolist())


class TestRewards:
    def test_clip(self) -> None:
        log, notes = prepare(log_of((1, 1, 0.5), (1, 2, 600), (2, 1, 5)), Preparation(clip=(0.0, 5.0)))
        assert (log.reward.tolist(), log.reward_range) == ([0.5, 5.0, 5.0], (0.5, 5.0))
        assert notes == ["clip       1 rewards set to 0 or 5; took away nothing"]

    def test_above_is_above(self) -> None:
        log, notes = prepare(log_of((1, 1, 3), (1, 2, 3.5), (2, 1, 5)), Preparation(implicit_above=3.0))
        assert (log.reward.tolist(), log.reward_range) == ([0.0, 1.0, 1.0], (0.0, 1.0))
        assert notes == ["implicit   2 rewards above 3 are 1, 1 are 0; took away nothing"]

    def test_logarithms_and_ranges(self) -> None:
        plays = log_of((1, 1, 1), (1, 2, 352_698), (2, 1, 99))
        log, _ = prepare(plays, Preparation(scale="log"))
        assert log.reward.tolist() == pytest.approx(np.log([2, 352_699, 100]).tolist())
        assert log.scaled(log.reward).max() == 1.0
        log, notes = prepare(log_of((1, 1, -10), (1, 2, 0), (2, 1, 10)), Preparation(scale="range"))
        assert (log.reward.tolist(), log.reward_range) == ([0.0, 0.5, 1.0], (0.0, 1.0))
        assert notes == ["scale      -10 to 10 became 0 to 1; took away nothing"]

    def test_users_are_centred_by_what_the_training_part_says_of_them(self) -> None:
        log = log_of((1, 1, 5), (1, 2, 3), (1, 3, 1), (2, 1, 2), (3, 3, 1), split=np.array([0, 0, 1, 0, 1], dtype=bool))
        train, test, note = centre_users(*split_log(log, how="own"))
        assert train.reward.tolist() == [1.0, -1.0, 0.0]
        assert test.reward.tolist() == [-3.0, pytest.approx(1 - 10 / 3)]  # user 3 is given the mean of all
        assert train.reward_range == test.reward_range == (1.0 - 4.0, 5.0 - 2.0)
        assert "1 users without training rows" in note

    def test_no_held_out_reward_reaches_the_training_part(self) -> None:
        """Whatever the held-out rewards are, the training part is the same to the bit."""
        train, test = split_log(many())
        other = replace(test, reward=test.reward[::-1].copy())
        one, again = centre_users(train, test)[0], centre_users(train, other)[0]
        assert one.reward.tolist() == again.reward.tolist()
        assert one.reward_range == again.reward_range

    def test_steps_come_in_one_order(self) -> None:
        log = log_of((1, 1, 8), (1, 1, 0), (1, 2, 1), (2, 1, 9), (2, 2, 1), (3, 3, 9))
        settings = Preparation(duplicates="mean", clip=(0.0, 5.0), implicit_above=3.5, k_core=2)
        prepared, notes = prepare(log, settings)
        assert rows(prepared) == [(1, 1, 1.0), (1, 2, 0.0), (2, 1, 1.0), (2, 2, 0.0)]
        assert [note.split()[0] for note in notes] == ["duplicates", "clip", "implicit", "k-core"]
        assert notes[-1].endswith("after 1 rounds; took away 1 rows, 1 users, 1 items")
        assert prepared.summary().rows_read == 6

    def test_nothing_is_done_unless_asked(self) -> None:
        log = many()
        assert prepare(log, Preparation()) == (log, [])

    @pytest.mark.parametrize(("name", "value", "fix"), [
        ("duplicates", "best", ("keep", "mean", "sum", "first", "last")),
        ("scale", "best", ("none", "log", "range", "user")), ("k_core", -1, 0), ("clip", (5.0, 1.0), ()),
        ("implicit_above", float("nan"), ())])
    def test_settings_are_checked(self, name: str, value: Any, fix: Any) -> None:
        with refused(name, value, fix=fix):
            Preparation(**{name: value})

    @pytest.mark.parametrize(("settings", "named"), [
        (Preparation(implicit_above=9.0), ["implicit_above", 9, 1, 5]),
        (Preparation(implicit_above=0.0), ["implicit_above", 0, 1, 5]),
        (Preparation(clip=(7.0, 9.0)), ["clip", (7, 9), 1, 5]), (Preparation(k_core=99), ["k_core", 99, 30, 40])])
    def test_what_leaves_nothing_is_refused(self, settings: Preparation, named: list[Any]) -> None:
        with refused(*named):
            prepare(many(), settings)

    def test_logarithms_need_rewards_above_minus_one(self) -> None:
        with refused("scale", "log", -10, fix="range"):
            prepare(log_of((1, 1, -10), (1, 2, 3)), Preparation(scale="log"))


class TestCore:
    @pytest.mark.parametrize("k", [5, 6, 7])
    def test_it_is_the_largest_part_with_enough_pairs(self, k: int) -> None:
        """Against taking users and items away one at a time, in an order of chance: the core does not depend on it."""
        log = many()
        prepared, _ = prepare(log, Preparation(k_core=k))
        pairs = {(user, item) for user, item, _ in rows(log)}
        rng = np.random.default_rng(k)
        while True:
            users, items = Counter(user for user, _ in pairs), Counter(item for _, item in pairs)
            few = [("user", user) for user in users if users[user] < k] + [("item", i) for i in items if items[i] < k]
            if not few:
                break
            side, gone = few[rng.integers(len(few))]
            pairs = {pair for pair in pairs if pair[side == "item"] != gone}
        assert {(user, item) for user, item, _ in rows(prepared)} == pairs
        assert len(pairs) < len(log.pairs().key)

    def test_repeats_of_a_pair_count_once(self) -> None:
        log = log_of((1, 1, 1), (1, 2, 1), (2, 1, 1), (2, 2, 1), (3, 1, 1), (3, 1, 1), (3, 1, 1))
        assert prepare(log, Preparation(k_core=2))[0].user_ids == (1, 2)

    def test_all_that_is_known_moves_with_its_owner(self) -> None:
        log = log_of(("a", 1, 1), ("b", 2, 3), ("b", 3, 1), ("c", 2, 1), ("c", 3, 4))
        log = replace(log, titles=("one", "two", "three"), item_topics=np.eye(3, dtype=np.float32),
                      user_features=np.array([[1.0], [2.0], [3.0]], dtype=np.float32),
                      item_features=np.array([[4.0], [5.0], [6.0]], dtype=np.float32))
        core, notes = prepare(log, Preparation(k_core=2))
        assert rows(core) == [("b", 2, 3.0), ("b", 3, 1.0), ("c", 2, 1.0), ("c", 3, 4.0)]
        assert (core.user_ids, core.item_ids, core.titles) == (("b", "c"), (2, 3), ("two", "three"))
        assert core.user_features is not None
        assert core.item_features is not None
        assert core.item_topics is not None
        assert core.user_features.tolist() == [[2.0], [3.0]]
        assert core.item_features.tolist() == [[5.0], [6.0]]
        assert core.item_topics.tolist() == [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
        assert notes == ["k-core     at least 2 pairs for each user and item, after 1 rounds; "
                         "took away 1 rows, 1 users, 1 items"]
        assert core.summary().dropped == {"outside the 2-core": 1}


class TestSplits:
    @pytest.mark.parametrize("how", ["random", "time", "global-time", "last", "own"])
    @pytest.mark.parametrize("seed", range(5))
    def test_no_held_out_pair_is_in_the_training_part(self, how: How, seed: int) -> None:
        log = many(seed)
        log = replace(log, split=np.random.default_rng(seed).random(len(log)) < 0.3)
        train, test = split_log(log, 0.3, how, seed)
        assert not np.isin(train.pair_key, test.pair_key).any()
        for part in (train, test):
            assert part.summary().rows_read == len(log)  # every row is there or counted as dropped

    def test_last_holds_out_one_pair_of_all_users_with_two(self) -> None:
        log = log_of((1, 4, 1, 20), (1, 3, 1, 20), (1, 2, 1, 10), (2, 9, 1, 5), (3, 1, 1, 7), (3, 2, 1, 6),
                     (3, 2, 1, 99))
        train, test = split_log(log, how="last")
        # Of user 1's equal times the log's last; user 2 has one pair; user 3's pair with item 2 is as old as its first.
        assert [row[:2] for row in rows(test)] == [(1, 3), (3, 1)]
        assert len(train) == 5

    def test_global_time_learns_nothing_from_the_future(self) -> None:
        log = log_of((1, 1, 1, 10), (2, 1, 2, 20), (1, 2, 3, 20), (1, 1, 4, 40), (2, 3, 5, 30))
        train, test = split_log(log, 0.5, "global-time")
        # Half of four pairs; of the two at time 20 the log's first is the older one.
        assert rows(test) == [(1, 2, 3.0), (2, 3, 5.0)]
        assert rows(train) == [(1, 1, 1.0), (2, 1, 2.0)]
        assert train.summary().dropped == {"in held-out pairs": 2, "later than the first held-out row": 1}

    def test_global_time_keeps_the_order_of_time(self) -> None:
        train, test = split_log(many(), 0.3, "global-time")
        assert train.time is not None
        assert test.time is not None
        assert train.time.max() <= test.time.min()

    @pytest.mark.parametrize("how", ["time", "last", "global-time"])
    def test_times_are_needed(self, how: How) -> None:
        with refused("times", fix=("column", "how='random'")):
            split_log(log_of((1, 1, 1), (1, 2, 1)), how=how)

    def test_no_user_with_two_pairs_leaves_nothing_to_hold_out(self) -> None:
        with refused("how", "last", "held-out"):
            split_log(log_of((1, 1, 1, 1), (2, 1, 1, 2)), how="last")

    def test_the_real_folder_by_every_split(self, ml_100k: Path) -> None:
        log = read_log(ml_100k)
        for how, held_out in (("random", 20_000), ("global-time", 20_000), ("last", 943)):
            train, test = split_log(log, 0.2, how)  # type: ignore[arg-type]
            assert (len(train), len(test)) == (100_000 - held_out, held_out)

    def test_the_real_ties_are_broken_by_the_files_order(self, ml_100k: Path) -> None:
        """Half of its rows share a user's second with an earlier one: who sorts carelessly reads another log."""
        log = read_log(ml_100k)
        assert log.time is not None
        moments = len(np.unique(np.column_stack([log.user, log.time]), axis=0))
        assert 1.0 - moments / len(log) == pytest.approx(0.506, abs=5e-4)
        newest: dict[int, tuple[float, int]] = {}
        for user, item, time in zip(log.user.tolist(), log.item.tolist(), log.time.tolist(), strict=True):
            if user not in newest or time >= newest[user][0]:  # of equal times the later row
                newest[user] = (time, item)
        test = split_log(log, how="last")[1]
        assert dict(zip(test.user.tolist(), test.item.tolist(), strict=True)) == {u: i for u, (_, i) in newest.items()}


class TestSettings:
    def write(self, folder: Path) -> Path:
        path = folder / "log.csv"
        pl.DataFrame({"user": [f"u{n % 6}" for n in range(60)], "item": [n * 7 % 13 for n in range(60)],
                      "reward": [n % 5 + 1 for n in range(60)], "time": range(60)}).write_csv(path)
        return path

    def test_the_summary_shows_the_chain(self, tmp_path: Path) -> None:
        settings = TrainSettings(log=self.write(tmp_path), duplicates="last", k_core=4, scale_rewards="user",
                                 split="global-time", market=("slate_size=2", "embedding_size=4", "num_segments=2"))
        game = make_task(settings, torch.device("cpu"))
        lines = [line.split()[0] for line in game.summary.splitlines()]
        assert lines[:3] == ["form", "form", "rows"]
        assert lines[-6:] == ["duplicates", "k-core", "scale", "left", "training", "missing"]
        assert f"left       {game.summary.split('left')[1].split()[0]} rows, {game.market.config.num_users} users" \
            in game.summary

    def test_rows_that_a_split_leaves_out_are_reported(self, tmp_path: Path) -> None:
        """Coat's own parts share a pair, whose training row would give its answer away; and nothing is learnt late."""
        (tmp_path / "train.ascii").write_text("1 3\n5 0\n")
        (tmp_path / "test.ascii").write_text("4 0\n0 2\n")
        coat = logged_parts(LogSettings(log=tmp_path, split="own"), 0).summary
        assert "training part: 2 rows, held-out part: 2 rows; in neither: 1 training rows of pairs" in coat
        assert "cs.cornell.edu/~schnabts/mnar; terms: none is stated: research use, cite the paper" in coat
        rows = "user,item,reward,time\n1,1,1,10\n2,1,2,20\n1,2,3,20\n1,1,4,40\n2,3,5,30\n"
        (tmp_path / "log.csv").write_text(rows)
        late = logged_parts(LogSettings(log=tmp_path / "log.csv", split="global-time", held_out=0.5), 0).summary
        assert "training part: 2 rows, held-out part: 2 rows; in neither: 1 later than the first held-out row" in late
        whole = logged_parts(LogSettings(log=tmp_path / "log.csv"), 0).summary
        assert whole.endswith(" rows")
        assert "terms" not in whole

    def test_a_wish_without_a_log_is_refused(self) -> None:
        for changes in ({"k_core": 5}, {"duplicates": "mean"}, {"implicit_above": 3.0}, {"clip_rewards": (0.0, 1.0)}):
            (name,) = changes
            with refused(f"--{name.replace('_', '-')}", fix="--log"):
                replace(TrainSettings(), **changes).check()  # type: ignore[arg-type]

    def test_they_survive_being_written(self, tmp_path: Path) -> None:
        settings = TrainSettings(log=self.write(tmp_path), clip_rewards=(0.0, 5.0), k_core=3, duplicates="sum",
                                 reward_range=(1.0, 6.0), implicit_above=2.0, scale_rewards="log", split="last",
                                 data_dir=tmp_path, log_dir=tmp_path)
        assert TrainSettings.from_json(settings.to_json()) == settings

    def test_the_name_of_a_data_set_stays_a_name(self) -> None:
        settings = TrainSettings(log=Path("movielens-1m"))
        assert TrainSettings.from_json(settings.to_json()).log == Path("movielens-1m")
