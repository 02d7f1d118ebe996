"""MovieLens 1M and 10M: ratings in ``ratings.dat``, whose fields lie between double colons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import polars as pl

from interplay.envs.data.base import DataSet
from interplay.envs.data.columns import ColumnNames, parse_text
from interplay.envs.data.download import Download
from interplay.envs.data.features import make_features
from interplay.envs.data.files import first_cells, read_lines, read_plain, refuse_columns, topic_shares
from interplay.envs.data.log import InteractionLog, make_log
from interplay.envs.types import InterplayError

_COLUMNS = ColumnNames("user", "item", "rating", "time")
_URL = "https://files.grouplens.org/datasets/movielens/"


class MovieLens1M(DataSet):
    """The folder with ``ratings.dat``, or that file: 1M (latin-1, with ``users.dat``) or 10M (UTF-8, without).

    Of the films in ``movies.dat``, those without a rating are left out; film numbers have gaps.
    """

    name: ClassVar[str] = "movielens-1m"
    source: ClassVar[str] = "GroupLens, grouplens.org/datasets/movielens; Harper & Konstan, ACM TiiS 5(4), 2015"
    licence: ClassVar[str] = "research use; no redistribution and no commercial use without permission"
    rows: ClassVar[str] = "a rating, 1 to 5 stars (10M: 0.5 to 5), with its time"
    features: ClassVar[str] = ("users (1M): gender, age group as its first year, occupation; items: title, and genres "
                               "as topics in equal shares")
    # The hashes are the publisher's; the archives were not at hand.
    downloads: ClassVar[dict[str, Download]] = {
        "movielens-1m": Download("ml-1m", _URL + "ml-1m.zip", "md5:c4d9eecfca2ab87c1945afe126590906"),
        "movielens-10m": Download("ml-10M100K", _URL + "ml-10m.zip", "md5:ce571fd55effeba0271552578f2648bd")}

    def matches(self, path: Path) -> bool:
        """``ratings.dat``, or a folder with one."""
        if path.is_dir():
            return (path / "ratings.dat").is_file()
        return path.name == "ratings.dat" and path.is_file() and len(first_cells(path, "::")) == len(_COLUMNS.used())

    def read(self, path: Path, columns: ColumnNames | None) -> InteractionLog:
        """Ratings; films and users' features too where their files lie beside them."""
        refuse_columns(columns, self.name, path)
        folder = path if path.is_dir() else path.parent
        rows = read_plain(folder / "ratings.dat", "::", _COLUMNS.used())
        log = make_log(parse_text(rows, _COLUMNS), _COLUMNS, "ratings.dat")
        films, people = folder / "movies.dat", folder / "users.dat"
        log = _with_films(log, films) if films.is_file() else log
        return _with_people(log, people) if people.is_file() else log


def _with_films(log: InteractionLog, path: Path) -> InteractionLog:
    films = {fields[0]: fields for fields in _fields(path, 3)}
    rows = [films.get(str(number)) for number in log.item_ids]
    for number, row in zip(log.item_ids, rows, strict=True):
        if row is None:
            raise InterplayError(f"{path}: has no film {number}, which ratings.dat rates: get both files from one "
                                 "place")
    known = [row for row in rows if row is not None]
    shares, names = topic_shares([genre for genre in row[2].split("|") if genre != "(no genres listed)"]
                                 for row in known)
    return replace(log, titles=tuple(row[1] for row in known), item_topics=shares, topic_names=names)


def _with_people(log: InteractionLog, path: Path) -> InteractionLog:
    """Occupations are codes, so categories; ages are the first years of groups, so numbers. Zip codes are left out."""
    rows = _fields(path, 5)
    ages = [row[2] for row in rows]
    for row, age in enumerate(ages):
        if not age.isdecimal():
            raise InterplayError(f"{path}: has the age {age!r} in row {row + 1}: get the file again")
    frame = pl.DataFrame({"user": [row[0] for row in rows], "gender": [row[1] for row in rows],
                          "age": [int(age) for age in ages], "occupation": [row[3] for row in rows]})
    return replace(log, user_features=make_features(frame, "user", log.user_ids, path.name).values)


def _fields(path: Path, count: int) -> list[list[str]]:
    rows = [line.split("::") for line in read_lines(path)]
    for number, row in enumerate(rows):
        if len(row) != count:
            raise InterplayError(f"{path}: line {number + 1} has {len(row)} fields between '::' where {count} are "
                                 "needed: get the file again")
    return rows
