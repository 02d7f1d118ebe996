"""Jester 1: jokes rated on a slider from -10 to 10, by many users all of them."""

from __future__ import annotations

import html
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interplay.envs.data.base import DataSet
from interplay.envs.data.columns import ColumnNames
from interplay.envs.data.counting import check_rows, count_rows
from interplay.envs.data.download import Download
from interplay.envs.data.files import refuse_columns, unreadable
from interplay.envs.data.log import InteractionLog, make_log
from interplay.envs.types import InterplayError

_PART = "jester-data-*"
_NOT_RATED = 99.0
_TITLE = 60  # characters of a joke that stand for it


class Jester(DataSet):
    """``jester-data-1.zip`` or ``.csv``, or a folder with one or more of the parts 1 to 3.

    A part has a line for each user: how many jokes they rated, and then a rating of each joke, 99 for none. Users are
    numbered from 1 through all parts in turn, jokes from 1. The publisher's own files are spreadsheets (.xls): save
    them as CSV without a header. Titles are the jokes' first words, where ``joke_texts.zip`` lies beside.
    """

    name: ClassVar[str] = "jester"
    source: ClassVar[str] = "Goldberg et al., 'Eigentaste', Information Retrieval 4(2), 2001; eigentaste.berkeley.edu"
    licence: ClassVar[str] = "none is stated; the publisher asks to cite the paper"
    rows: ClassVar[str] = "a rating, -10 to 10, without time or propensity"
    features: ClassVar[str] = "items: the first words of the joke as title"
    downloads: ClassVar[dict[str, Download]] = {"jester": Download(
        "jester", files="jester-data-1.zip, a CSV export of the publisher's jester-data-1.xls")}

    def matches(self, path: Path) -> bool:
        """A part, or a folder with one."""
        return bool(_parts(path))

    def read(self, path: Path, columns: ColumnNames | None) -> InteractionLog:
        """All parts that there are."""
        refuse_columns(columns, self.name, path)
        table = np.concatenate([_table(part) for part in _parts(path)])
        rating = table[:, 1:]
        user, joke = np.nonzero(rating != _NOT_RATED)
        rows = pl.DataFrame({"user": user + 1, "item": joke + 1, "reward": rating[user, joke]})
        log = make_log(rows, source=path.name,
                       dropped={"cells that hold 99, not rated": int((rating == _NOT_RATED).sum())})
        log = replace(log, reward_range=(-10.0, 10.0))
        texts = (path if path.is_dir() else path.parent) / "joke_texts.zip"
        return replace(log, titles=_titles(texts, log)) if texts.is_file() else log


def _parts(path: Path) -> list[Path]:
    """The parts in their order; of a part that is there as .csv and as .zip, the one of them."""
    files = sorted(path.glob(_PART)) if path.is_dir() else [path]
    known = [file for file in files if file.match(_PART) and file.suffix in (".csv", ".zip") and file.is_file()]
    return list({file.stem: file for file in known}.values())


def _table(path: Path) -> NDArray[np.float64]:
    """A part's numbers ``[users, 1 + jokes]``, checked."""
    try:
        data = _bytes(path)
        frame = pl.read_csv(data, has_header=False, infer_schema=False)
        check_rows(frame, count_rows(np.frombuffer(data, dtype=np.uint8)), path)
        table = frame.select(pl.all().str.strip_chars().cast(pl.Float64)).to_numpy()
    except (pl.exceptions.PolarsError, zipfile.BadZipFile) as error:
        raise unreadable(path, error) from error
    rating = table[:, 1:]
    wrong = ~((np.abs(rating) <= 10.0) | (rating == _NOT_RATED))  # True for NaN, too
    if wrong.any():
        row, joke = np.argwhere(wrong)[0]
        raise InterplayError(f"{path}: has {rating[row, joke]:g} for joke {joke + 1} in row {row + 1}, which lies "
                             "outside -10 to 10 and is not 99, not rated: get the file again")
    differs = np.flatnonzero((rating != _NOT_RATED).sum(1) != table[:, 0])
    if len(differs):
        raise InterplayError(f"{path}: row {differs[0] + 1} says {table[differs[0], 0]:g} ratings in its first column "
                             f"but has {int((rating[differs[0]] != _NOT_RATED).sum())}: get the file again")
    return table


def _bytes(path: Path) -> bytes:
    if path.suffix == ".csv":
        return path.read_bytes()
    with zipfile.ZipFile(path) as packed:
        inside = [name for name in packed.namelist() if name.endswith(".csv") and not name.startswith("__MACOSX")]
        if len(inside) != 1:
            raise InterplayError(f"{path}: holds {', '.join(packed.namelist()) or 'nothing'} where one .csv is needed: "
                                 "save the spreadsheet as CSV without a header")
        return packed.read(inside[0])


def _titles(path: Path, log: InteractionLog) -> tuple[str, ...]:
    """The first words of each joke, which are ``init<number>.html`` in the archive."""
    texts = dict(_jokes(path))
    return tuple(texts.get(int(number), f"joke {number}") for number in log.item_ids)


def _jokes(path: Path) -> Iterator[tuple[int, str]]:
    with zipfile.ZipFile(path) as packed:
        for name in packed.namelist():
            number = re.fullmatch(r"(?:.*/)?init(\d+)\.html", name)
            if number and not name.startswith("__MACOSX"):
                text = html.unescape(re.sub(r"<[^>]*>", " ", packed.read(name).decode("latin-1")))
                words = re.sub(r"^Joke \d+( of \d+)? ", "", " ".join(text.split()))  # the page's own heading
                yield int(number[1]), words if len(words) <= _TITLE else words[:_TITLE].rsplit(" ", 1)[0] + " ..."
