"""200 files that nobody has seen, in all combinations of forms, compared with what Python's csv module reads."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import random
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from interplay.envs.data import ColumnNames, TableForm, read_log

FILES = 200
COLUMNS = ColumnNames("who", "what", "stars", "when")
NAMES = ("who", "title", "what", "stars", "when")
START = 1_500_000_000


def zipped(raw: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inner.csv", raw)
    return file.getvalue()


def dated(form: str) -> Callable[[int], str]:
    return lambda second: datetime.fromtimestamp(second, UTC).strftime(form)


SEPARATORS = (",", ";", "\t", "|")
QUOTING = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252")
LINE_ENDS = ("\n", "\r\n", "\r")
TIMES: tuple[Callable[[int], str], ...] = (
    str, lambda second: f"{second}123", lambda second: f"{second}123456", dated("%Y-%m-%dT%H:%M:%SZ"),
    dated("%Y/%m/%d %H:%M:%S"), dated("%d.%m.%Y %H:%M:%S"), dated("%Y%m%d%H%M%S"), dated("%d %b %Y %H:%M:%S"))
PACKED: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    (".csv", bytes), (".txt", bytes), (".csv.gz", gzip.compress), (".zip", zipped), (".csv.bz2", bz2.compress))
BREAKS: tuple[Callable[[list[str]], list[str]], ...] = (
    lambda row: [*row, "surplus"], lambda row: ["", *row[1:]], lambda row: [*row[:3], "", row[4]],
    lambda row: [*row[:3], "n/a", row[4]], lambda row: row[:2])


class Generated(NamedTuple):
    """A file and how to read it."""

    name: str
    raw: bytes
    text: str
    separator: str
    header: bool
    broken: int


def generate(seed: int) -> Generated:
    """A file in a random form, of 40 to 80 rows, of which none to three are broken and some lines are empty."""
    chance = random.Random(seed)
    separator, end, time = chance.choice(SEPARATORS), chance.choice(LINE_ENDS), chance.choice(TIMES)
    encoding, header = chance.choice(ENCODINGS), chance.random() < 0.7
    titles = ["plain", "naïve café", f"with {separator} in it", 'a "quoted" word', "", "two  blanks"]
    titles += ["two\nlines"] if end == "\n" else []
    rows = [[f"ü{chance.randrange(9)}", chance.choice(titles), f"{chance.randrange(12):03}",
             f"{chance.randrange(1, 11) / 2:g}", time(START + 86_400 * n)] for n in range(chance.randint(40, 80))]
    broken = chance.randrange(4)
    for place in chance.sample(range(len(rows)), broken):
        rows[place] = chance.choice(BREAKS)(rows[place])
    for _ in range(chance.randrange(3)):
        rows.insert(chance.randrange(len(rows)), [])
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=separator, quoting=chance.choice(QUOTING),  # type: ignore[arg-type]
               lineterminator=end).writerows([NAMES, *rows] if header else rows)
    suffix, pack = chance.choice(PACKED)
    return Generated(f"log-{seed}{suffix}", pack(file.getvalue().encode(encoding)), file.getvalue(), separator, header,
                     broken)


def expected(made: Generated) -> Iterator[tuple[str, str, float, int]]:
    """User, item, reward and day of the rows that can be used, as the csv module has them."""
    lines = csv.reader(io.StringIO(made.text, newline=""), delimiter=made.separator)
    rows = [row for row in lines if row][made.header:]
    for number, row in enumerate(rows):
        if len(row) == len(NAMES) and row[0] and row[3] not in ("", "n/a"):
            yield row[0], row[2], float(row[3]), number


@pytest.mark.parametrize("tens", range(FILES // 10))
def test_all_rows_are_counted_and_none_is_wrong(tmp_path: Path, tens: int) -> None:
    for seed in range(10 * tens, 10 * tens + 10):
        made = generate(seed)
        path = tmp_path / made.name
        path.write_bytes(made.raw)
        form = TableForm(header=made.header, columns=None if made.header else NAMES, drop_bad_rows=True)
        log = read_log(path, COLUMNS, form)
        right = list(expected(made))
        assert sum(log.dropped.values()) == made.broken, (seed, log.dropped, log.notes)
        assert len(log) == len(right), (seed, log.notes)
        assert log.time is not None
        users, items = ([str(ids[n]) for n in numbers] for ids, numbers in
                        ((log.user_ids, log.user), (log.item_ids, log.item)))
        days = [int(second - START) // 86_400 for second in log.time]
        assert list(zip(users, items, log.reward.tolist(), days, strict=True)) == right, (seed, log.notes)
