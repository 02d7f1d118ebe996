"""Data: logs, where they come from, and what can be fitted to them. One file for each data set.

``find_log`` finds or downloads a public data set by its name; ``read_log`` finds the reader for a path, ``find_folds``
its official folds;
``read_features`` reads what else is known of users and items; ``prepare`` cleans a log; ``split_log`` parts it;
``fit_factors`` turns it into vectors.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from interplay.envs.data.base import DataSet
from interplay.envs.data.columns import ColumnNames
from interplay.envs.data.download import Download, obtain
from interplay.envs.data.factors import Factors, fit_factors
from interplay.envs.data.features import Features, read_features
from interplay.envs.data.form import TableForm
from interplay.envs.data.log import InteractionLog, LogSummary, make_log
from interplay.envs.data.prepare import Preparation, centre_users, prepare
from interplay.envs.data.split import split_log
from interplay.envs.data.table import TableData
from interplay.envs.discovery import discover
from interplay.envs.messages import choice
from interplay.envs.types import InterplayError


@cache
def data_sets() -> dict[str, type[DataSet]]:
    """Every data set of this package by name."""
    return discover(sys.modules[__name__], DataSet)


def downloads() -> dict[str, Download]:
    """Every public data set that can be asked for by name."""
    return dict(sorted(pair for kind in data_sets().values() for pair in kind.downloads.items()))


def find_log(name: Path | str, data_dir: Path | None = None) -> Path:
    """The path of a log: ``name`` itself if it is there, else that of the public data set called so.

    Args:
        name: a path, or one of ``downloads()`` such as ``"movielens-1m"``.
        data_dir: folder that already holds data sets, in folders called as their archives unpack; what is not there
            is downloaded to the cache.

    Raises:
        InterplayError: no path and no data set, or a download that failed; then which file to put where is said.
    """
    if Path(name).exists():
        return Path(name)
    known = downloads()
    if str(name) not in known:
        raise InterplayError(f"{name}: there is no such file or folder: check the path, or name a public data set: "
                             f"{choice(known, str(name))}")
    return obtain(str(name), known[str(name)], data_dir)


def read_log(path: Path | str, columns: ColumnNames | None = None, form: TableForm | None = None) -> InteractionLog:
    """The log in a file or folder, read by the first data set (by name, fallbacks last) that knows it.

    Args:
        path: a public data set, or a table of yours.
        columns: which column of a table holds what; None = user, item, reward and, where they exist, time and
            propensity. A file whose columns are named is read as a table; its name does not matter.
        form: how a table is written; None = detected.

    Raises:
        InterplayError: there is no such path, no data set knows it, or what is inside cannot be used.
    """
    path = Path(path)
    reader = find_reader(path, columns, form)
    return reader.read(path, columns, form) if isinstance(reader, TableData) else reader.read(path, columns)


def find_folds(path: Path | str) -> tuple[Path, ...]:
    """The official folds of the public data set at ``path``: paths of logs whose held-out parts are each one's own.

    Raises:
        InterplayError: the data set has none, or some of them are missing.
    """
    path = Path(path)
    reader = find_reader(path)
    folds = reader.folds(path)
    if not folds:
        raise InterplayError(f"{path}: {reader.name} comes without folds: repeat random splits with --seeds instead")
    return folds


def find_reader(path: Path, columns: ColumnNames | None = None, form: TableForm | None = None) -> DataSet:
    """The first data set that knows ``path``; of a file, one that can do with the columns and the form that are given.

    Raises:
        InterplayError: there is no such path, or none does.
    """
    if not path.exists():
        raise InterplayError(f"{path}: there is no such file or folder: check the path")
    readers = sorted((kind() for kind in data_sets().values()), key=lambda reader: reader.fallback)
    known = [reader for reader in readers if reader.matches(path)]
    for reader in known:
        if reader.fallback or path.is_dir() or (reader.takes(columns) and form in (None, TableForm())):
            return reader
    names = ", ".join(reader.name for reader in readers)
    raise InterplayError(f"{path}: no data set knows this (asked: {names}): give its folder, or a table")


__all__ = ["ColumnNames", "DataSet", "Factors", "Features", "InteractionLog", "LogSummary", "Preparation",
           "TableForm", "centre_users", "data_sets", "downloads", "find_folds", "find_log", "find_reader",
           "fit_factors", "make_log", "prepare", "read_features", "read_log", "split_log"]
