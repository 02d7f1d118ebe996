"""The public data sets: the real files where they lie beside the checkout, else small ones in the published format."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from interplay.envs.data import ColumnNames, InteractionLog, data_sets, movielens_csv, read_log, split_log
from interplay.envs.data.files import read_typed
from refusals import refused

DATA = Path(__file__).parents[2].parent / "shared/data"


def real(name: str) -> Path:
    path = DATA / name
    if not path.is_dir():
        pytest.skip(f"{name} is not beside the checkout")
    return path


def rows(log: InteractionLog) -> list[tuple[object, object, float]]:
    """The log's rows in the source's own ids."""
    return [(log.user_ids[user], log.item_ids[item], float(reward))
            for user, item, reward in zip(log.user, log.item, log.reward, strict=True)]


def shares(log: InteractionLog) -> list[list[float]]:
    assert log.item_topics is not None
    return np.round(log.item_topics, 3).tolist()


@pytest.mark.parametrize("name", sorted(data_sets().keys() - {"table", "market-log"}))
def test_a_public_data_set_says_what_it_is(name: str) -> None:
    kind = data_sets()[name]
    for said in (kind.source, kind.licence, kind.rows, kind.features):
        assert said
    assert kind.downloads
    for download in kind.downloads.values():
        assert download.url is None or download.url.startswith("https://")
        assert download.known_hash is None or len(download.known_hash) in (len("md5:") + 32, len("sha256:") + 64)


def test_no_name_is_used_for_two_downloads() -> None:
    names = [name for kind in data_sets().values() for name in kind.downloads]
    assert len(names) == len(set(names))


class TestCoat:
    def write(self, folder: Path, train: str, test: str, propensities: str = "") -> Path:
        # The published files end their lines with CR and LF.
        (folder / "train.ascii").write_bytes(train.replace("\n", "\r\n").encode())
        (folder / "test.ascii").write_bytes(test.replace("\n", "\r\n").encode())
        if propensities:
            (folder / "propensities.ascii").write_text(propensities)
        return folder

    def test_zero_is_no_rating(self, tmp_path: Path) -> None:
        log = read_log(self.write(tmp_path, "0 3 \n5 0 \n", "1 0 \n0 2 \n"))
        assert rows(log) == [(0, 1, 3.0), (1, 0, 5.0), (0, 0, 1.0), (1, 1, 2.0)]
        assert log.summary().dropped == {"cells that hold 0, not rated": 4}
        assert log.summary().rows_read == 8

    def test_a_user_that_rated_nothing_keeps_a_number(self, tmp_path: Path) -> None:
        log = read_log(self.write(tmp_path, "0 0 0\n0 0 4\n", "0 0 0\n0 0 2\n"))
        assert (log.user_ids, log.item_ids) == ((0, 1), (0, 1, 2))
        assert rows(log) == [(1, 2, 4.0), (1, 2, 2.0)]

    def test_a_pair_of_both_parts_is_held_out_alone(self, tmp_path: Path) -> None:
        train, test = split_log(read_log(self.write(tmp_path, "1 3\n5 0\n", "4 0\n0 2\n")), how="own")
        assert rows(train) == [(0, 1, 3.0), (1, 0, 5.0)]
        assert rows(test) == [(0, 0, 4.0), (1, 1, 2.0)]

    def test_propensities_are_those_of_each_part(self, tmp_path: Path) -> None:
        log = read_log(self.write(tmp_path, "0 3\n5 0\n", "1 0\n2 2\n", "0.1 0.2\n0.3 0.4\n"))
        assert log.propensity is not None
        assert log.propensity.tolist() == [0.2, 0.3, 0.5, 1.0, 1.0]

    @pytest.mark.parametrize(("train", "test", "propensities", "named"), [
        ("0 6\n1 0\n", "1 0\n0 1\n", "", ["train.ascii", 6, "row 1", "column 2"]),
        ("0 1\n1 0\n", "1 0 1\n0 1 0\n", "", ["test.ascii", "2 x 3", "train.ascii", "2 x 2"]),
        ("0 1\n1\n", "1 0\n0 1\n", "", ["train.ascii"]),
        ("0 1\n1 0\n", "1 0\n0 1\n", "0.1 0\n0.1 0.1\n", ["propensities.ascii", "(0, 1]"]),
    ])
    def test_damaged_copies_are_refused(self, tmp_path: Path, train: str, test: str, propensities: str,
                                        named: list[Any]) -> None:
        with refused(*named):
            read_log(self.write(tmp_path, train, test, propensities))

    def test_features_have_to_fit(self, tmp_path: Path) -> None:
        folder = self.write(tmp_path, "0 3\n5 0\n", "1 0\n0 2\n") / "user_item_features"
        folder.mkdir()
        for whose, flags, names in (("user", "0 1\n1 0\n", "gender:men\r\ngender:women\r\n"),
                                    ("item", "1 0 1\n0 1 1\n", "jackettype:pea\r\njackettype:rain\r\ncolor:red")):
            (folder / f"{whose}_features.ascii").write_text(flags)
            (folder / f"{whose}_features_map.txt").write_text(names)
        log = read_log(tmp_path)
        assert log.user_features is not None
        assert log.user_features.tolist() == [[0.0, 1.0], [1.0, 0.0]]
        assert (log.topic_names, shares(log)) == (("pea", "rain"), [[1.0, 0.0], [0.0, 1.0]])
        (folder / "user_features.ascii").write_text("0 1\n1 2\n")
        with refused("user_features.ascii", "2 x 2", fix="folder"):
            read_log(tmp_path)

    def test_the_real_thing(self) -> None:
        log = read_log(real("coat"))
        assert (log.num_users, log.num_items, len(log)) == (290, 300, 11_600)
        assert log.split is not None
        assert log.propensity is not None
        assert np.bincount(log.user[~log.split]).tolist() == [24] * 290
        assert np.bincount(log.user[log.split]).tolist() == [16] * 290
        assert log.reward[~log.split].mean() == pytest.approx(2.611, abs=5e-4)
        assert log.reward[log.split].mean() == pytest.approx(2.229, abs=5e-4)
        assert set(log.propensity[log.split]) == {16 / 300}
        weight = 1 / log.propensity[~log.split]
        assert weight.sum() == pytest.approx(90_486, abs=1)
        # Self-normalised inverse propensities bring the mean of what was chosen nearer to that of what was random.
        assert np.average(log.reward[~log.split], weights=weight) == pytest.approx(2.331, abs=1e-3)
        assert log.summary().repeated_pairs == 366
        assert log.user_features is not None
        assert log.item_features is not None
        assert (log.user_features.shape, log.item_features.shape, log.num_topics) == ((290, 14), (300, 33), 16)

    def test_the_366_pairs_of_both_real_parts_do_not_leak(self) -> None:
        train, test = split_log(read_log(real("coat")), how="own")
        assert (len(train), len(test)) == (6_960 - 366, 4_640)
        assert not np.isin(train.pair_key, test.pair_key).any()


class TestJester:
    def test_99_is_no_rating_and_column_0_is_a_count(self, tmp_path: Path) -> None:
        (tmp_path / "jester-data-1.csv").write_text("2,-9.95,99, 0.5\n3,1,2,10\n")
        log = read_log(tmp_path)
        assert rows(log) == [(1, 1, pytest.approx(-9.95)), (1, 3, 0.5), (2, 1, 1.0), (2, 2, 2.0), (2, 3, 10.0)]
        assert log.summary().dropped == {"cells that hold 99, not rated": 1}
        assert log.reward_range == (-10.0, 10.0)

    def test_users_are_numbered_through_the_parts(self, tmp_path: Path) -> None:
        (tmp_path / "jester-data-2.csv").write_text("1,99,4\n")
        with zipfile.ZipFile(tmp_path / "jester-data-1.zip", "w") as packed:
            packed.writestr("jester-data-1.csv", "1,1,99\n1,2,99\n")
        assert rows(read_log(tmp_path)) == [(1, 1, 1.0), (2, 1, 2.0), (3, 2, 4.0)]
        assert rows(read_log(tmp_path / "jester-data-2.csv")) == [(1, 2, 4.0)]

    def test_a_user_that_rated_nothing_does_not_shift_the_others(self, tmp_path: Path) -> None:
        (tmp_path / "jester-data-1.csv").write_text("0,99,99\n1,99,4\n")
        assert rows(read_log(tmp_path)) == [(2, 2, 4.0)]

    @pytest.mark.parametrize(("text", "named"), [
        ("2,1,99\n", ["row 1", 2, 1]), ("1,10.5,99\n", [10.5, "joke 1", "row 1", -10, 10, 99]), ("1,many,99\n", [])])
    def test_damaged_copies_are_refused(self, tmp_path: Path, text: str, named: list[Any]) -> None:
        (tmp_path / "jester-data-1.csv").write_text(text)
        with refused("jester-data-1.csv", *named):
            read_log(tmp_path)

    def test_the_publishers_spreadsheet_differs_from_a_csv(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "jester-data-1.zip", "w") as packed:
            packed.writestr("jester-data-1.xls", "")
        with refused("jester-data-1.xls", fix="CSV"):
            read_log(tmp_path)

    def test_the_real_thing(self) -> None:
        log = read_log(real("jester"))
        assert (log.num_users, log.num_items, len(log)) == (24_983, 100, 1_810_455)
        assert log.reward.mean(dtype=np.float64) == pytest.approx(0.880, abs=1e-3)
        assert (float(log.reward.min()), float(log.reward.max())) == (pytest.approx(-9.95), 10.0)
        counts = np.bincount(log.user)
        assert (int(counts.min()), int((counts == 100).sum())) == (36, 7_200)
        assert log.titles is not None
        assert log.titles[0].startswith("A man visits the doctor.")
        assert max(map(len, log.titles)) <= 64


class TestMovieLensFolds:
    @pytest.mark.parametrize(("file", "held_out"), [
        ("u1.base", 20_000), ("u2.test", 20_000), ("u3.base", 20_000), ("u4.base", 20_000), ("u5.test", 20_000),
        ("ua.base", 9_430), ("ub.test", 9_430)])
    def test_the_real_folds(self, file: str, held_out: int) -> None:
        log = read_log(real("ml-100k") / file)
        train, test = split_log(log, how="own")
        assert (len(train), len(test)) == (100_000 - held_out, held_out)
        whole = read_log(real("ml-100k"))
        assert np.array_equal(np.sort(log.pair_key), np.sort(whole.pair_key))
        assert log.titles == whole.titles

    def test_the_five_folds_hold_out_every_row_once(self) -> None:
        held = [split_log(read_log(real("ml-100k") / f"u{fold}.test"), how="own")[1].pair_key for fold in range(1, 6)]
        assert len(np.unique(np.concatenate(held))) == 100_000

    def test_ua_and_ub_hold_out_ten_of_each_user(self) -> None:
        for fold in ("ua", "ub"):
            test = split_log(read_log(real("ml-100k") / f"{fold}.base"), how="own")[1]
            assert np.bincount(test.user).tolist() == [10] * 943

    def test_a_fold_needs_both_files(self, tmp_path: Path) -> None:
        (tmp_path / "u1.base").write_text("1\t2\t5\t100\n")
        with refused("u1.test", "u1"):
            read_log(tmp_path / "u1.base")


class TestMovieLens1M:
    def write(self, folder: Path, ratings: str, films: bytes = b"", people: str = "") -> Path:
        (folder / "ratings.dat").write_text(ratings)
        if films:
            (folder / "movies.dat").write_bytes(films)
        if people:
            (folder / "users.dat").write_text(people)
        return folder

    @pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
    def test_double_colons_and_either_encoding(self, tmp_path: Path, encoding: str) -> None:
        films = "1::Caf\xe9: A \"Story\" (1995)::Comedy|Drama\n7::Unseen (1990)::War\n9::B (2000)::Drama\n"
        people = "1::F::1::10::48067\n2::M::56::16::70072\n"
        self.write(tmp_path, "1::9::5::978300760\n2::1::3.5::978302109\n", films.encode(encoding), people)
        log = read_log(tmp_path)
        assert rows(log) == [(1, 9, 5.0), (2, 1, 3.5)]
        assert log.titles == ("Caf\xe9: A \"Story\" (1995)", "B (2000)")
        assert (log.topic_names, shares(log)) == (("Comedy", "Drama"), [[0.5, 0.5], [0.0, 1.0]])
        assert log.time is not None
        assert log.time.tolist() == [978300760.0, 978302109.0]
        assert log.user_features is not None
        # F, M, the age, and one column for each occupation: their numbers are codes.
        assert log.user_features.tolist() == [[1.0, 0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 56.0, 0.0, 1.0]]

    def test_ratings_alone_do(self, tmp_path: Path) -> None:
        log = read_log(self.write(tmp_path, "1::9::5::978300760\n") / "ratings.dat")
        assert (len(log), log.titles, log.user_features) == (1, None, None)

    @pytest.mark.parametrize(("ratings", "films", "people", "named"), [
        ("1::9::5\n", b"", "", ["ratings.dat", 3, 4]),
        ("1::9::x::7\n", b"", "", ["ratings.dat", "rating", "x", "row 1"]),
        ("1::9::5::7\n", b"1::A::War\n", "", ["movies.dat", "film 9", "ratings.dat"]),
        ("1::9::5::7\n", b"9::A\n", "", ["movies.dat", "line 1", 2, 3]),
        ("1::9::5::7\n", b"", "1::F::old::1::0\n", ["users.dat", "age", "old", "row 1"]),
        ("", b"", "", ["ratings.dat"]),
    ])
    def test_damaged_copies_are_refused(self, tmp_path: Path, ratings: str, films: bytes, people: str,
                                        named: list[Any]) -> None:
        with refused(*named):
            read_log(self.write(tmp_path, ratings, films, people))


class TestMovieLensCSV:
    HEADER = "userId,movieId,rating,timestamp\n"

    def write(self, folder: Path, ratings: str, films: str = "") -> Path:
        (folder / "ratings.csv").write_text(self.HEADER + ratings)
        if films:
            (folder / "movies.csv").write_text("movieId,title,genres\n" + films)
        return folder

    def test_titles_with_commas_and_films_without_genres(self, tmp_path: Path) -> None:
        films = "1,Plain (1995),Comedy|Drama\n11,\"Big, The \"\"One\"\" (1990)\",(no genres listed)\n5,Unseen,War\n"
        log = read_log(self.write(tmp_path, "2,11,3.5,1147880044\n1,1,0.5,1147868817\n", films))
        assert rows(log) == [(2, 11, 3.5), (1, 1, 0.5)]
        assert log.titles == ("Plain (1995)", 'Big, The "One" (1990)')
        assert (log.topic_names, shares(log)) == (("Comedy", "Drama"), [[0.5, 0.5], [0.5, 0.5]])
        assert log.time is not None
        assert log.time.tolist() == [1147880044.0, 1147868817.0]

    def test_rows_are_read_into_20_bytes_each(self, tmp_path: Path) -> None:
        """What lets 25 million rows fit; tests/envs/measure_ratings.py measures them."""
        frame = read_typed(self.write(tmp_path, "1,2,3.5,5\n" * 1000) / "ratings.csv", movielens_csv._TYPES)
        assert (frame.height, frame.estimated_size()) == (1000, 20_000)

    def test_a_table_of_yours_with_that_name_stays_yours(self, tmp_path: Path) -> None:
        (tmp_path / "ratings.csv").write_text("user,item,reward\na,b,1\n")
        assert rows(read_log(tmp_path / "ratings.csv")) == [("a", "b", 1.0)]

    @pytest.mark.parametrize(("ratings", "films", "named"), [
        ("1,2,good,5\n", "", ["rating", "good", "row 1", "Float32"]),
        ("1,2,3,5\n1,99999999999,3,5\n", "", ["movieId", "99999999999", "row 2", "Int32"]),
        ("1,2,3,5\n,2,3,5\n", "", ["userId", "nothing", "row 2"]), ("1,2,,5\n", "", ["rating", "nothing", "row 1"]),
        ("1,2,3,5,6,7\n", "", ["row 1", 6, 4]), ("", "", [0]),
        ("1,2,3,5\n", "1,A,War\n", ["movies.csv", "film 2"]),
    ])
    def test_damaged_copies_are_refused(self, tmp_path: Path, ratings: str, films: str, named: list[Any]) -> None:
        with refused("ratings.csv", *named):
            read_log(self.write(tmp_path, ratings, films))


class TestLastFM:
    HEADER = "userID\tartistID\tweight\n"

    def test_names_with_quotes_and_lines_that_lack_fields(self, tmp_path: Path) -> None:
        (tmp_path / "user_artists.dat").write_text(self.HEADER + "2\t51\t13883\n2\t52\t11690\n4\t51\t1\n")
        artists = "id\tname\turl\tpictureURL\n51\tDuran \"Duran\thttp://a\thttp://b\n52\tSigur R\xf3s\thttp://c\n"
        (tmp_path / "artists.dat").write_text(artists, encoding="utf-8")
        log = read_log(tmp_path)
        assert rows(log) == [(2, 51, 13883.0), (2, 52, 11690.0), (4, 51, 1.0)]
        assert log.titles == ('Duran "Duran', "Sigur R\xf3s")
        (tmp_path / "artists.dat").write_text("id\tname\turl\tpictureURL\n51\tA\n")
        with refused("artists.dat", "artist 52", "user_artists.dat"):
            read_log(tmp_path)

    def test_the_header_is_checked(self, tmp_path: Path) -> None:
        (tmp_path / "user_artists.dat").write_text("2\t51\t13883\n2\t52\t11690\n")
        with refused("user_artists.dat", "2, 51, 13883", "userID, artistID, weight"):
            read_log(tmp_path)


class TestKuaiRec:
    HEADER = "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio\n"
    BIG = "0,149,6067,6067,2020-07-05 05:27:48.378,20200705,1593898068.378,1.0\n" \
          "0,7,9000,3000,2020-07-05 05:28:00.057,20200705.0,1593898080.057,3.0\n"
    SMALL = "14,149,4381,6067,2020-07-05 05:27:48.378,20200705.0,1593898068.378,0.72\n14,7,0,3000,,,,0.0\n"

    def write(self, folder: Path) -> Path:
        data = folder / "KuaiRec 2.0" / "data"
        data.mkdir(parents=True)
        (data / "big_matrix.csv").write_text(self.HEADER + self.BIG)
        (data / "small_matrix.csv").write_text(self.HEADER + self.SMALL)
        (data / "item_categories.csv").write_text('video_id,feat\n7,"[27, 9]"\n149,[8]\n999,[1]\n')
        (data / "user_features.csv").write_text(
            "user_id,user_active_degree,is_live_streamer,fans_user_num,follow_user_num_range,onehot_feat4\n"
            '0,high_active,0,5,"(0,10]",\n14,UNKNOWN,-124,0,500+,3\n')
        return data

    def test_the_small_matrix_is_held_out(self, tmp_path: Path) -> None:
        self.write(tmp_path)
        log = read_log(tmp_path / "KuaiRec 2.0")
        assert rows(log) == [(0, 149, 1.0), (0, 7, 3.0), (14, 149, pytest.approx(0.72)), (14, 7, 0.0)]
        train, test = split_log(log, how="own")
        assert (train.user.tolist(), test.user.tolist()) == ([0, 0], [1, 1])

    def test_either_matrix_alone(self, tmp_path: Path) -> None:
        log = read_log(self.write(tmp_path) / "small_matrix.csv")
        assert (len(log), log.split) == (2, None)

    def test_rows_without_a_time_are_kept_and_counted(self, tmp_path: Path) -> None:
        log = read_log(self.write(tmp_path))
        assert log.time is not None
        assert log.time.tolist()[:3] == [1593898068.378, 1593898080.057, 1593898068.378]
        assert np.isnan(log.time[3])
        assert "to 2020-07-04 21:28:00 UTC; 1 rows without" in str(log.summary())
        with refused("times", 1, fix="how='random'"):
            split_log(log, how="time")

    def test_tags_are_topics_and_codes_are_categories(self, tmp_path: Path) -> None:
        log = read_log(self.write(tmp_path))
        assert (log.item_ids, log.topic_names) == ((7, 149), ("8", "9", "27"))
        assert shares(log) == [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]
        assert log.user_features is not None
        # Two categories for each of three columns; counts and encrypted columns, which have gaps, are left out.
        assert log.user_features.tolist() == [[0.0, 1.0, 0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0, 0.0, 1.0]]

    def test_a_missing_column_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "big_matrix.csv").write_text("user_id,video_id,timestamp\n1,2,3\n")
        with refused("big_matrix.csv", "watch_ratio", "user_id"):
            read_log(tmp_path)


class TestKuaiRand:
    HEADER = ("user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,"
              "long_view,play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab\n")

    def row(self, user: int, video: int, time_ms: int, click: int, rand: int, long_view: int = 0) -> str:
        return f"{user},{video},20220421,400,{time_ms},{click},0,0,0,0,0,{long_view},151024,104400,0,0,0,{rand},1\n"

    def write(self, folder: Path) -> Path:
        data = folder / "data"
        data.mkdir(parents=True)
        (data / "log_standard_4_08_to_4_21_pure.csv").write_text(
            self.HEADER + self.row(0, 5, 1650485801301, 1, 0, 1) + self.row(0, 8, 1650485801999, 0, 0))
        (data / "log_standard_4_22_to_5_08_pure.csv").write_text(self.HEADER + self.row(3, 5, 1650585801301, 0, 0))
        (data / "log_random_4_22_to_5_08_pure.csv").write_text(
            self.HEADER + self.row(0, 5, 1650585801301, 0, 1, 1) + self.row(3, 8, 1650585801301, 1, 1))
        (data / "video_features_basic_pure.csv").write_text("video_id,author_id,tag\n5,1,\"3,39\"\n8,2,\n")
        (data / "user_features_pure.csv").write_text("user_id,user_active_degree\n0,full_active\n3,UNKNOWN\n")
        return folder

    def test_milliseconds_and_all_logs(self, tmp_path: Path) -> None:
        log = read_log(self.write(tmp_path))
        assert len(log) == 5
        assert log.time is not None
        assert log.time.min() == 1650485801.301
        assert (log.topic_names, shares(log)) == (("3", "39"), [[0.5, 0.5], [0.5, 0.5]])
        assert log.user_features is not None
        assert log.user_features.tolist() == [[0.0, 1.0], [1.0, 0.0]]

    def test_what_was_random_is_held_out_and_its_pairs_leave_the_training_part(self, tmp_path: Path) -> None:
        train, test = split_log(read_log(self.write(tmp_path)), how="own")
        assert rows(test) == [(0, 5, 0.0), (3, 8, 1.0)]
        assert rows(train) == [(0, 8, 0.0), (3, 5, 0.0)]

    def test_another_feedback_can_be_the_reward_and_nothing_else_a_choice(self, tmp_path: Path) -> None:
        folder = self.write(tmp_path)
        assert read_log(folder, ColumnNames(reward="long_view")).reward.sum() == 2.0
        for columns in (ColumnNames(reward="tab"), ColumnNames(user="video_id", reward="is_click")):
            with refused("KuaiRand's", "reward", fix=("is_click", "is_like")):
                read_log(folder, columns)

    def test_one_log_alone_has_no_split(self, tmp_path: Path) -> None:
        log = read_log(self.write(tmp_path) / "data" / "log_standard_4_08_to_4_21_pure.csv")
        assert (len(log), log.split) == (2, None)


@pytest.mark.parametrize(("file", "content"), [
    ("ratings.dat", "1::2::3::4\n"), ("user_artists.dat", "userID\tartistID\tweight\n1\t2\t3\n"),
    ("big_matrix.csv", TestKuaiRec.HEADER + TestKuaiRec.BIG), ("jester-data-1.csv", "1,5,99\n"),
    ("ratings.csv", TestMovieLensCSV.HEADER + "1,2,3,4\n")])
def test_known_columns_are_not_a_choice(tmp_path: Path, file: str, content: str) -> None:
    (tmp_path / file).write_text(content)
    with refused("columns", ColumnNames("a", "b", "c")):
        read_log(tmp_path, ColumnNames("a", "b", "c"))


def test_columns_that_are_named_make_a_table_of_any_name(tmp_path):
    """The name of a file chooses a built-in reader only where no column is named."""
    rows = "who,what,stars\na,x,1\na,y,3\nb,x,5\n"
    columns = ColumnNames("who", "what", "stars")
    for name in ("jester-data-1.csv", "log_standard_mine.csv"):
        path = tmp_path / name
        path.write_text(rows)
        assert read_log(path, columns).reward.sum() == 9.0
    market = tmp_path / "shop.market.parquet"
    pl.DataFrame({"who": ["a", "b"], "what": ["x", "x"], "stars": [1.0, 3.0]}).write_parquet(market)
    assert read_log(market, columns).reward.sum() == 4.0


def test_the_log_of_a_market_says_what_was_shown(tmp_path):
    path = tmp_path / "a.market.parquet"
    rows = {"user": [0, 1, 0, 1], "item": [5, None, 2, 9], "reward": [1.0, 0.0, 0.0, 1.0], "step": [0, 0, 1, 1],
            "position": [2, 0, 1, 1]}
    pl.DataFrame(rows).write_parquet(path)
    assert read_log(path).shown is None
    pl.DataFrame({**rows, "slate": [[9, 5], [2, 5], [2, 7], [7, 9]]}).write_parquet(path)
    log = read_log(path)
    assert log.item_ids == (2, 5, 9)
    assert log.shown.tolist() == [2, 0, -1]  # no user took item 7
