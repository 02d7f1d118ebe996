"""MovieLens-100K: 100,000 ratings (1 to 5) of 1,682 films by 943 people, as its ``ml-100k`` folder comes.

Its terms allow research and forbid passing the data on, so the project holds no copy of it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from interplay.envs.data.base import DataSet
from interplay.envs.data.columns import ColumnNames, parse_text
from interplay.envs.data.download import Download
from interplay.envs.data.features import make_features, typed
from interplay.envs.data.files import equal_shares, first_cells, read_plain, refuse_columns
from interplay.envs.data.log import InteractionLog, make_log
from interplay.envs.types import InterplayError

GENRES = ("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
          "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War",
          "Western")
"""The genre flags of ``u.item``, in their order. ``unknown`` is one of them."""

_COLUMNS = ColumnNames("user", "item", "rating", "time")
_FOLD = re.compile(r"u[1-5ab]\.(base|test)")
_FIFTHS = ("u1", "u2", "u3", "u4", "u5")
_FIRST_FLAG = 5  # fields of u.item before the flags: id, title, date, video date, link


class MovieLens100K(DataSet):
    """The folder, or the ``u.data`` in it; or one of its official folds, by either of the fold's two files.

    ``ml-100k/u1.base`` (or ``u1.test``) is all of fold u1, with the test file as the log's own held-out part: take it
    with how="own" (``--split own``). u1 to u5 are fifths of the rows; ua and ub hold out 10 rows of each user.
    """

    name: ClassVar[str] = "movielens-100k"
    source: ClassVar[str] = "GroupLens, grouplens.org/datasets/movielens/100k; Harper & Konstan, ACM TiiS 5(4), 2015"
    licence: ClassVar[str] = "research use; no redistribution and no commercial use without permission"
    rows: ClassVar[str] = "a rating, 1 to 5 stars, with its time"
    features: ClassVar[str] = "users: age, gender, occupation; items: title, and genres as topics in equal shares"
    own_split: ClassVar[str] = "u1 to u5 as folds; one of these, ua or ub, when one of its files is given as the path"
    downloads: ClassVar[dict[str, Download]] = {"movielens-100k": Download(
        "ml-100k", "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        "md5:0e33842e24a9c977be4e0107933c0723")}  # the publisher's; the archive was not at hand

    def matches(self, path: Path) -> bool:
        """``u.data``, a folder with one, or a file of a fold."""
        if path.is_dir():
            return (path / "u.data").is_file()
        known = (path.name == "u.data" or _FOLD.fullmatch(path.name) is not None) and path.is_file()
        cells = first_cells(path, "\t") if known else []
        return len(cells) == len(_COLUMNS.used()) and all(cell.isdecimal() for cell in cells)

    def folds(self, path: Path) -> tuple[Path, ...]:
        """u1 to u5, of which every row is held out in one."""
        folder = path if path.is_dir() else path.parent
        found = tuple(folder / f"{name}.base" for name in _FIFTHS)
        for file in found:
            if not file.is_file():
                raise InterplayError(f"{file}: there is no such file, but the folds need it: get the folder again")
        return found

    def read(self, path: Path, columns: ColumnNames | None) -> InteractionLog:
        """Ratings; titles and topics too where ``u.item`` lies beside them, users' features where ``u.user`` does."""
        refuse_columns(columns, self.name, path)
        folder = path if path.is_dir() else path.parent
        log = _fold(folder, path.stem) if _FOLD.fullmatch(path.name) else \
            make_log(_ratings(folder / "u.data"), _COLUMNS, "u.data")
        _check_count(log, folder / "u.info")
        films, people = folder / "u.item", folder / "u.user"
        log = _with_films(log, films) if films.is_file() else log
        return _with_people(log, people) if people.is_file() else log


def _fold(folder: Path, name: str) -> InteractionLog:
    """Both files of a fold, base first."""
    base, test = folder / f"{name}.base", folder / f"{name}.test"
    for file in (base, test):
        if not file.is_file():
            raise InterplayError(f"{file}: there is no such file, but fold {name} needs it: get the folder again")
    parts = [read_plain(file, "\t", _COLUMNS.used()) for file in (base, test)]
    log = make_log(parse_text(pl.concat(parts), _COLUMNS), _COLUMNS, f"{name}.base and {name}.test")
    return replace(log, split=np.repeat([False, True], [len(part) for part in parts]))


def _ratings(path: Path) -> pl.DataFrame:
    return parse_text(read_plain(path, "\t", _COLUMNS.used()), _COLUMNS)


def _with_people(log: InteractionLog, path: Path) -> InteractionLog:
    """Users' features. Zip codes are left out: they mean nothing as numbers, and as categories are too many."""
    people = read_plain(path, "|", ["user", "age", "gender", "occupation", "zip"]).drop("zip")
    return replace(log, user_features=make_features(typed(people, "user"), "user", log.user_ids, path.name).values)


def _check_count(log: InteractionLog, info: Path) -> None:
    """Copies go round that lack their last row; ``u.info`` says how many there should be."""
    if not info.is_file():
        return
    counts = {line.split()[1]: line.split()[0] for line in info.read_text("latin-1").split("\n") if line.strip()}
    expected = counts.get("ratings", str(len(log)))
    if expected != str(len(log)):
        raise InterplayError(f"u.data: has {len(log)} ratings, but u.info says {expected}: get the file again, or "
                             "remove u.info if this is a part on purpose")


def _with_films(log: InteractionLog, path: Path) -> InteractionLog:
    """Titles and topics in the order of the log's items."""
    # Not splitlines: in latin-1 that would also break lines at the byte 0x85.
    lines = [line.rstrip("\r") for line in path.read_text("latin-1").split("\n")]
    films = {fields[0]: fields for fields in (line.split("|") for line in lines if line)}
    rows = [_film(films, number, path) for number in log.item_ids]
    flags = np.array([fields[_FIRST_FLAG:] for fields in rows], dtype=np.float32)
    return replace(log, titles=tuple(fields[1] for fields in rows), item_topics=equal_shares(flags), topic_names=GENRES)


def _film(films: dict[str, list[str]], number: int | str, path: Path) -> list[str]:
    fields = films.get(str(number))
    if fields is None:
        raise InterplayError(f"{path}: has no film {number}, which u.data rates: get both files from one place")
    if len(fields) != _FIRST_FLAG + len(GENRES) or not set(fields[_FIRST_FLAG:]) <= {"0", "1"}:
        raise InterplayError(f"{path}: film {number} does not have {_FIRST_FLAG} fields and then {len(GENRES)} "
                             "flags of 0 or 1: get the file again")
    return fields
