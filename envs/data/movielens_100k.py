"""MovieLens-100K: 100,000 ratings (1 to 5) of 1,682 films by 943 people, as its ``ml-100k`` folder comes.

Its terms allow research and forbid passing the data on, so the project holds no copy of it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interplay.envs.data.base import DataSet
from interplay.envs.data.columns import ColumnNames, parse_text
from interplay.envs.data.features import make_features, typed
from interplay.envs.data.log import InteractionLog, make_log
from interplay.envs.types import InterplayError

GENRES = ("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
          "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War",
          "Western")
"""The genre flags of ``u.item``, in their order. ``unknown`` is one of them."""

_COLUMNS = ColumnNames("user", "item", "rating", "time")
_FIRST_FLAG = 5  # fields of u.item before the flags: id, title, date, video date, link


class MovieLens100K(DataSet):
    """The folder, or the ``u.data`` in it. Topics are genres, shared equally by a film's flags.

    Features of users are age, gender and occupation.
    """

    name: ClassVar[str] = "movielens-100k"

    def matches(self, path: Path) -> bool:
        """``u.data``, or a folder with one."""
        file = path / "u.data" if path.is_dir() else path
        return file.name == "u.data" and file.is_file()

    def read(self, path: Path, columns: ColumnNames | None) -> InteractionLog:
        """Ratings; titles and topics too where ``u.item`` lies beside them, users' features where ``u.user`` does."""
        if columns is not None:
            raise InterplayError(f"{path}: the columns of {self.name} are known, but {columns} was given: leave "
                                 "it out")
        folder = path if path.is_dir() else path.parent
        log = make_log(_ratings(folder / "u.data"), _COLUMNS, "u.data")
        _check_count(log, folder / "u.info")
        films, people = folder / "u.item", folder / "u.user"
        log = _with_films(log, films) if films.is_file() else log
        return _with_people(log, people) if people.is_file() else log


def _ratings(path: Path) -> pl.DataFrame:
    return parse_text(_text(path, "\t", _COLUMNS.used()), _COLUMNS)


def _text(path: Path, separator: str, names: list[str]) -> pl.DataFrame:
    """A file without a header, every column as text."""
    try:
        frame = pl.read_csv(path, separator=separator, has_header=False, infer_schema=False, quote_char=None)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise InterplayError(f"{path}: cannot be read ({reason}): get the file again") from error
    if frame.width != len(names):
        raise InterplayError(f"{path}: has {frame.width} columns between {separator!r} where {len(names)} are needed "
                             f"({', '.join(names)}): get the file again")
    frame.columns = names
    return frame


def _with_people(log: InteractionLog, path: Path) -> InteractionLog:
    """Users' features. Zip codes are left out: they mean nothing as numbers, and as categories are too many."""
    people = _text(path, "|", ["user", "age", "gender", "occupation", "zip"]).drop("zip")
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
    return replace(log, titles=tuple(fields[1] for fields in rows), item_topics=_shares(flags), topic_names=GENRES)


def _film(films: dict[str, list[str]], number: int | str, path: Path) -> list[str]:
    fields = films.get(str(number))
    if fields is None:
        raise InterplayError(f"{path}: has no film {number}, which u.data rates: get both files from one place")
    if len(fields) != _FIRST_FLAG + len(GENRES) or not set(fields[_FIRST_FLAG:]) <= {"0", "1"}:
        raise InterplayError(f"{path}: film {number} does not have {_FIRST_FLAG} fields and then {len(GENRES)} "
                             "flags of 0 or 1: get the file again")
    return fields


def _shares(flags: NDArray[np.float32]) -> NDArray[np.float32]:
    """Flags ``[I, G]`` as rows on the simplex; a film with none gets every genre equally."""
    flags = np.where(flags.any(1, keepdims=True), flags, np.float32(1.0))
    shares: NDArray[np.float32] = flags / flags.sum(1, keepdims=True)
    return shares
