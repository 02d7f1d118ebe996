"""No row is lost: tables are compared with what Python's csv module makes of them."""

import csv
import io
import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from interplay.envs.data import read_features, read_log
from interplay.envs.data.files import read_typed
from interplay.envs.data.reading import column_names, count_rows, read_frame
from interplay.envs.types import InterplayError
from refusals import refused

ROWS = 56
ROWS_OF_LAMPS = (1, 5)


def reference(text: str) -> list[list[str | None]]:
    """The rows behind the header; an empty cell is None, and so is each cell of an empty line."""
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    cells = [[cell or None for cell in row] for row in rows]
    assert not any(any(row[len(header):]) for row in cells), "the parser may leave out a field behind the last comma"
    return [(row + [None] * len(header))[:len(header)] for row in cells]


def base_log(title: str, lamps: str) -> str:
    """56 rows of 7 users and 8 items, rewards 1 to 5, sum 166; two rows have another title."""
    rows = [f"u{n // 8},i{n % 8},{n % 5 + 1},{lamps if n in ROWS_OF_LAMPS else title}\n" for n in range(ROWS)]
    return "user,item,reward,title\n" + "".join(rows)


@pytest.mark.parametrize("text", [
    base_log("lamp", 'lamp 12"'),
    base_log('"the \\"big"', '"the \\"big"'),
    base_log("lamp", '"a lamp, big"'),
    base_log("lamp", '"a ""big"" lamp"'),
    base_log("lamp", '"two\nlines"'),
], ids=["inches", "backslash", "comma", "doubled", "two lines"])
def test_a_column_that_is_not_read_drops_no_row(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(text, encoding="utf-8", newline="")
    log = read_log(path)
    assert (len(log), log.num_users, log.num_items, log.dropped) == (ROWS, 7, 8, {})
    assert log.reward.sum() == sum(n % 5 + 1 for n in range(ROWS))
    assert len(np.unique(log.pair_key)) == ROWS


def test_a_quote_inside_an_id_belongs_to_it(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text('user,item,reward\na,lamp 12",1\nb,lamp 12",2\nb,café,3\n', encoding="utf-8")
    log = read_log(path)
    assert log.item_ids == ("café", 'lamp 12"')
    assert log.reward.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("column", ["user", "item", "reward", "time"])
def test_a_quoted_empty_cell_is_as_empty_as_any(tmp_path: Path, column: str) -> None:
    names, cells = ["user", "item", "reward", "time"], ["1", "2", "3", "4"]
    empty = ["" if name == column else cell for name, cell in zip(names, cells, strict=True)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(",".join(f'"{cell}"' for cell in row) for row in (names, cells, empty)), encoding="utf-8")
    with refused("log.csv", column, "nothing", "row 2"):
        read_log(path)


def test_an_empty_id_in_parquet_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"user": ["a", ""], "item": ["x", "y"], "reward": [1, 2]}).write_parquet(tmp_path / "log.parquet")
    with refused("log.parquet", "user", "''", "row 2"):
        read_log(tmp_path / "log.parquet")


@pytest.mark.parametrize("row", ['a,b,1,"big\nc,d,2,x\n', 'a,b,1,"big\nc,d,2,"small\n', 'a,b,1,x\nc,"d,2,x\n'])
def test_a_quote_that_is_not_closed_is_refused_by_its_row(tmp_path: Path, row: str) -> None:
    (tmp_path / "log.csv").write_text("user,item,reward,title\n" + row, encoding="utf-8")
    with refused("log.csv", "row", fix="quotes"):
        read_log(tmp_path / "log.csv")


def test_features_and_typed_columns_lose_no_row_either(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text('user,age,note\n1,30,x\n2,40,12" lamp\n3,50,x\n4,60,12" lamp\n', encoding="utf-8")
    assert read_features(path, "user", [1, 2, 3, 4]).values[:, 0].tolist() == [30.0, 40.0, 50.0, 60.0]
    typed = read_typed(path, {"user": pl.Int32(), "age": pl.Float32()})
    assert typed.rows() == [(1, 30.0), (2, 40.0), (3, 50.0), (4, 60.0)]
    assert typed.schema == {"user": pl.Int32, "age": pl.Float32}


def test_names_are_those_of_the_parser_when_they_repeat(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,a,"b"\n1,2,3"\n', encoding="utf-8")
    assert column_names(tmp_path / "a.csv") == ["a", "a_duplicated_0", "b"]
    assert read_frame(tmp_path / "a.csv", ["a_duplicated_0", "b"]).rows() == [("2", '3"')]


def test_any_text_is_read_as_csv_says_or_refused(tmp_path: Path) -> None:
    """Random cells, quotes, blanks and line ends; most texts are refused, and enough are not."""
    chance, path, read = random.Random(5), tmp_path / "any.csv", 0
    for trial in range(1500):
        cells = ["a", "12", "", '"x"', '"x, y"', '"x\ny"', '"x ""z"""', '""']
        odd = ['z"', '"q"r', '" ', 'x"y"', '"open', 'b ""'] if trial % 2 else []
        width = chance.randint(2, 3)
        rows = [",".join(chance.choice(cells if chance.random() < 0.8 else odd or cells)
                         for _ in range(width + (chance.random() < 0.02))) for _ in range(chance.randint(1, 6))]
        end = chance.choice(["\n", "\r\n"])
        text = end.join([",".join("uvw"[:width]), *rows]) + chance.choice(["", end])
        path.write_text(text, encoding="utf-8", newline="")
        try:
            found = read_frame(path)
        except InterplayError:
            continue
        read += 1
        assert [list(row) for row in found.rows()] == reference(text), text
        part = read_frame(path, ["v"])
        assert part["v"].to_list() == [row[1] for row in reference(text)], text
    assert read > 700


@pytest.mark.parametrize(("text", "rows"), [
    ("", 0), ("a", 1), ("a\n", 1), ("a\nb", 2), ("a\n\n", 2), ('"a\nb"\n', 1), ('a,"b"\r\nc,""\r\n', 2),
    ('"a""b"\n', 1), ('""', 1), ('a"\n', None), ('"a"b\n', None), ('"a\n', None), ('a, "b"\n', None)])
def test_rows_are_counted_where_quotes_are_clear(text: str, rows: int | None) -> None:
    assert count_rows(np.frombuffer(text.encode(), dtype=np.uint8)) == rows


@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_a_quoted_field_may_lie_across_the_blocks_that_are_counted(shift: int) -> None:
    field = "x" * ((1 << 20) - 3 + shift)
    data = f'a,{field}\n"\n""\n",b\n'.encode()
    assert count_rows(np.frombuffer(data, dtype=np.uint8)) == 2
    assert count_rows(np.frombuffer(data.replace(b'""', b'"'), dtype=np.uint8)) is None


def test_a_name_that_the_locale_cannot_decode_is_refused(tmp_path: Path) -> None:
    path = tmp_path / b"log-\xff.csv".decode("utf-8", "surrogateescape")
    path.write_text("user,item,reward\na,b,1\n", encoding="utf-8")
    with refused("locale", fix="PYTHONUTF8=1"):
        read_log(path)
