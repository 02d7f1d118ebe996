"""Tables as people have them: each is read with its right value, or refused with count, cause and fix."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from interplay.envs.data import ColumnNames, InteractionLog, TableForm, find_reader, read_features, read_log
from refusals import refused

REWARDS = "34512345524135242531425343215432111111113451234552413524"
USERS, ITEMS = [f"u{n // 8 + 1}" for n in range(56)], [f"i{n % 8 + 1}" for n in range(56)]
NAMED = ColumnNames("who", "what", "stars")
TIMED = ColumnNames("who", "what", "stars", "date")
NO_HEADER = TableForm(header=False, columns=("user", "item", "reward"))
DROP = TableForm(drop_bad_rows=True)


def rows(*more: Callable[[int], str], names: Sequence[str] = ("user", "item", "reward"), separator: str = ",",
         users: Sequence[str] = USERS, items: Sequence[str] = ITEMS, rewards: Sequence[str] = REWARDS) -> str:
    """56 rows of 7 users and 8 items, rewards 1 to 5, sum 163, with ``more`` cells from a row's number."""
    cells = [[users[n], items[n], rewards[n], *(cell(n) for cell in more)] for n in range(56)]
    return "".join(separator.join(row) + "\n" for row in ([*names] if names else [], *cells) if row)


def numbers(ids: Sequence[str]) -> list[str]:
    return [name[1:] for name in ids]


def read(folder: Path, text: str | bytes, columns: ColumnNames | None = None, form: TableForm | None = None,
         name: str = "log.csv") -> InteractionLog:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return read_log(folder / name, columns, form)


def assert_base(log: InteractionLog, dropped: int = 0) -> None:
    """The rows of ``rows``, in their order."""
    assert (len(log), log.num_users, log.num_items, len(np.unique(log.pair_key))) == (56, 7, 8, 56)
    assert "".join(f"{reward:g}" for reward in log.reward) == REWARDS
    assert log.user.tolist() == [n // 8 for n in range(56)]
    assert log.item.tolist() == [n % 8 for n in range(56)]
    assert sum(log.dropped.values()) == dropped


PLAIN = rows()
HEADERLESS = rows(names=(), users=numbers(USERS), items=numbers(ITEMS))


@pytest.mark.parametrize(("text", "note"), [
    (PLAIN, "comma between cells; UTF-8; a header, 3 columns"),
    (PLAIN.replace(",", ";"), "semicolon between cells"),
    (PLAIN.replace(",", "\t"), "tab between cells"),
    (PLAIN.replace(",", "|"), "bar between cells"),
    (PLAIN.replace(",", "::"), "double colon between cells"),
    (PLAIN.replace(",", "\x01"), "control-A between cells"),
    (PLAIN.replace(",", " "), "blank between cells"),
    (PLAIN.replace(",", "   "), "blank between cells"),
    (PLAIN.replace("\n", "\r\n"), "comma"),
    (PLAIN.replace("\n", "\r"), "comma"),
    ('"' + PLAIN.replace(",", '";"').replace("\n", '"\r\n"')[:-1], "semicolon"),
    (PLAIN.replace(",", ", "), "blanks around cells stripped, by which 0 ids or words became equal"),
    ("# exported 2024-01-31, all shops\n" + PLAIN, "1 comment line skipped"),
    (PLAIN + "\n", "1 empty line skipped"),
    (PLAIN.replace("u1,i3", "\nu1,i3"), "1 empty line skipped"),
    (PLAIN.replace("\n", "\r\n").replace("u1,i3", "\r\n\r\nu1,i3"), "2 empty lines skipped"),
    (rows(lambda n: 'lamp 12"' if n == 1 else "lamp", names=("user", "item", "reward", "title")), "4 columns"),
    (rows(lambda n: '"the \\"big"', names=("user", "item", "reward", "title")), "4 columns"),
    (rows(lambda n: '"two\n\nlines"', names=("user", "item", "reward", "title")), "4 columns"),
    (rows(lambda n: "2024-01-31 12:00:00", names=("user", "item", "reward", "at")), "comma"),
], ids=str)
def test_any_layout_is_detected(tmp_path: Path, text: str, note: str) -> None:
    log = read(tmp_path, text)
    assert_base(log)
    assert note in log.notes[0]
    assert log.notes[0] in str(log.summary())


@pytest.mark.parametrize(("raw", "note"), [
    (PLAIN.encode("utf-8-sig"), "UTF-8 with a byte-order mark"),
    (PLAIN.encode("utf-16"), "utf-16"),
    (PLAIN.encode("utf-16-le"), "utf-16-le"),
    (PLAIN.encode("utf-16-be"), "utf-16-be"),
    (PLAIN.encode("utf-32"), "utf-32"),
    (PLAIN.replace("u7", "é7").encode("cp1252"), "cp1252 (a guess"),
])
def test_any_encoding_is_detected(tmp_path: Path, raw: bytes, note: str) -> None:
    log = read(tmp_path, raw)
    assert_base(log)
    assert note in log.notes[0]


@pytest.mark.parametrize(("letters", "encoding"), [("café", "latin-1"), ("иван", "cp1251"), ("映画", "shift_jis"),
                                                   ("电影", "gb18030")])
def test_an_encoding_can_be_given(tmp_path: Path, letters: str, encoding: str) -> None:
    text = PLAIN.replace("u1", letters)
    assert letters in read(tmp_path, text.encode(encoding), form=TableForm(encoding=encoding)).user_ids
    for raw, wrong in ((text.encode(encoding), "ascii"), (PLAIN, "nonsense")):
        with refused("log.csv", "encoding", wrong, fix="--encoding"):
            read(tmp_path, raw, form=TableForm(encoding=wrong))


def test_a_text_in_no_likely_encoding_is_refused(tmp_path: Path) -> None:
    with refused("log.csv", "encoding", fix="--encoding"):
        read(tmp_path, PLAIN.replace("u1", "客0").replace("u2", "cafe\u0301").encode("gb18030"))
    damaged = PLAIN.replace("u1", "café").encode() + b"u2,i\xff,4\n"
    with refused("log.csv", "utf-8", "0xff", fix="--encoding"):
        read(tmp_path, damaged)
    assert "cafÃ©" in read(tmp_path, damaged, form=TableForm(encoding="cp1252")).user_ids


def test_letters_beyond_ascii_never_become_replacements(tmp_path: Path) -> None:
    log = read(tmp_path, PLAIN.replace("u1", "café").encode("latin-1"))
    assert log.user_ids[0] == "café"
    assert int((log.user == 0).sum()) == 8
    log = read(tmp_path, PLAIN.replace("u1", "客0").replace("i7", "映画7"))
    assert (log.user_ids[-1], log.item_ids[-1]) == ("客0", "映画7")


def zipped(text: str, names: Sequence[str] = ("log.csv",)) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, text)
    return file.getvalue()


@pytest.mark.parametrize(("name", "raw"), [
    ("log.csv.gz", gzip.compress(PLAIN.encode())),
    ("log.csv.bz2", bz2.compress(PLAIN.encode())),
    ("log.txt.xz", lzma.compress(PLAIN.encode())),
    ("log.zip", zipped(PLAIN)),
    ("log.dat", PLAIN.encode()),
    ("log.txt", PLAIN.replace(",", " ").encode()),
    ("LOG.CSV", PLAIN.encode()),
    ("log", PLAIN.encode()),
])
def test_what_a_file_is_called_and_packed_with_does_not_matter(tmp_path: Path, name: str, raw: bytes) -> None:
    assert_base(read(tmp_path, raw, name=name))


def test_zstandard_is_read(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    packed = zstandard.ZstdCompressor().compress(PLAIN.encode())
    assert_base(read(tmp_path, packed + zstandard.ZstdCompressor().compress(b""), name="log.csv.zst"))


@pytest.mark.parametrize(("name", "raw", "word", "fix"), [
    ("log.csv.gz", gzip.compress(PLAIN.encode())[:-20], "unpacked", "whole"),
    ("log.zip", zipped(PLAIN)[:-30], "unpacked", "whole"),
    ("log.xlsx", zipped(PLAIN, ["[Content_Types].xml"]), "spreadsheet", "CSV"),
    ("log.csv", bytes(range(256)) * 4, "binary", ("CSV", "JSON lines", "Parquet")),
    ("log.zip", zipped("", []), "archive", "file"),
])
def test_what_cannot_be_unpacked_is_refused(tmp_path: Path, name: str, raw: bytes, word: str, fix: Any) -> None:
    with refused(name, word, fix=fix):
        read(tmp_path, raw, name=name)


@pytest.mark.parametrize("extension", [".parquet", ".csv", ".jsonl"])
def test_a_folder_of_parts_is_one_log(tmp_path: Path, extension: str) -> None:
    folder = tmp_path / f"log{extension}"
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    whole = pl.read_csv(io.BytesIO(PLAIN.encode()))
    for number, part in enumerate((whole[:28], whole[28:])):
        file = folder / f"part-{number:05}{extension}"
        getattr(part, {".parquet": "write_parquet", ".csv": "write_csv", ".jsonl": "write_ndjson"}[extension])(file)
    log = read_log(folder)
    assert_base(log)
    assert "2 files" in log.notes[0]
    (folder / "part-00002.csv").write_text("a,b\n1,2\n")
    with refused("part-00002.csv", f"part-00000{extension}"):
        read_log(folder)
    (folder / "part-00002.csv").write_bytes(b"")
    with refused("part-00002.csv", "empty"):
        read_log(folder)


def test_a_folder_says_what_of_it_is_not_read(tmp_path: Path) -> None:
    for name in ("a.csv", "b.zip", "c.gz", "old/d.csv", "README.md", ".hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(PLAIN)
    log = read_log(tmp_path)
    assert_base(log)
    assert log.notes[0].endswith("; not read: b.zip, c.gz, old/")


@pytest.mark.parametrize("name", ["log.csv.gz", "log.tsv", "log.CSV.GZ"])
def test_a_table_beside_itself_in_another_form_does_not_count_twice(tmp_path: Path, name: str) -> None:
    (tmp_path / "log.csv").write_text(PLAIN)
    (tmp_path / name).write_bytes(gzip.compress(PLAIN.encode()) if name.lower().endswith("gz") else PLAIN.encode())
    with refused(tmp_path.name, "log.csv", name, fix="one of them"):
        read_log(tmp_path)


def test_parts_may_differ_in_the_type_of_a_column(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"user": 1, "item": 1, "reward": 4}\n')
    (tmp_path / "b.jsonl").write_text('{"user": "01", "item": 2, "reward": 4.5}\n')
    log = read_log(tmp_path)
    assert (log.user_ids, log.item_ids, log.reward.tolist()) == (("01", "1"), (1, 2), [4.0, 4.5])
    pl.DataFrame({"user": [[1]], "item": [1], "reward": [1]}).write_parquet(tmp_path / "c.parquet")
    with refused(tmp_path.name):
        read_log(tmp_path)


def test_json_lines_keep_ids_that_are_text(tmp_path: Path) -> None:
    lines = [{"user": "007", "item": 5, "reward": 1, "more": {"a": [1]}}, {"user": "7", "item": 6, "reward": 1}]
    log = read(tmp_path, "\n".join(map(json.dumps, lines)), name="log.jsonl")
    assert (log.user_ids, log.item_ids, log.reward.tolist()) == (("007", "7"), (5, 6), [1.0, 1.0])


class TestColumns:
    def test_a_table_without_header_counts_its_first_row(self, tmp_path: Path) -> None:
        assert_base(read(tmp_path, HEADERLESS, form=NO_HEADER))
        assert_base(read(tmp_path, HEADERLESS.replace(",", " "), form=NO_HEADER, name="ratings.txt"))
        numbered = ColumnNames("column_1", "column_2", "column_3")
        assert_base(read(tmp_path, HEADERLESS, numbered, TableForm(header=False)))

    def test_a_first_row_that_looks_like_data_is_said(self, tmp_path: Path) -> None:
        with refused("log.csv", "first row", fix="--no-header --columns"):
            read(tmp_path, HEADERLESS)
        named = read(tmp_path, HEADERLESS, ColumnNames("1", "1_duplicated_0", "3"))
        assert "the header looks like data ('1' ...): if it is a row, give --no-header" in named.notes[0]

    def test_a_message_never_holds_a_long_cell(self, tmp_path: Path) -> None:
        text = rows(lambda n: "the strings came well packed " * 70, names=())
        with refused("log.csv", "first row", fix="--no-header --columns"):
            read(tmp_path, text)
        form = TableForm(header=False, columns=("user", "item", "reward", "text"))
        assert_base(read(tmp_path, text, form=form))

    def test_names_have_to_be_as_many_as_cells(self, tmp_path: Path) -> None:
        with refused("log.csv", "3 cells", "2 columns"):
            read(tmp_path, HEADERLESS, form=TableForm(header=False, columns=("user", "item")))

    @pytest.mark.parametrize("blank", ["", "\n"], ids=["plain", "with an empty line"])
    def test_a_name_that_occurs_twice_is_refused(self, tmp_path: Path, blank: str) -> None:
        with refused("log.csv", "stars", fix="rename one"):
            read(tmp_path, f"who,what,stars,stars\n{blank}a,b,1,5\n", NAMED)
        form = TableForm(header=False, columns=("who", "what", "stars", "stars"))
        with refused("log.csv", "stars", fix="its own"):
            read(tmp_path, f"a,b,1,5\n{blank}", NAMED, form)

    @pytest.mark.parametrize("blank", ["", "\n"], ids=["plain", "with an empty line"])
    def test_names_may_have_quotes_in_them(self, tmp_path: Path, blank: str) -> None:
        text = f'"the ""user""",what,stars\n{blank}a,b,1\n'
        log = read(tmp_path, text, ColumnNames('the "user"', "what", "stars"))
        assert (log.user_ids, log.item_ids, log.reward.tolist()) == (("a",), ("b",), [1.0])

    def test_a_quoted_text_may_have_lines_like_comments(self, tmp_path: Path) -> None:
        text = '# note\nuser,item,reward,text\na,b,1,"one\n# two"\nc,d,2,"three\n# four"\n'
        log = read(tmp_path, text)
        assert (log.user_ids, log.item_ids, log.reward.tolist()) == (("a", "c"), ("b", "d"), [1.0, 2.0])

    def test_a_line_that_may_be_a_row_or_a_comment_is_refused(self, tmp_path: Path) -> None:
        text = "# note\nuser,item,reward\n#a,b,1\nc,d,2\n# so far so good\n"
        with refused("log.csv", "#a,b,1", fix="--comment"):
            read(tmp_path, text)
        assert read(tmp_path, text, form=TableForm(comment="#")).user_ids == ("c",)

    def test_an_index_column_is_no_trouble(self, tmp_path: Path) -> None:
        lines = PLAIN.splitlines()
        with_name = "\n".join(f"{number},{line}" if number else f",{line}" for number, line in enumerate(lines))
        assert_base(read(tmp_path, with_name))
        as_r_writes = with_name[1:]
        log = read(tmp_path, as_r_writes)
        assert_base(log)
        assert "row names" in log.notes[0]

    def test_named_columns_win_over_the_name_of_a_file(self, tmp_path: Path) -> None:
        for name in ("log_shop_4_2024.csv", "ratings.dat", "u.data", "user_artists.dat", "big_matrix.csv",
                     "jester-data-1.csv", "shop.market.parquet"):
            text = rows(names=("who", "what", "stars"))
            raw = text.encode()
            if name.endswith("parquet"):
                file = io.BytesIO()
                pl.read_csv(io.BytesIO(raw)).write_parquet(file)
                raw = file.getvalue()
            assert_base(read(tmp_path, raw, NAMED, name=name))

    def test_a_built_in_reader_goes_by_the_columns(self, tmp_path: Path) -> None:
        for name in ("log_shop_4_2024.csv", "ratings.dat", "u.data", "user_artists.dat", "big_matrix.csv"):
            assert_base(read(tmp_path, PLAIN, name=name))

    def test_movielens_reads_alike_with_its_columns_named(self, tmp_path: Path) -> None:
        columns = ColumnNames("userId", "movieId", "rating", "timestamp")
        text = rows(lambda n: str(964981010 + n), names=columns.used(), users=numbers(USERS), items=numbers(ITEMS))
        own, named = read(tmp_path, text, name="ratings.csv"), read(tmp_path, text, columns, name="ratings.csv")
        assert find_reader(tmp_path / "ratings.csv").name == "movielens-csv"
        for log in (own, named):
            assert_base(log)
            assert log.user_ids == (1, 2, 3, 4, 5, 6, 7)
            assert log.time is not None
            assert log.time.tolist() == [964981010.0 + n for n in range(56)]

    def test_ids_are_kept_as_they_are_written(self, tmp_path: Path) -> None:
        zeros = read(tmp_path, rows(items=[f"00000{n % 8 + 1}" for n in range(56)]))
        assert zeros.item_ids == tuple(f"00000{n}" for n in range(1, 9))
        floats = read(tmp_path, rows(users=[f"{n // 8 + 1}.0" for n in range(56)]))
        assert floats.user_ids == tuple(f"{n}.0" for n in range(1, 8))

    def test_names_and_ids_lose_blanks_around_them_and_it_is_said(self, tmp_path: Path) -> None:
        log = read(tmp_path, 'who, what, stars\nu1, i1, 3\nu1, "i, 2", 4\nu1 , i1, 5\n', NAMED)
        assert (log.user_ids, log.item_ids) == (("u1",), ("i, 2", "i1"))
        assert "by which 1 ids or words became equal" in log.notes[0]


class TestRewards:
    def test_decimal_commas(self, tmp_path: Path) -> None:
        halves = [f"{reward},5" for reward in REWARDS]
        for separator in ("\t", ";"):
            log = read(tmp_path, rows(separator=separator, rewards=halves))
            assert (len(log), float(log.reward.sum()), log.reward_range) == (56, 191.0, (1.5, 5.5))
        text = rows(separator=";", rewards=[f"{reward},125" for reward in REWARDS])
        with refused("log.csv", "reward", f"'{REWARDS[0]},125'", fix=("--decimal-comma", 56)):
            read(tmp_path, text)
        assert read(tmp_path, text, form=TableForm(decimal_comma=True)).reward_range == (1.125, 5.125)

    @pytest.mark.parametrize("number", ["1.200", "1.200,50", "-12.000.000"])
    def test_dots_for_thousands_are_not_taken_for_decimal_points(self, tmp_path: Path, number: str) -> None:
        text = rows(separator=";", rewards=[number, *("3,5",) * 55])
        for form in (None, TableForm(decimal_comma=True)):
            with refused("log.csv", "reward", number, "row 1", fix="dots"):
                read(tmp_path, text, form=form)

    def test_decimal_commas_are_read_beside_more_cells_that_are_bad(self, tmp_path: Path) -> None:
        rewards = ["n/a" if n % 5 == 0 else "3,5" if n == 7 else "2" for n in range(56)]
        log = read(tmp_path, rows(separator=";", rewards=rewards), form=DROP)
        assert (len(log), float(log.reward.max()), list(log.dropped.values())) == (44, 3.5, [12])
        with refused("log.csv", "reward", "n/a", fix="12 of 56 rows"):
            read(tmp_path, rows(separator=";", rewards=rewards))

    def test_money_is_refused_with_its_cause(self, tmp_path: Path) -> None:
        with refused("log.csv", "reward", "'$3,000'", "row 1", fix=("currency sign", "56 rows")):
            read(tmp_path, rows(rewards=[f'"${reward},000"' for reward in REWARDS]))

    def test_words_have_the_worth_that_is_given(self, tmp_path: Path) -> None:
        text = rows(rewards=["transaction" if n % 5 == 2 else "view" for n in range(56)])
        with refused("log.csv", "reward", "view 45", "transaction 11", fix="--reward-map view=1 transaction=2"):
            read(tmp_path, text)
        log = read(tmp_path, text, form=TableForm(reward_map={"view": 1, "transaction": 4}))
        assert (float(log.reward.sum()), log.reward_range) == (89.0, (0.0, 4.0))  # a view is worth more than a skip
        with refused("log.csv", "reward", "transaction", "row 3", "--reward-map"):
            read(tmp_path, text, form=TableForm(reward_map={"view": 1}))
        dropped = read(tmp_path, text, form=TableForm(reward_map={"view": 1}, drop_bad_rows=True))
        assert (len(dropped), list(dropped.dropped.values())) == (45, [11])

    @pytest.mark.parametrize("words", [("True", "False"), ("true", "false"), ("TRUE", "FALSE")])
    def test_true_and_false(self, tmp_path: Path, words: tuple[str, str]) -> None:
        log = read(tmp_path, rows(rewards=[words[reward < "4"] for reward in REWARDS]))
        assert (float(log.reward.sum()), log.reward_range) == (22.0, (0.0, 1.0))

    def test_a_table_of_users_and_items_is_implicit(self, tmp_path: Path) -> None:
        pairs = "".join(f"{user},{item}\n" for user, item in zip(["session", *USERS], ["item", *ITEMS], strict=True))
        log = read(tmp_path, pairs, ColumnNames("session", "item"))
        assert (len(log), log.num_users, log.num_items) == (56, 7, 8)
        assert set(log.reward) == {1.0}
        assert log.reward_range == (0.0, 1.0)
        assert "the log is implicit" in str(log.summary())
        explicit = read(tmp_path, PLAIN, ColumnNames(reward="none"))
        assert set(explicit.reward) == {1.0}

    def test_a_reward_column_that_is_misspelt_is_not_taken_for_an_implicit_log(self, tmp_path: Path) -> None:
        with refused("log.csv", "reward", fix=("user", "item", "stars", "--guess-columns")):
            read(tmp_path, rows(names=("user", "item", "stars")))


class TestTimes:
    @pytest.mark.parametrize(("written", "first", "step"), [
        (lambda n: f"2017/8/{n % 8 + 1}", 1501545600.0, 86400.0),
        (lambda n: f"2017080{n % 8 + 1}", 1501545600.0, 86400.0),
        (lambda n: f"2017-08-0{n % 8 + 1}T00:00:00Z", 1501545600.0, 86400.0),
        (lambda n: f"0{n % 8 + 1}.08.2017", 1501545600.0, 86400.0),
        (lambda n: f"{n % 8 + 1} Aug 2017", 1501545600.0, 86400.0),
        (lambda n: f'"Aug {n % 8 + 1}, 2017"', 1501545600.0, 86400.0),
        (lambda n: f"8/{n % 8 + 17}/2017 4:05 PM", 1502985900.0, 86400.0),
        (lambda n: f"{n % 8 + 17}/8/2017 16:05", 1502985900.0, 86400.0),
        (lambda n: f"2017080{n % 8 + 1}160500", 1501603500.0, 86400.0),
        (lambda n: f"2017080{n % 8 + 1}16", 1501603200.0, 86400.0),
        (lambda n: f"99/08/0{n % 8 + 1}", 933465600.0, 86400.0),
        (lambda n: str(1433221332101 + n % 8), 1433221332.101, 0.001),
        (lambda n: str(1433221332101000 + n % 8), 1433221332.101, 1e-6),
        (lambda n: str(1433221332 + n % 8), 1433221332.0, 1.0),
        (lambda n: str(1433221332.5 + n % 8), 1433221332.5, 1.0),
    ])
    def test_forms_are_detected(self, tmp_path: Path, written: Callable[[int], str], first: float, step: float) -> None:
        log = read(tmp_path, rows(written, names=TIMED.used()), TIMED)
        assert_base(log)
        assert log.time is not None
        np.testing.assert_allclose(log.time, [first + step * (n % 8) for n in range(56)], rtol=0, atol=1e-6)

    @pytest.mark.parametrize(("written", "form", "other", "times"), [
        (lambda n: f"{n % 8 + 1}/3/2017", "%d/%m/%Y", "%m/%d/%Y", (1488326400.0, 1488931200.0)),
        (lambda n: f"20/08/{n % 8 + 1:02}", "%y/%m/%d", "%d/%m/%y", (1596240000.0, 1596844800.0)),
    ], ids=["day or month", "day or year"])
    def test_dates_that_could_be_either_are_refused(self, tmp_path: Path, written: Callable[[int], str], form: str,
                                                    other: str, times: tuple[float, float]) -> None:
        text = rows(written, names=TIMED.used())
        with refused("log.csv", form, other, fix="--time-format"):
            read(tmp_path, text, TIMED)
        assert read(tmp_path, text, TIMED, TableForm(time_format=form)).summary().time_range == times

    def test_hours_as_numbers_are_no_unix_seconds(self, tmp_path: Path) -> None:
        text = rows(lambda n: f"1408{n % 8 + 1:02}16", names=TIMED.used())
        assert "small for unix seconds" in str(read(tmp_path, text, TIMED).summary())
        log = read(tmp_path, text, TIMED, TableForm(time_format="%y%m%d%H"))
        assert log.summary().time_range == (1406908800.0, 1407513600.0)

    def test_one_late_row_decides(self, tmp_path: Path) -> None:
        log = read(tmp_path, rows(lambda n: f"{n + 1 if n < 12 else 1}/{'3' if n < 12 else '31'}/2017",
                                  names=TIMED.used()), TIMED)
        assert "dates as %m/%d/%Y" in str(log.summary())

    def test_units_can_be_given(self, tmp_path: Path) -> None:
        text = rows(lambda n: str(n - 8), names=TIMED.used())
        assert "if they count days, give --time-format days" in str(read(tmp_path, text, TIMED).summary())
        log = read(tmp_path, text, TIMED, TableForm(time_format="days"))
        assert log.summary().time_range == (-8 * 86400.0, 47 * 86400.0)
        assert "small" not in str(log.summary())

    def test_units_are_not_mixed(self, tmp_path: Path) -> None:
        text = rows(lambda n: "1433221332101" if n else "1433221332", names=TIMED.used())
        with refused("log.csv", 1433221332.0, "row 1", fix=("--time-format ms", "1 of 56 rows")):
            read(tmp_path, text, TIMED)
        half = rows(lambda n: "1433221332101" if n % 2 else "1433221332", names=TIMED.used())
        with refused("log.csv", 1433221332101.0, "row 2", fix="--time-format ms"):
            read(tmp_path, half, TIMED)

    @pytest.mark.parametrize("written", [
        lambda n: str(1433221332 + n), lambda n: str(1433221332101 + n), lambda n: f"201708{n % 30 + 1:02}",
        lambda n: f"{n % 28 + 1:02}/08/2017", lambda n: f"2017-08-{n % 28 + 1:02} 10:00:00"],
        ids=["s", "ms", "dates as numbers", "dates", "ISO-8601"])
    @pytest.mark.parametrize("bad", ["n/a", "nan", "0", "-1", "inf"])
    def test_a_few_bad_times_do_not_make_the_others_bad(self, tmp_path: Path, written: Callable[[int], str],
                                                        bad: str) -> None:
        text = rows(written, names=TIMED.used()).replace(written(20) + "\n", f"{bad}\n", 1)
        if bad in ("0", "-1") and written(0).startswith("1433221332") and len(written(0)) == 10:
            return  # seconds of 1970
        with refused("log.csv", "date", "row 21", fix="1 of 56 rows"):
            read(tmp_path, text, TIMED)
        log = read(tmp_path, text, TIMED, DROP)
        right = read(tmp_path, rows(written, names=TIMED.used()), TIMED)
        assert log.time is not None
        assert right.time is not None
        assert log.time.tolist() == [*right.time[:20], *right.time[21:]]
        assert list(log.dropped.values()) == [1]


class TestBadRows:
    @pytest.mark.parametrize(("row", "reason"), [
        ("u1,,5", "whose what is empty"), (",i1,5", "whose who is empty"), ("u1,i99,", "whose stars is empty"),
        ("u1,i99", "whose stars is empty"), ("u1,i99,good", "whose stars is not a number"),
        ("u1,i99,NaN", "whose stars is not a finite number"), ("u1,i99,4,5", "with more cells than the header"),
        ('u1,"i99,4', "with a quote that is not closed in its line"), ('"","i1","5"', "whose who is empty")])
    def test_they_are_refused_or_dropped_and_counted(self, tmp_path: Path, row: str, reason: str) -> None:
        text = rows(names=("who", "what", "stars")).replace("u2,i1", f"{row}\nu2,i1")
        with refused("log.csv", "row 9", fix=("1 of 57 rows", "--drop-bad-rows")):
            read(tmp_path, text, NAMED)
        log = read(tmp_path, text, NAMED, DROP)
        assert_base(log, dropped=1)
        assert log.dropped == {reason: 1}
        assert f"57 read; dropped: 1 {reason}" in str(log.summary())

    @pytest.mark.parametrize("quote", ["", '"'])
    def test_a_row_that_is_too_long_is_seen_in_columns_that_are_not_read(self, tmp_path: Path, quote: str) -> None:
        text = "title,user,item,reward\n" + "".join(f"a,{line}\n" for line in PLAIN.splitlines()[1:])
        text = text.replace("a,u2,i1", f"{quote}b{quote}, c,9,u2,i1")
        with refused("log.csv", "row 9", "6 fields"):
            read(tmp_path, text)
        assert read(tmp_path, text, form=DROP).dropped == {"with more cells than the header": 1}

    def test_several_reasons_are_counted_apart(self, tmp_path: Path) -> None:
        text = PLAIN + ",i1,2\n,i1,x\nu1,i1,x\nu1,i1,1,2\n"
        log = read(tmp_path, text, form=DROP)
        assert_base(log, dropped=4)
        assert sorted(log.dropped.values()) == [1, 1, 2]

    def test_a_table_of_nothing_else_is_refused(self, tmp_path: Path) -> None:
        with refused("log.csv", "0 rows", 56, "reward"):
            read(tmp_path, rows(rewards=["x"] * 56), form=DROP)

    def test_a_stray_nul_is_named(self, tmp_path: Path) -> None:
        with refused("log.csv", "binary data", fix="save"):
            read(tmp_path, PLAIN.replace("u1", "u\0"))

    def test_quotes_may_mean_nothing(self, tmp_path: Path) -> None:
        log = read(tmp_path, PLAIN.replace("u1", '"u1'), form=TableForm(quotes=False))
        assert_base(log)
        assert log.user_ids[0] == '"u1'

    def test_what_is_detected_can_be_overridden(self, tmp_path: Path) -> None:
        text = PLAIN.replace("u1", "#u1").replace("user", "#user")
        with refused("log.csv", "user"):
            read(tmp_path, text)
        assert_base(read(tmp_path, text, ColumnNames("#user"), TableForm(comment="")))
        assert_base(read(tmp_path, "% note\n" + PLAIN, form=TableForm(comment="%")))
        colons = TableForm(separator=":")
        assert_base(read(tmp_path, PLAIN.replace(",", ":"), form=colons))
        assert_base(read(tmp_path, PLAIN.replace(",", ";"), form=TableForm(separator="semicolon")))


def test_features_are_read_in_any_form_too(tmp_path: Path) -> None:
    (tmp_path / "users.txt").write_bytes("user;age\nu1;30\nu2;40\n".encode("utf-16"))
    assert read_features(tmp_path / "users.txt", "user", ["u1", "u2"]).values.ravel().tolist() == [30.0, 40.0]
