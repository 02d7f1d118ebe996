"""Coat Shopping: 290 people rated coats (1 to 5), once of their own choice and once at random."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interplay.envs.data.base import DataSet
from interplay.envs.data.columns import ColumnNames
from interplay.envs.data.download import Download
from interplay.envs.data.files import equal_shares, read_lines, refuse_columns
from interplay.envs.data.log import InteractionLog, make_log
from interplay.envs.types import InterplayError

_FEATURES = Path("user_item_features")
_KIND = "jackettype:"


class Coat(DataSet):
    """The folder with ``train.ascii`` and ``test.ascii``: matrices of users by coats, where 0 means not rated.

    Users are the rows and items the columns, numbered from 0. Some pairs are in both parts, with two ratings that may
    differ: how="own" keeps their held-out rows alone.
    """

    name: ClassVar[str] = "coat"
    source: ClassVar[str] = ("Schnabel et al., 'Recommendations as Treatments', ICML 2016; "
                             "cs.cornell.edu/~schnabts/mnar")
    licence: ClassVar[str] = "none is stated: research use, cite the paper, ask before you pass it on"
    rows: ClassVar[str] = ("a rating, 1 to 5; no times. Propensities: of the self-selected rows the publisher's "
                           "estimate of the chance that the pair was rated, of the random ones the user's rows / items")
    features: ClassVar[str] = "users: 14 flags of gender, age, place and taste; items: 33 flags, jacket types as topics"
    own_split: ClassVar[str] = "the 16 coats that each user rated at random (test.ascii)"
    downloads: ClassVar[dict[str, Download]] = {"coat": Download(
        "coat", "https://www.cs.cornell.edu/~schnabts/mnar/coat.zip",
        files="train.ascii, test.ascii, propensities.ascii and user_item_features/")}  # no hash is published

    def matches(self, path: Path) -> bool:
        """A folder with both matrices."""
        return (path / "train.ascii").is_file() and (path / "test.ascii").is_file()

    def read(self, path: Path, columns: ColumnNames | None) -> InteractionLog:
        """Both parts; propensities and features too where their files are."""
        refuse_columns(columns, self.name, path)
        parts = [_ratings(path / file) for file in ("train.ascii", "test.ascii")]
        _same_shape(parts[0], parts[1], path / "test.ascii")
        log = _log(parts)
        if (path / "propensities.ascii").is_file():
            log = replace(log, propensity=_propensities(path / "propensities.ascii", parts))
        return _with_features(log, path / _FEATURES) if (path / _FEATURES).is_dir() else log


def _log(parts: list[NDArray[np.float64]]) -> InteractionLog:
    """The training part's ratings and then the random ones; every user and coat keeps its number, rated or not."""
    places = [np.nonzero(part) for part in parts]
    rows = pl.DataFrame({"user": np.concatenate([user for user, _ in places]),
                         "item": np.concatenate([item for _, item in places]),
                         "reward": np.concatenate([part[place] for part, place in zip(parts, places, strict=True)])})
    empty = sum(int((part == 0).sum()) for part in parts)
    log = make_log(rows, source="train.ascii and test.ascii", dropped={"cells that hold 0, not rated": empty})
    num_users, num_items = parts[0].shape
    return replace(log, user=rows["user"].to_numpy(), item=rows["item"].to_numpy(), user_ids=tuple(range(num_users)),
                   item_ids=tuple(range(num_items)), split=np.repeat([False, True], [len(user) for user, _ in places]))


def _ratings(path: Path) -> NDArray[np.float64]:
    matrix = _matrix(path)
    wrong = ~np.isin(matrix, np.arange(6))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise InterplayError(f"{path}: has {matrix[row, column]:g} in row {row + 1} and column {column + 1} where a "
                             "rating of 1 to 5, or 0, is needed: get the file again")
    return matrix


def _propensities(path: Path, parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Of each row: the estimate for what users chose; for the random part what its design was."""
    chosen, random = parts
    estimate = _matrix(path)
    _same_shape(chosen, estimate, path)
    found: NDArray[np.float64] = estimate[chosen != 0]
    if not ((found > 0.0) & (found <= 1.0)).all():
        raise InterplayError(f"{path}: has a propensity outside (0, 1] for a coat that was rated: get the file again")
    share = (random != 0).mean(1)
    return np.concatenate([found, np.repeat(share, (random != 0).sum(1))])


def _with_features(log: InteractionLog, folder: Path) -> InteractionLog:
    """Flags of users and coats. Topics are the types of jacket."""
    users, _ = _flags(folder, "user", log.num_users)
    items, names = _flags(folder, "item", log.num_items)
    kinds = [place for place, name in enumerate(names) if name.startswith(_KIND)]
    return replace(log, user_features=users, item_features=items, item_topics=equal_shares(items[:, kinds]),
                   topic_names=tuple(names[place].removeprefix(_KIND) for place in kinds))


def _flags(folder: Path, whose: str, count: int) -> tuple[NDArray[np.float32], list[str]]:
    """Flags ``[N, F]`` and their F names."""
    path = folder / f"{whose}_features.ascii"
    flags, names = _matrix(path), read_lines(folder / f"{whose}_features_map.txt")
    if flags.shape != (count, len(names)) or not np.isin(flags, (0.0, 1.0)).all():
        raise InterplayError(f"{path}: is no {count} x {len(names)} table of 0 and 1, as the ratings and the names in "
                             f"{whose}_features_map.txt ask for: get the folder again")
    return flags.astype(np.float32), names


def _matrix(path: Path) -> NDArray[np.float64]:
    """Numbers between blanks, a line for each row."""
    try:
        return np.loadtxt(read_lines(path), ndmin=2, comments=None)
    except (OSError, ValueError) as error:
        raise InterplayError(f"{path}: cannot be read ({str(error).splitlines()[0]}): get the file again") from error


def _same_shape(expected: NDArray[np.float64], found: NDArray[np.float64], path: Path) -> None:
    if found.shape != expected.shape:
        raise InterplayError(f"{path}: is a {found.shape[0]} x {found.shape[1]} table where train.ascii is "
                             f"{expected.shape[0]} x {expected.shape[1]}: get the folder again")
