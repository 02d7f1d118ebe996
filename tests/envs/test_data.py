from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from interplay.envs import data
from interplay.envs.data import (
    ColumnNames,
    DataSet,
    InteractionLog,
    data_sets,
    fit_factors,
    make_log,
    read_log,
    split_log,
)
from interplay.envs.data.movielens_100k import GENRES
from interplay.envs.data.table import TableData
from refusals import refused

MOVIELENS = Path(__file__).parents[2].parent / "shared/data/ml-100k"
needs_movielens = pytest.mark.skipif(not (MOVIELENS / "u.data").is_file(), reason="no MovieLens-100K here")


def frame(**columns: object) -> pl.DataFrame:
    """Three rows, of which some columns are replaced."""
    rows: dict[str, object] = {"user": ["b", "a", "b"], "item": [20, 3, 3], "reward": [1.0, 2.0, 4.0]}
    return pl.DataFrame(rows | columns)


def many(num_users: int = 20, num_items: int = 30, num_rows: int = 400, seed: int = 0) -> InteractionLog:
    """A random log in which many pairs repeat and many times are equal."""
    rng = np.random.default_rng(seed)
    return make_log(pl.DataFrame({
        "user": rng.integers(num_users, size=num_rows), "item": rng.integers(num_items, size=num_rows),
        "reward": rng.integers(1, 6, size=num_rows), "time": rng.integers(5, size=num_rows),
    }), ColumnNames(time="time"))


class TestMakeLog:
    def test_ids_are_numbered_in_sorted_order_and_kept(self) -> None:
        log = make_log(frame())
        assert (log.user_ids, log.item_ids) == (("a", "b"), (3, 20))
        assert log.user.tolist() == [1, 0, 1]
        assert log.item.tolist() == [1, 0, 0]
        assert log.reward.tolist() == [1.0, 2.0, 4.0]
        assert log.reward_range == (1.0, 4.0)

    def test_integers_sort_as_numbers_and_strings_as_text(self) -> None:
        log = make_log(frame(user=[10, 9, -1], item=["10", "9", "é"]))
        assert (log.user_ids, log.item_ids) == ((-1, 9, 10), ("10", "9", "é"))

    def test_categories_sort_as_text(self) -> None:
        ids = pl.Series(["b", "a", "b"], dtype=pl.Enum(["b", "a"]))
        assert make_log(frame(user=ids)).user_ids == ("a", "b")

    def test_repeated_pairs_are_kept_averaged_and_counted(self) -> None:
        log = make_log(frame(user=[1, 1, 2], item=[5, 5, 5], reward=[1, 4, 2]))
        pairs = log.pairs()
        assert (pairs.key.tolist(), pairs.reward.tolist(), pairs.rows.tolist()) == ([0, 1], [2.5, 2.0], [2, 1])
        summary = log.summary()
        assert (summary.repeated_pairs, summary.repeated_rows, summary.rows_read) == (1, 2, 3)
        assert "1 pairs in 2 rows, averaged" in str(summary)

    def test_clicks_may_be_booleans_or_text(self) -> None:
        assert make_log(frame(reward=[True, False, True])).reward.tolist() == [1.0, 0.0, 1.0]
        assert make_log(frame(reward=["1", "0.5", "2e1"])).reward.tolist() == [1.0, 0.5, 20.0]

    @pytest.mark.parametrize("times", [
        [0, 86_400, 1], [0.0, 86_400.0, 1.0], ["1970-01-01", "1970-01-02T00:00:00Z", "1970-01-01 01:00:01+01:00"],
        [datetime(1970, 1, 1), datetime(1970, 1, 2), datetime(1970, 1, 1, 0, 0, 1)],
    ])
    def test_times_become_unix_seconds(self, times: list[object]) -> None:
        log = make_log(frame(at=times), ColumnNames(time="at"))
        assert log.time is not None
        assert log.time.tolist() == [0.0, 86_400.0, 1.0]
        assert log.summary().time_range == (0.0, 86_400.0)
        assert "1970-01-01 00:00:00 UTC to 1970-01-02 00:00:00 UTC" in str(log.summary())

    def test_dates_become_unix_seconds(self) -> None:
        log = make_log(frame(at=[date(1970, 1, 2)] * 3), ColumnNames(time="at"))
        assert log.time is not None
        assert log.time.tolist() == [86_400.0] * 3

    def test_propensities_are_kept(self) -> None:
        log = make_log(frame(p=[1.0, 0.5, 1e-6]), ColumnNames(propensity="p"))
        assert log.propensity is not None
        assert log.propensity.tolist() == [1.0, 0.5, 1e-6]

    def test_positions_count_from_one(self) -> None:
        columns = ColumnNames(position="slot")
        log = make_log(frame(slot=[3, 1, 2]), columns)
        assert log.position is not None
        assert log.take(np.array([True, False, True]), "left out").position.tolist() == [3, 2]
        for wrong in (0, 1.5):
            with refused("slot", wrong, fix=1):
                make_log(frame(slot=[1, wrong, 2] if wrong == 0 else [1.0, wrong, 2.0]), columns)

    @pytest.mark.parametrize(("name", "values", "row", "fix"), [
        ("reward", [1.0, None, 2.0], 2, ()), ("reward", [1.0, math.nan, 2.0], 2, ()),
        ("reward", [1.0, 2.0, math.inf], 3, ()), ("reward", [1.0, 1e300, 2.0], 2, "unit"),
        ("reward", ["1", "good", "2"], 2, ()), ("user", ["a", "b", None], 3, ()), ("item", [None, 1, 2], 1, ()),
        ("time", [1, 2, None], 3, ()), ("time", ["2024-01-01", "soon", "2024"], 2, "ISO-8601"),
        ("time", [1, 2, 1_700_000_000_000], 3, "--time-format ms"),
        ("time", [1.0, math.nan, 2.0], 2, "--time-format ms"),
        ("propensity", [0.5, 0.0, 0.5], 2, (0, 1)), ("propensity", [1.5, 0.1, 0.5], 1, (0, 1)),
        ("propensity", [0.5, 0.1, math.nan], 3, (0, 1)), ("split", ["train", "Test", "test"], 2, ("train", "test")),
        ("split", ["train", "test", None], 3, ("train", "test")), ("split", [0, 1, 1], 1, ("train", "test")),
    ])
    def test_bad_values_are_named_with_row_and_fix(self, name: str, values: list[Any], row: int, fix: Any) -> None:
        optional = {name: name} if name in ("time", "propensity", "split") else {}
        value = values[row - 1]
        with refused("clicks.csv", name, "nothing" if value is None else value, row, fix=fix):
            make_log(frame(**{name: values}), ColumnNames(**optional), "clicks.csv")

    @pytest.mark.parametrize(("name", "values", "kind", "fix"), [
        ("reward", [[1], [2], [3]], "List", "numbers"), ("item", [1.0, 2.0, 3.0], "Float64", ("integers", "strings"))])
    def test_columns_of_another_type_are_named(self, name: str, values: list[Any], kind: str, fix: Any) -> None:
        with refused("table", name, kind, fix=fix):
            make_log(frame(**{name: values}))

    def test_an_unknown_column_lists_those_that_exist(self) -> None:
        with refused("rating", fix=("user", "item", "reward")):
            make_log(frame(), ColumnNames(reward="rating"))

    def test_a_column_has_one_purpose(self) -> None:
        with refused("'user'"):
            make_log(frame(), ColumnNames(item="user"))

    def test_an_empty_log_is_refused(self) -> None:
        with refused(0):
            make_log(frame().clear())


class TestInteractionLog:
    def test_scales_by_its_range(self) -> None:
        log = make_log(frame())
        assert log.scaled(log.reward).tolist() == pytest.approx([0.0, 1 / 3, 1.0])
        assert replace(log, reward_range=(0.0, 4.0)).scaled(log.reward).tolist() == [0.25, 0.5, 1.0]

    def test_equal_rewards_need_a_range(self) -> None:
        log = make_log(frame(reward=[1, 1, 1]))
        with refused("reward", 1, fix=("reward_range", "--reward-range 0 1")):
            log.scaled(log.reward)
        assert replace(log, reward_range=(0.0, 1.0)).scaled(log.reward).tolist() == [1.0, 1.0, 1.0]

    def test_a_range_holds_every_reward(self) -> None:
        with refused("reward", 4, "reward_range", (0, 2)):
            replace(make_log(frame()), reward_range=(0.0, 2.0))

    def test_sizes_have_to_agree(self) -> None:
        with refused("titles", 1, 2):
            replace(make_log(frame()), titles=("one",))

    def test_the_summary_says_what_was_dropped(self) -> None:
        text = str(make_log(frame(), dropped={"unrated": 7}).summary())
        assert "10 read; dropped: 7 unrated" in text
        assert "2 users x 2 items, density 75.000%" in text
        assert "repeats  none" in text
        assert "users 'a' to 'b' (strings, sorted by code point); items 3 to 20 (integers" in text


class TestSplit:
    @pytest.mark.parametrize("how", ["random", "time"])
    def test_no_pair_lies_in_both_parts(self, how: data.split.How) -> None:
        log = many()
        assert log.summary().repeated_pairs > 50
        train, test = split_log(log, 0.3, how)
        assert not set(train.pair_key) & set(test.pair_key)
        assert len(train) + len(test) == len(log)
        for name in ("user_ids", "item_ids", "reward_range"):
            assert getattr(train, name) == getattr(test, name) == getattr(log, name)
        assert train.summary().dropped == {"in held-out pairs": len(test)}
        assert test.summary().dropped == {"for training": len(train)}
        assert train.summary().rows_read == len(log)

    def test_a_random_split_follows_its_seed_and_not_the_order_of_rows(self) -> None:
        log = many()
        first, again, other = (split_log(log, 0.25, seed=seed)[1].pair_key for seed in (3, 3, 4))
        assert first.tolist() == again.tolist()
        assert first.tolist() != other.tolist()
        backwards = replace(log, **{name: getattr(log, name)[::-1] for name in ("user", "item", "reward", "time")})
        assert set(split_log(backwards, 0.25, seed=3)[1].pair_key) == set(first)
        assert len(set(first)) == round(0.25 * len(log.pairs().key))

    def test_time_holds_out_each_users_newest_pairs(self) -> None:
        log = make_log(pl.DataFrame({
            "user": [1, 1, 1, 1, 2, 2, 1], "item": [4, 3, 2, 1, 1, 2, 4], "reward": [1, 2, 3, 4, 5, 1, 2],
            "time": [10, 20, 20, 20, 9, 8, 99]}), ColumnNames(time="time"))
        train, test = split_log(log, 0.5, "time")
        # Item 4 is user 1's oldest, whatever comes later; of three equal times the log's last two are newest.
        assert list(zip(test.user, test.item, strict=True)) == [(0, 1), (0, 0), (1, 0)]
        assert len(train) == 4

    def test_time_leaves_every_user_something_to_learn_from(self) -> None:
        train, _ = split_log(many(), 0.9, "time")
        assert len(set(train.user)) == 20

    def test_own_keeps_pairs_of_both_parts_held_out_only(self) -> None:
        log = replace(make_log(frame(user=[1, 1, 2], item=[5, 5, 5])), split=np.array([True, False, False]))
        train, test = split_log(log, how="own")
        assert (train.reward.tolist(), test.reward.tolist()) == ([4.0], [1.0])
        assert train.summary().dropped == {"in held-out pairs": 2}

    @pytest.mark.parametrize("extension", [".csv", ".parquet"])
    @pytest.mark.parametrize("kind", [pl.String, pl.Categorical])
    def test_own_may_be_a_column_of_a_table(self, extension: str, kind: type[pl.DataType], tmp_path: Path) -> None:
        path = tmp_path / f"log{extension}"
        parts = frame(user=[1, 2, 3], item=[5, 6, 7], part=pl.Series(["test", "train", "test"], dtype=kind))
        parts.write_csv(path) if extension == ".csv" else parts.write_parquet(path)
        train, test = split_log(read_log(path, ColumnNames(split="part")), how="own")
        ids = [[part.user_ids[u] for u in part.user] for part in (train, test)]
        assert ids == [[2], [1, 3]]

    @pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, float("nan")])
    def test_the_share_lies_between_0_and_1(self, share: float) -> None:
        with refused("held_out", share, fix=(0, 1)):
            split_log(many(), share)

    def test_an_empty_part_is_refused(self) -> None:
        with refused("held_out", 0.1, 3, "held-out", fix="held_out"):
            split_log(make_log(frame()), 0.1)
        with refused("held_out", 0.9, 3, "training", fix="held_out"):
            split_log(make_log(frame()), 0.9)
        with refused("how", "own", "training", fix="split"):
            split_log(make_log(frame(split=["test"] * 3), ColumnNames(split="split")), how="own")

    def test_what_a_split_needs_is_named(self) -> None:
        log = make_log(frame())
        with refused("times", fix=("column", "how='random'")):
            split_log(log, how="time")
        with refused("how", "own", fix=("--split-column", "random")):
            split_log(log, how="own")
        with refused("how", "best", fix=("random", "time", "own")):
            split_log(log, how="best")  # type: ignore[arg-type]


class TestTable:
    @pytest.mark.parametrize("extension", [".csv", ".tsv", ".parquet"])
    def test_what_is_written_is_read(self, tmp_path: Path, extension: str) -> None:
        path = tmp_path / f"clicks{extension}"
        table = frame(when=[5, 6, 7], p=[0.5, 0.25, 1.0])
        table = table.rename({"user": "who", "item": "what", "reward": "worth"})
        if extension == ".parquet":
            table.write_parquet(path)
        else:
            table.write_csv(path, separator="\t" if extension == ".tsv" else ",")
        log = read_log(path, ColumnNames("who", "what", "worth", "when", "p"))
        assert (log.user_ids, log.item_ids) == (("a", "b"), (3, 20))
        assert (log.user.tolist(), log.item.tolist()) == ([1, 0, 1], [1, 0, 0])
        assert log.reward.tolist() == [1.0, 2.0, 4.0]
        assert log.time is not None
        assert log.propensity is not None
        assert (log.time.tolist(), log.propensity.tolist()) == ([5.0, 6.0, 7.0], [0.5, 0.25, 1.0])

    def test_defaults_take_time_and_propensity_where_they_are(self, tmp_path: Path) -> None:
        frame().write_csv(tmp_path / "plain.csv")
        frame(time=["2024-01-01"] * 3, propensity=[0.5] * 3).write_csv(tmp_path / "full.CSV")
        plain, full = read_log(tmp_path / "plain.csv"), read_log(tmp_path / "full.CSV")
        assert (plain.time, plain.propensity) == (None, None)
        assert full.time is not None
        assert full.propensity is not None
        assert full.time[0] == 1_704_067_200.0

    def test_columns_can_be_named(self, tmp_path: Path) -> None:
        frame().rename({"reward": "stars"}).write_csv(tmp_path / "log.csv")
        assert read_log(tmp_path / "log.csv", ColumnNames(reward="stars")).reward.tolist() == [1.0, 2.0, 4.0]
        with refused("log.csv", "reward", fix=("user", "item", "stars", "--guess-columns")):
            read_log(tmp_path / "log.csv")

    def test_ids_that_only_look_like_numbers_stay_apart(self, tmp_path: Path) -> None:
        (tmp_path / "log.csv").write_text("user,item,reward\n007,1,1\n7,2,0\n")
        log = read_log(tmp_path / "log.csv")
        assert (log.user_ids, log.item_ids) == (("007", "7"), (1, 2))

    @pytest.mark.parametrize(("name", "content", "named"), [
        ("log.txt", b"user,item,reward\n", [0]), ("log.csv", b"", ["empty"]), ("log.csv", b"\n\n", ["row"]),
        ("log.csv", b"user,item,reward\n1,'a,b',3\n1,2,3\n", ["row 1", 4, "1,'a,b',3", 3]),
        ("log.tsv", b"user\titem\treward\n1\t2\t3\n1\t2\t3\t4\n", ["row 2", 4, "1,2,3,4", 3]),
        ("log.csv", b"user,item,reward\n1,2,3\n1,2,bad\n", ["reward", "bad", "row 2"]),
        ("log.csv", b"user,item,reward\n1,2,3\n,2,1\n", ["user", "nothing", "row 2"]),
        ("log.csv", b"user,item,reward\n", [0]), ("log.parquet", b"not parquet", ["parquet"]),
    ])
    def test_bad_files_are_refused(self, tmp_path: Path, name: str, content: bytes, named: list[Any]) -> None:
        (tmp_path / name).write_bytes(content)
        with refused(name, *named):
            TableData().read(tmp_path / name, ColumnNames())

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with refused("none.csv", fix="path"):
            TableData().read(tmp_path / "none.csv", ColumnNames())


class TestDiscovery:
    def test_every_file_with_a_data_set_is_found(self) -> None:
        assert {"market-log", "movielens-100k", "open-bandit", "table"} <= set(data_sets())
        assert all(issubclass(kind, DataSet) for kind in data_sets().values())

    def test_unknown_paths_are_refused(self, tmp_path: Path) -> None:
        with refused("nowhere", fix="path"):
            read_log(tmp_path / "nowhere")
        with refused(tmp_path, "movielens-100k", "table", fix="table"):
            read_log(tmp_path)


def write_movielens(folder: Path, films: str, ratings: str = "1\t2\t5\t100\n3\t1\t1\t90\n",
                    info: str = "") -> Path:
    (folder / "u.data").write_text(ratings)
    (folder / "u.item").write_bytes(films.encode("latin-1"))
    if info:
        (folder / "u.info").write_text(info)
    return folder


def film(number: int, title: str, *genres: int) -> str:
    return "|".join([str(number), title, "", "", "", *("1" if g in genres else "0" for g in range(19))]) + "\n"


class TestMovieLens100K:
    def test_a_small_copy(self, tmp_path: Path) -> None:
        films = film(1, "Caf\xe9\x85", 1, 5) + film(2, "None") + film(9, "Unseen", 3)
        log = read_log(write_movielens(tmp_path, films))
        assert (log.user_ids, log.item_ids, log.titles) == ((1, 3), (1, 2), ("Caf\xe9\x85", "None"))
        assert log.topic_names == GENRES
        assert log.item_topics is not None
        assert log.item_topics[0, [1, 5]].tolist() == [0.5, 0.5]
        assert log.item_topics[1].tolist() == pytest.approx([1 / 19] * 19)
        assert log.item_topics.sum(1).tolist() == pytest.approx([1.0, 1.0])

    def test_ratings_alone_do(self, tmp_path: Path) -> None:
        write_movielens(tmp_path, film(1, "A")).joinpath("u.item").unlink()
        log = read_log(tmp_path / "u.data")
        assert (len(log), log.item_topics, log.num_topics) == (2, None, 1)

    @pytest.mark.parametrize(("films", "ratings", "info", "named"), [
        (film(1, "A"), "1\t2\t5\t100\n", "", ["u.item", "film 2", "u.data"]),
        ("2|A|\n", "1\t2\t5\t100\n", "", ["u.item", "film 2", 5, 19]),
        (film(2, "A"), "1\t2\t5\n", "", ["u.data", 3, 4, "rating"]),
        (film(2, "A"), "1\t2\tx\t100\n", "", ["u.data", "rating", "x", "row 1"]),
        (film(2, "A"), "1\t2\t5\t100\n", "1 users\n2 items\n2 ratings\n", ["u.data", 1, "u.info", 2]),
        (film(2, "A"), "", "", ["u.data"]),
    ])
    def test_damaged_copies_are_refused(self, tmp_path: Path, films: str, ratings: str, info: str,
                                        named: list[Any]) -> None:
        with refused(*named):
            read_log(write_movielens(tmp_path, films, ratings, info))

    def test_its_columns_are_not_a_choice(self, tmp_path: Path) -> None:
        with refused("movielens-100k", ColumnNames()):
            read_log(write_movielens(tmp_path, film(1, "A") + film(2, "B")), ColumnNames())

    @needs_movielens
    def test_the_real_thing(self) -> None:
        log = read_log(MOVIELENS)
        assert (len(log), log.num_users, log.num_items, log.num_topics) == (100_000, 943, 1682, 19)
        assert (log.user_ids[0], log.user_ids[-1], log.item_ids[-1]) == (1, 943, 1682)
        assert np.bincount(log.reward.astype(int))[1:].tolist() == [6110, 11370, 27145, 34174, 21201]
        assert log.summary().repeated_pairs == 0
        assert log.summary().density == pytest.approx(0.06305, abs=1e-5)
        assert "1997-09-20 03:05:10 UTC to 1998-04-22 23:10:38 UTC" in str(log.summary())
        assert log.titles is not None
        assert log.titles[0] == "Toy Story (1995)"
        assert len(log.titles) - len(set(log.titles)) == 18
        assert log.item_topics is not None
        assert log.item_topics[0, [3, 4, 5]].tolist() == pytest.approx([1 / 3] * 3)


class TestFactors:
    def test_recovers_a_low_rank_table(self) -> None:
        rng = np.random.default_rng(0)
        truth = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 50))
        user, item = (axis.ravel() for axis in np.indices(truth.shape))
        log = make_log(pl.DataFrame({"user": user, "item": item, "reward": truth.ravel()}))
        train, test = split_log(log)
        error = fit_factors(train, 2, ridge=1e-3).predict(test.user, test.item) - test.scaled(test.reward)
        assert np.abs(error).max() < 0.02

    def test_the_fit_follows_from_the_seed(self) -> None:
        one, same, other = (fit_factors(many(), 3, seed=seed).user_vector for seed in (0, 0, 1))
        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)

    def test_a_user_that_was_never_seen_gets_the_mean(self) -> None:
        log = many()
        part = log.take((log.user > 0) & (log.item > 0), "left out")
        factors = fit_factors(part, 3)
        assert not factors.user_vector[0].any()
        assert not factors.item_vector[0].any()
        assert factors.predict(np.array([0]), np.array([0])) == pytest.approx([factors.mean])

    def test_biases_alone(self) -> None:
        assert fit_factors(many(), 0).user_vector.shape == (20, 0)

    def test_numbers_are_checked(self) -> None:
        with refused("ridge", 0.0, fix=("ridge", 0)):
            fit_factors(many(), 2, ridge=0.0)

    @needs_movielens
    def test_predicts_held_out_ratings(self) -> None:
        train, test = split_log(read_log(MOVIELENS), 0.2, seed=0)
        guess = fit_factors(train, 16).predict(test.user, test.item).clip(0.0, 1.0)
        assert 4.0 * np.sqrt(np.mean((guess - test.scaled(test.reward)) ** 2)) < 0.93
