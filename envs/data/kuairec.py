"""KuaiRec: short videos, with a part in which almost every user watched almost every video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from interplay.envs.data.base import DataSet
from interplay.envs.data.columns import ColumnNames
from interplay.envs.data.download import Download
from interplay.envs.data.files import (
    category_features,
    folder_with,
    has_columns,
    read_typed,
    refuse_columns,
    topic_shares,
)
from interplay.envs.data.log import InteractionLog, make_log
from interplay.envs.types import InterplayError

BIG, SMALL = "big_matrix.csv", "small_matrix.csv"

USER_CATEGORIES = ("user_active_degree", "is_lowactive_period", "is_live_streamer", "is_video_author",
                   "follow_user_num_range", "fans_user_num_range", "friend_user_num_range", "register_days_range")
"""Columns of ``user_features.csv`` that are taken, as categories; the encrypted ones are left out."""

_COLUMNS = ColumnNames("user_id", "video_id", "watch_ratio")
_TYPES = {"user_id": pl.Int32(), "video_id": pl.Int32(), "watch_ratio": pl.Float32(), "timestamp": pl.Float64()}


class KuaiRec(DataSet):
    """The folder with ``big_matrix.csv`` and ``small_matrix.csv``, or either file alone.

    The watch ratio is the time watched / the video's length: a few videos that ran in a loop reach several hundred,
    so that most rewards lie near 0 of their range. Prepare them with a clip or a threshold (the paper's example of a
    like is a ratio above 2). Rows of the small matrix may have no time: theirs is NaN, and splits by time refuse them.
    """

    name: ClassVar[str] = "kuairec"
    source: ClassVar[str] = "Gao et al., 'KuaiRec', CIKM 2022, doi 10.1145/3511808.3557220; kuairec.com"
    licence: ClassVar[str] = "CC BY-SA 4.0"
    rows: ClassVar[str] = "a video that was shown, with its watch ratio (0 and up) and mostly its time"
    features: ClassVar[str] = ("users: activity and ranges of counts as categories; items: tags as topics in equal "
                               "shares")
    own_split: ClassVar[str] = "the fully observed small matrix, where both files are there"
    downloads: ClassVar[dict[str, Download]] = {"kuairec": Download(
        "KuaiRec 2.0", "https://zenodo.org/records/18164998/files/KuaiRec.zip",
        "md5:261550d472c48eff4990fb13c0e5bcf7",  # the publisher's; the archive was not at hand
        files="data/big_matrix.csv and data/small_matrix.csv")}

    def matches(self, path: Path) -> bool:
        """Either matrix, or a folder with one, or with a ``data`` that has one."""
        if path.is_dir():
            return _folder(path) is not None
        return path.name in (BIG, SMALL) and path.is_file() and has_columns(path, _COLUMNS.used())

    def read(self, path: Path, columns: ColumnNames | None) -> InteractionLog:
        """The matrices, users' features and videos' tags."""
        refuse_columns(columns, self.name, path)
        folder = _folder(path) if path.is_dir() else path.parent
        assert folder is not None
        files = [folder / BIG, folder / SMALL] if path.is_dir() else [path]
        log = _log([file for file in files if file.is_file()])
        people, videos = folder / "user_features.csv", folder / "item_categories.csv"
        if people.is_file():
            log = replace(log, user_features=category_features(people, "user_id", USER_CATEGORIES, log.user_ids))
        return _with_tags(log, videos) if videos.is_file() else log


def _folder(path: Path) -> Path | None:
    return folder_with(path, BIG) or folder_with(path, SMALL)


def _log(files: list[Path]) -> InteractionLog:
    parts = [read_typed(file, _TYPES) for file in files]
    rows = pl.concat(parts)
    log = make_log(rows, _COLUMNS, " and ".join(file.name for file in files))
    time = rows["timestamp"].fill_null(float("nan")).to_numpy()
    split = np.repeat([False, True], [len(part) for part in parts]) if len(parts) == 2 else None
    return replace(log, time=None if np.isnan(time).all() else time, split=split)


def _with_tags(log: InteractionLog, path: Path) -> InteractionLog:
    """Lists such as ``[27, 9]`` as topics."""
    rows = read_typed(path, {"video_id": pl.Int32(), "feat": pl.String()})
    tags = dict(zip(rows["video_id"].to_list(), (text or "" for text in rows["feat"]), strict=True))
    for number in log.item_ids:
        if number not in tags:
            raise InterplayError(f"{path}: has no video {number}, which was watched: get the folder again")
    lists = [[tag.strip() for tag in tags[int(number)].strip("[] ").split(",") if tag.strip()]
             for number in log.item_ids]
    shares, names = topic_shares(lists)
    return replace(log, item_topics=shares, topic_names=names)
