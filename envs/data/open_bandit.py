"""Open Bandit Dataset: what a fashion shop's two policies showed, how likely that was, and whether it was clicked.

Saito et al., "Open Bandit Dataset and Pipeline" (NeurIPS 2021 datasets; arXiv:2008.07146). Its folders are
``{random,bts}/{all,men,women}``, each with a table of impressions and one of items. Three of the 34 to 80 items were
shown side by side, and each is a row. The rows name no user, so that they are a bandit's log, for off-policy
evaluation, and no market's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interplay.envs.data.base import DataSet
from interplay.envs.data.columns import ColumnNames, read_numbers, read_propensities, refuse
from interplay.envs.data.download import Download
from interplay.envs.data.log import InteractionLog
from interplay.envs.data.reading import read_frame
from interplay.envs.data.times import read_times
from interplay.envs.types import InterplayError

_ITEMS = "item_context.csv"
_NUM_POSITIONS = 3
_USER_FEATURES = [f"user_feature_{k}" for k in range(4)]
_NEEDED = ["timestamp", "item_id", "position", "click", "propensity_score", *_USER_FEATURES]


@dataclass(frozen=True, eq=False)
class OpenBanditLog:
    """One policy's impressions in one campaign, oldest first: ``N`` rows of ``A`` items.

    Attributes:
        campaign: all, men or women.
        policy: the policy that wrote the log: random (uniform) or bts (Bernoulli Thompson sampling).
        context: float64 ``[N, F]``: a column of 0 and 1 for each value of each (hashed) user feature, and the user's
            past clicks on each of the ``A`` items.
        context_names: their ``F`` names.
        item: int64 ``[N]`` in ``0..A-1``.
        click: float64 ``[N]``, 0 or 1.
        propensity: float64 ``[N]`` in (0, 1], of the item in its position.
        position: int64 ``[N]``, 0 = left, 1 = centre, 2 = right.
        time: float64 ``[N]``, unix seconds.
        item_features: float64 ``[A, Fa]``: a number, and a column of 0 and 1 for each value of the hashed ones.
    """

    campaign: str
    policy: str
    context: NDArray[np.float64]
    context_names: tuple[str, ...]
    item: NDArray[np.int64]
    click: NDArray[np.float64]
    propensity: NDArray[np.float64]
    position: NDArray[np.int64]
    time: NDArray[np.float64]
    item_features: NDArray[np.float64]

    @property
    def num_items(self) -> int:
        """A."""
        return len(self.item_features)


class OpenBandit(DataSet):
    """Recognised, so that a market's log of this kind gets an error that says what it is for."""

    name: ClassVar[str] = "open-bandit"
    source: ClassVar[str] = "ZOZO, Inc.; Saito et al., 'Open Bandit Dataset and Pipeline', arXiv:2008.07146; zr-obp"
    licence: ClassVar[str] = "the small version: Apache-2.0 with its repository, which asks for citation"
    rows: ClassVar[str] = "an impression: item, position, click, propensity, time; no user"
    features: ClassVar[str] = "impressions: four hashed user features and past clicks on each item; items: four"
    downloads: ClassVar[dict[str, Download]] = {"open-bandit": Download(
        "open_bandit", None, files="{random,bts}/{all,men,women}/, each with its table and item_context.csv")}

    def matches(self, path: Path) -> bool:
        """A folder ``{campaign}`` with the two tables, or the table of impressions in it."""
        folder = path if path.is_dir() else path.parent
        names = (_ITEMS, f"{folder.name}.csv")
        return all((folder / name).is_file() for name in names) and (path.is_dir() or path.name in names)

    def read(self, path: Path, columns: ColumnNames | None) -> InteractionLog:
        """Always raises InterplayError: there are no users in it."""
        raise InterplayError(f"{path}: the rows of {self.name} name no user, so that no market can be made of them: "
                             "they are for off-policy evaluation, with interplay ope")


def read_open_bandit(path: Path | str) -> OpenBanditLog:
    """One policy's log of one campaign.

    Args:
        path: a folder such as ``bts/men``, of the small version (10,000 rows) or the full one.

    Raises:
        InterplayError: it is no such folder, or a value in it is none that it can be.
    """
    path = Path(path).resolve()
    if not path.is_dir() or not OpenBandit().matches(path):
        raise InterplayError(f"{path}: is no campaign of Open Bandit, whose actions have known probabilities: give a "
                             f"folder such as bts/men, with men.csv and {_ITEMS} in it, or a table with a column of "
                             "probabilities")
    source = f"{path.name}.csv"
    rows, items = _table(path / source, _NEEDED), _table(path / _ITEMS, ["item_id"])
    features = _item_features(items)
    context, names = _context(rows, len(features), source)
    time = read_times(rows["timestamp"], source).seconds
    order = np.argsort(time, kind="stable")  # last, so that errors name the file's own rows
    return OpenBanditLog(
        path.name, path.parent.name, context[order], names,
        item=_whole(rows["item_id"], 0, len(features) - 1, source)[order],
        click=_whole(rows["click"], 0, 1, source)[order].astype(np.float64),
        propensity=read_propensities(rows["propensity_score"], source)[order],
        position=_whole(rows["position"], 1, _NUM_POSITIONS, source)[order] - 1,
        time=time[order], item_features=features)


def _table(path: Path, needed: list[str]) -> pl.DataFrame:
    """All columns as text."""
    frame = read_frame(path)
    absent = [name for name in needed if name not in frame.columns]
    if absent or frame.height == 0:
        problem = f"no column {absent[0]!r}" if absent else "no rows"
        raise InterplayError(f"{path}: has {problem}: get the file again")
    return frame


def _whole(column: pl.Series, low: int, high: int, source: str) -> NDArray[np.int64]:
    """Integers from ``low`` to ``high``, int64 ``[N]``."""
    number = column.cast(pl.Int64, strict=False)
    inside = number.is_between(low, high).fill_null(False)
    refuse(~inside, column, f"which is no integer from {low} to {high}: get the file again", source)
    return number.to_numpy()


def _context(rows: pl.DataFrame, num_items: int, source: str) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """What is known of the user, ``[N, F]``, and the columns' names."""
    blocks, names = zip(*(_one_hot(rows[name]) for name in _USER_FEATURES), strict=True)
    affinities = [f"user-item_affinity_{item}" for item in range(num_items)]
    absent = [name for name in affinities if name not in rows.columns]
    if absent:
        raise InterplayError(f"{source}: no column {absent[0]!r}, though {_ITEMS} has {num_items} items: get both "
                             "files from one place")
    numbers = [read_numbers(rows[name], source)[:, None] for name in affinities]
    return np.concatenate([*blocks, *numbers], axis=1).astype(np.float64), (*sum(names, ()), *affinities)


def _item_features(items: pl.DataFrame) -> NDArray[np.float64]:
    """Float64 ``[A, Fa]`` in the order of the items' numbers, which are 0, 1, 2 ..."""
    number = _whole(items["item_id"], 0, items.height - 1, _ITEMS)
    refuse(~items["item_id"].is_first_distinct(), items["item_id"], "which has a row already: get the file again",
           _ITEMS)
    blocks = [read_numbers(column, _ITEMS)[:, None] if column.name == "item_feature_0" else _one_hot(column)[0]
              for column in items.get_columns() if column.name.startswith("item_feature_")]
    features = np.zeros((items.height, sum(block.shape[1] for block in blocks)))
    features[number] = np.concatenate(blocks, axis=1) if blocks else np.zeros((items.height, 0))
    return features


def _one_hot(column: pl.Series) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """A column of 0 and 1 for each value, in sorted order, and their names; what is missing has a column too."""
    text = column.fill_null("missing")
    values = text.unique().sort()
    place = (text.rank("dense").cast(pl.Int64) - 1).to_numpy()
    return np.eye(len(values))[place], tuple(f"{column.name}={value[:8]}" for value in values)
