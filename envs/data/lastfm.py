"""Last.fm of HetRec 2011: how often 1,892 people listened to each of their artists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from interplay.envs.data.base import DataSet
from interplay.envs.data.columns import ColumnNames, parse_text
from interplay.envs.data.download import Download
from interplay.envs.data.files import has_columns, read_lines, read_plain, refuse_columns
from interplay.envs.data.log import InteractionLog, make_log
from interplay.envs.types import InterplayError

_COLUMNS = ColumnNames("userID", "artistID", "weight")


class LastFM(DataSet):
    """The folder with ``user_artists.dat``, or that file.

    Plays are counts over four orders of magnitude, and a pair that is not there is unknown, not disliked. So prepare
    them: with their logarithm as reward, or with a threshold (``Preparation`` in ``envs/data/prepare.py``).
    """

    name: ClassVar[str] = "lastfm"
    source: ClassVar[str] = "HetRec 2011 workshop at RecSys, grouplens.org/datasets/hetrec-2011; data by Last.fm"
    licence: ClassVar[str] = "non-commercial use; the publisher asks to cite Last.fm and the workshop"
    rows: ClassVar[str] = "how often a user played an artist (implicit weight, 1 and up); no times"
    features: ClassVar[str] = "items: the artist's name as title"
    # The publisher states no hash.
    downloads: ClassVar[dict[str, Download]] = {"lastfm": Download(
        "hetrec2011-lastfm-2k", "https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip",
        files="user_artists.dat and artists.dat")}

    def matches(self, path: Path) -> bool:
        """``user_artists.dat``, or a folder with one."""
        if path.is_dir():
            return (path / "user_artists.dat").is_file()
        return path.name == "user_artists.dat" and path.is_file() and has_columns(path, _COLUMNS.used(), "\t")

    def read(self, path: Path, columns: ColumnNames | None) -> InteractionLog:
        """Plays; names too where ``artists.dat`` lies beside them."""
        refuse_columns(columns, self.name, path)
        folder = path if path.is_dir() else path.parent
        rows = read_plain(folder / "user_artists.dat", "\t", _COLUMNS.used(), header=True)
        log = make_log(parse_text(rows, _COLUMNS), _COLUMNS, "user_artists.dat")
        artists = folder / "artists.dat"
        return replace(log, titles=_names(artists, log)) if artists.is_file() else log


def _names(path: Path, log: InteractionLog) -> tuple[str, ...]:
    """Of the log's artists. Lines have further fields, of which some are missing; quotes are part of names."""
    fields = [line.split("\t") for line in read_lines(path)[1:]]
    names = {row[0]: row[1] for row in fields if len(row) > 1}
    for number in log.item_ids:
        if str(number) not in names:
            raise InterplayError(f"{path}: has no artist {number}, that user_artists.dat has: get both files from one "
                                 "place")
    return tuple(names[str(number)] for number in log.item_ids)
