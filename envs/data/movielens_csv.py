"""MovieLens 25M, 32M and the other MovieLens releases as CSV: ``ratings.csv`` and ``movies.csv``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import polars as pl

from interplay.envs.data.base import DataSet
from interplay.envs.data.columns import ColumnNames
from interplay.envs.data.download import Download
from interplay.envs.data.files import first_cells, read_typed, refuse_columns, topic_shares
from interplay.envs.data.log import InteractionLog, make_log
from interplay.envs.types import InterplayError

_COLUMNS = ColumnNames("userId", "movieId", "rating", "timestamp")
# 32 bits where they do: 25 million rows are 0.5 GB like this and several GB as text.
_TYPES = {"userId": pl.Int32(), "movieId": pl.Int32(), "rating": pl.Float32(), "timestamp": pl.Int64()}
_URL = "https://files.grouplens.org/datasets/movielens/"


class MovieLensCSV(DataSet):
    """The folder with ``ratings.csv``, or that file, if its columns are those of MovieLens.

    Films without a rating are left out.
    """

    name: ClassVar[str] = "movielens-csv"
    source: ClassVar[str] = "GroupLens, grouplens.org/datasets/movielens; Harper & Konstan, ACM TiiS 5(4), 2015"
    licence: ClassVar[str] = "research use; redistribution under the same terms, no commercial use without permission"
    rows: ClassVar[str] = "a rating, 0.5 to 5 stars, with its time"
    features: ClassVar[str] = "items: title, and genres as topics in equal shares"
    # The hashes are the publisher's; the archives were not at hand.
    downloads: ClassVar[dict[str, Download]] = {
        "movielens-25m": Download("ml-25m", _URL + "ml-25m.zip", "md5:6b51fb2759a8657d3bfcbfc42b592ada"),
        "movielens-32m": Download("ml-32m", _URL + "ml-32m.zip", "md5:d472be332d4daa821edc399621853b57"),
        # Replaced by the publisher now and then, so that it has no lasting hash.
        "movielens-latest-small": Download("ml-latest-small", _URL + "ml-latest-small.zip")}

    def matches(self, path: Path) -> bool:
        """``ratings.csv`` with the columns of MovieLens, or a folder with one: a table of yours may have its name."""
        file = path / "ratings.csv" if path.is_dir() else path
        if file.name != "ratings.csv" or not file.is_file():
            return False
        return first_cells(file, ",") == list(_TYPES)

    def read(self, path: Path, columns: ColumnNames | None) -> InteractionLog:
        """Ratings; titles and topics too where ``movies.csv`` lies beside them."""
        refuse_columns(columns, self.name, path)
        folder = path if path.is_dir() else path.parent
        log = make_log(read_typed(folder / "ratings.csv", _TYPES), _COLUMNS, "ratings.csv")
        return _with_films(log, folder / "movies.csv") if (folder / "movies.csv").is_file() else log


def _with_films(log: InteractionLog, path: Path) -> InteractionLog:
    """Titles and genres in the order of the log's items."""
    films = read_typed(path, {"movieId": pl.Int32(), "title": pl.String(), "genres": pl.String()})
    known = pl.DataFrame({"movieId": pl.Series(log.item_ids, dtype=pl.Int32)}).join(
        films.unique("movieId", keep="first"), on="movieId", how="left", maintain_order="left")
    unknown = known.filter(known["title"].is_null())
    if len(unknown):
        raise InterplayError(f"{path}: has no film {unknown['movieId'][0]}, which ratings.csv rates: get both files "
                             "from one place")
    # "(no genres listed)" is no genre: such a film gets every one equally.
    genres = [[] if text is None or text.startswith("(") else text.split("|") for text in known["genres"]]
    shares, names = topic_shares(genres)
    return replace(log, titles=tuple(known["title"].to_list()), item_topics=shares, topic_names=names)
