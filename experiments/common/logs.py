"""From settings to the two parts of a log: read, prepared, split and summarised."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interplay.envs.data import (
    InteractionLog,
    find_log,
    find_reader,
    prepare,
    read_features,
    read_log,
    split_log,
)
from interplay.envs.data.columns import LARGEST
from interplay.envs.data.prepare import centre_users
from interplay.envs.data.split import LATE
from interplay.envs.data.table import TableData
from interplay.envs.types import InterplayError
from interplay.experiments.common.flags import check_flags
from interplay.experiments.common.log_report import guessed
from interplay.experiments.common.log_settings import LogSettings


class Parts(NamedTuple):
    """A log and what became of it.

    Attributes:
        whole: after its preparation.
        train: what may be learnt from.
        held_out: what only evaluations see; users and items are numbered alike in all three.
        summary: lines on what was read, dropped and changed.
    """

    whole: InteractionLog
    train: InteractionLog
    held_out: InteractionLog
    summary: str


def logged_parts(settings: LogSettings, seed: int) -> Parts:
    """Read, prepare and split the log that the settings name; ``seed`` is that of a random split.

    Raises:
        InterplayError: the log, its features or a number is wrong.
    """
    check_flags(settings)
    log, notes = _read(settings)
    read = str(log.summary())
    log, prepared = prepare(log, settings.preparation())
    train, test = split_log(log, settings.held_out, settings.split, seed)
    if settings.scale_rewards == "user":
        train, test, note = centre_users(train, test)
        prepared.append(note)
    parts = f"training part: {len(train)} rows, held-out part: {len(test)} rows{_in_neither(log, train, test)}"
    left = [f"left       {len(log):,} rows, {log.num_users:,} users, {log.num_items:,} items"] if prepared else []
    return Parts(log, train, test, "\n".join([read, *notes, *prepared, *left, *_worthless(log, settings),
                                               parts]))


def _in_neither(log: InteractionLog, train: InteractionLog, test: InteractionLog) -> str:
    """How many rows a split left out of both parts, and why."""
    lost = len(log) - len(train) - len(test)
    late = train.dropped.get(LATE, 0)
    reasons = {"training rows of pairs that are held out, too": lost - late, LATE: late}
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
    return f"; in neither: {listed}" if listed else ""


def _worthless(log: InteractionLog, settings: LogSettings) -> list[str]:
    """A warning where most rewards are the lowest of a scale that was not given and does not begin at 0."""
    low, high = log.reward_range
    lowest = int((log.reward <= np.float32(low)).sum())
    if settings.reward_range is not None or low <= 0.0 or lowest <= len(log) / 2:
        return []
    return [f"warning    {lowest:,} of {len(log):,} rewards ({lowest / len(log):.1%}) are {low:g}, the bottom of the "
            f"scale, and worth as much as a skip in a market: with --reward-range 0 {high:g} they would be worth more"]


def digest(log: InteractionLog) -> str:
    """Of all that can be learnt from a log's rows: equal for equal rows with equal ids, in the same order."""
    return digest_of(log.user, log.item, log.reward, log.time, name=(log.user_ids, log.item_ids, log.reward_range))


def digest_of(*arrays: NDArray[np.generic] | None, name: object = None) -> str:
    """Of numbers, those that there are, and of what they are called."""
    found = hashlib.sha256(repr(name).encode())
    for array in arrays:
        found.update(b"" if array is None else array.tobytes())
    return found.hexdigest()


def _range(low: float, high: float) -> tuple[float, float]:
    if not -LARGEST <= low < high <= LARGEST:
        raise InterplayError(f"reward_range=({low:g}, {high:g}): give the worst reward and then the best, such as 0 1, "
                             f"within {LARGEST:g} of 0")
    return low, high


def _read(settings: LogSettings) -> tuple[InteractionLog, list[str]]:
    """The log with the features that the settings name, and a line for each table of those."""
    assert settings.log is not None, "checked"
    columns, form = settings.column_names(settings.split_column), settings.form()
    given = settings.named_columns(settings.split_column)
    path = find_log(settings.log, settings.data_dir)
    reader, notes = find_reader(path, given, form), []
    if settings.guess_columns and isinstance(reader, TableData):
        given, form, flags = guessed(path, form)
        columns = given or columns
        notes.append(f"form     columns were guessed: {flags}")
    log = read_log(path, given, form)
    log = log if settings.reward_range is None else replace(log, reward_range=_range(*settings.reward_range))
    notes += [f"source   {reader.source}; terms: {reader.licence}"] if reader.licence else []
    if settings.user_features is not None:
        users = read_features(settings.user_features, columns.user, log.user_ids)
        log = replace(log, user_features=users.values)
        notes.append(users.note)
    if settings.item_features is not None:
        items = read_features(settings.item_features, columns.item, log.item_ids)
        log = replace(log, item_features=items.values)
        notes.append(items.note)
    return log, notes
