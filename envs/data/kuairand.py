"""KuaiRand: short videos of a feed into which videos drawn at random were slipped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from interplay.envs.data.base import DataSet
from interplay.envs.data.columns import ColumnNames
from interplay.envs.data.download import Download
from interplay.envs.data.files import category_features, folder_with, has_columns, read_typed, topic_shares
from interplay.envs.data.kuairec import USER_CATEGORIES
from interplay.envs.data.log import InteractionLog, make_log
from interplay.envs.types import InterplayError

FEEDBACK = ("is_click", "is_like", "is_follow", "is_comment", "is_forward", "is_hate", "long_view", "play_time_ms")
"""Columns that can be the reward; the first is unless another is named."""

_LOGS = "log_*_4_*.csv"
_MOST_TAGGED = 100_000  # of more videos (1K and 27K have millions) the table of tags would not fit
_URL = "https://zenodo.org/records/10439422/files/"


class KuaiRand(DataSet):
    """The folder of KuaiRand-Pure, 1K or 27K, or one of its logs ``log_standard_*.csv`` and ``log_random_*.csv``.

    Columns may be named where only the reward differs, which then is another of ``FEEDBACK``. A pair may be shown
    many times, and by chance as well as by the recommender.
    """

    name: ClassVar[str] = "kuairand"
    source: ClassVar[str] = "Gao et al., 'KuaiRand', CIKM 2022, doi 10.1145/3511808.3557624; kuairand.com"
    licence: ClassVar[str] = "CC BY-SA 4.0"
    rows: ClassVar[str] = "a video that was shown, with is_click (0 or 1) or another feedback, and its time"
    features: ClassVar[str] = ("users: activity and ranges of counts as categories; items: tags as topics in equal "
                               "shares (KuaiRand-Pure)")
    own_split: ClassVar[str] = "what was shown at random (is_rand = 1)"
    # The publisher's hashes could not be read here.
    downloads: ClassVar[dict[str, Download]] = {
        f"kuairand-{size.lower()}": Download(f"KuaiRand-{size}", f"{_URL}KuaiRand-{size}.tar.gz",
                                             files="data/log_standard_*.csv and data/log_random_*.csv")
        for size in ("Pure", "1K", "27K")}

    def matches(self, path: Path) -> bool:
        """A log, or a folder with one, or with a ``data`` that has one."""
        if path.is_dir():
            return folder_with(path, _LOGS) is not None
        return path.match(_LOGS) and path.is_file() and has_columns(path, ("user_id", "video_id", "time_ms", "is_rand"))

    def takes(self, columns: ColumnNames | None) -> bool:
        """Where only the reward is named, and is one of ``FEEDBACK``."""
        return columns is None or (replace(columns, reward="reward") == ColumnNames() and columns.reward in FEEDBACK)

    def read(self, path: Path, columns: ColumnNames | None) -> InteractionLog:
        """All logs of the folder, users' features and videos' tags."""
        reward = _reward(columns, path)
        folder = folder_with(path, _LOGS) if path.is_dir() else path.parent
        assert folder is not None
        files = sorted(folder.glob(_LOGS)) if path.is_dir() else [path]
        log = _log(files, reward)
        for people in sorted(folder.glob("user_features_*.csv"))[:1]:
            log = replace(log, user_features=category_features(people, "user_id", USER_CATEGORIES, log.user_ids))
        for videos in sorted(folder.glob("video_features_basic_*.csv"))[:1]:
            log = _with_tags(log, videos) if log.num_items <= _MOST_TAGGED else log
        return log


def _reward(columns: ColumnNames | None, path: Path) -> str:
    columns = columns or ColumnNames(reward=FEEDBACK[0])
    if not KuaiRand().takes(columns) or columns.reward is None:
        raise InterplayError(f"{path}: of KuaiRand's columns only the reward is a choice: "
                             f"name one of {', '.join(FEEDBACK)}")
    return columns.reward


def _log(files: list[Path], reward: str) -> InteractionLog:
    types = {"user_id": pl.Int32(), "video_id": pl.Int32(), "time_ms": pl.Int64(), reward: pl.Float32(),
             "is_rand": pl.Int8()}
    rows = pl.concat([read_typed(file, types) for file in files])
    rows = rows.with_columns(pl.col("time_ms") / 1000.0)  # to seconds
    source = files[0].name if len(files) == 1 else f"{len(files)} logs"
    log = make_log(rows, ColumnNames("user_id", "video_id", reward, "time_ms"), source)
    split = (rows["is_rand"] == 1).to_numpy()
    return replace(log, split=split if np.unique(split).size == 2 else None)


def _with_tags(log: InteractionLog, path: Path) -> InteractionLog:
    """Lists such as ``3,39`` as topics; a video may have none."""
    rows = read_typed(path, {"video_id": pl.Int32(), "tag": pl.String()})
    tags = dict(zip(rows["video_id"].to_list(), (text or "" for text in rows["tag"]), strict=True))
    shares, names = topic_shares([tag for tag in tags.get(int(number), "").split(",") if tag]
                                 for number in log.item_ids)
    return replace(log, item_topics=shares, topic_names=names)
