"""What would be read from a log, what is odd about it, and which flags would help."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from interplay.envs.checking import shown
from interplay.envs.data import ColumnNames, InteractionLog, find_reader, read_log
from interplay.envs.data.form import TableForm, is_number
from interplay.envs.data.reading import TableFile
from interplay.envs.data.table import TableData
from interplay.envs.data.times import read_times
from interplay.envs.types import InterplayError
from interplay.experiments.common.table_settings import TableSettings

_WORDS = {
    "user": ("user", "visitor", "customer", "client", "buyer", "reviewer", "member", "student", "session", "person",
             "who", "account", "representative", "fund"),
    "item": ("item", "product", "sku", "movie", "book", "isbn", "asin", "article", "track", "song", "artist",
             "video", "cusip", "ticker", "joke", "what", "action"),
    "reward": ("reward", "rating", "score", "star", "click", "event", "behavio", "weight", "amount", "value", "count"),
    "time": ("timestamp", "time", "date", "_at", "period_end"),
}
"""What names of columns often contain, the likeliest first."""
_TIMES = ("time", "date")
_NEVER = {"time": (), "reward": (*_TIMES, "account", "country", "discount")}
"""Words in names of columns that have another purpose than that; ``_TIMES`` for users and items."""

_FLAG = re.compile(r"--drop-bad-rows|--reward-map( [^ =]+=\d+)+")  # what errors suggest and can be typed as it is
_OF_IDS = ("text", "integers")
_MANY = 1000.0  # times the least reward, from which rewards are likely counts or money
_BOTTOM = 0.5  # share of rewards at the bottom of the scale that is worth a warning


@dataclass
class LogReport:
    """What ``report_on`` finds.

    Attributes:
        columns: name, type, number of different values, number of empty cells and first value of each.
        lines: what was read.
        warnings: what may be meant otherwise.
        flags: to be added to a command.
        problem: why nothing could be read; empty if something was.
    """

    columns: list[tuple[str, str, str, str, str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    problem: str = ""


def report_on(path: Path, settings: TableSettings) -> LogReport:
    """Read a log and report on it. Where columns are not named and the defaults are not there, likely ones are tried.

    Raises:
        InterplayError: it is not even a table.
    """
    report, columns, form = LogReport(), settings.column_names(), settings.form()
    given = settings.named_columns()
    if isinstance(find_reader(path, given, form), TableData):
        table = TableFile(path, replace(form, drop_bad_rows=True))
        frame = table.read().frame
        report.columns = [_described(frame[name]) for name in table.columns]
        if given is None and not {columns.user, columns.item} <= {*table.columns}:
            report.flags += _likely_flags(frame, table.looks_like_data)
            given, form = _likely(frame, table, form)
    try:
        log = read_log(path, given, form)
    except InterplayError as error:
        report.problem = str(error)
        report.flags += [found.group().strip() for found in _FLAG.finditer(str(error))]
        return report
    report.lines += [*str(log.summary()).splitlines(), _shares(log)]
    for warning, flag in _oddities(log):
        report.warnings.append(warning)
        report.flags += [flag] if flag else []
    return report


def guessed(path: Path, form: TableForm) -> tuple[ColumnNames | None, TableForm, str]:
    """Likely columns of a table, its form, and the flags that name them, for a line.

    Raises:
        InterplayError: it is no table, or no columns look like users and items.
    """
    table = TableFile(path, replace(form, drop_bad_rows=True))
    frame = table.read().frame
    columns, form = _likely(frame, table, form)
    if columns is None and not table.looks_like_data:
        raise InterplayError(f"{path.name}: no two columns look like users and items: name them with --user-column and "
                             "--item-column, and leave out --guess-columns")
    return columns, form, " ".join(_likely_flags(frame, table.looks_like_data))


def _described(column: pl.Series) -> tuple[str, str, str, str, str]:
    known = column.drop_nulls()
    example = shown(known[0]) if len(known) else ""
    return (column.name or "(no name)", _type(known), f"{known.n_unique():,}", f"{column.null_count():,}",
            example if len(example) <= 30 else example[:27] + "...")


def _type(known: pl.Series) -> str:
    if known.dtype != pl.String:
        return str(known.dtype).lower()
    for name, kind in (("integers", pl.Int64), ("numbers", pl.Float64)):
        if len(known) and known.cast(kind, strict=False).null_count() == 0:
            return name
    return "text" if not _is_time(known.head(1)) else "dates"


def _is_time(column: pl.Series) -> bool:
    try:
        seconds = read_times(column.drop_nulls(), "").seconds
    except InterplayError:
        return False
    return len(seconds) > 0 and float(np.abs(seconds).max()) > 1e8


def _likely(frame: pl.DataFrame, table: TableFile, form: TableForm) -> tuple[ColumnNames | None, TableForm]:
    """The likeliest columns, or names for a table without header; None where user or item is unclear."""
    if table.looks_like_data:
        return None, replace(form, header=False, columns=tuple(_roles_by_content(frame)))
    roles = _roles(frame)
    if not {"user", "item"} <= set(roles):
        return None, form
    reward = roles.get("reward")
    return ColumnNames(roles["user"], roles["item"], reward, roles.get("time")), form


def _likely_flags(frame: pl.DataFrame, looks_like_data: bool) -> list[str]:
    if looks_like_data:
        return ["--no-header", "--columns", *_roles_by_content(frame)]
    roles = _roles(frame)
    flags = [[f"--{role}-column", shlex.quote(roles[role])] for role in _WORDS if role in roles]
    return [word for flag in flags for word in flag] + ([] if "reward" in roles else ["--reward-column", "none"])


def _roles(frame: pl.DataFrame) -> dict[str, str]:
    """The column of each purpose: by its name, or, of users and items whose names say nothing, by its values.

    Values of such a column repeat. The one with the most different values is taken, or the first two in their order.
    """
    found = _roles_by_name(frame)
    missing = [role for role in ("user", "item") if role not in found]
    free = [column for column in frame.get_columns() if column.name and column.name not in found.values()]
    ids = [column for column in free if 1 < column.n_unique() <= len(column) / 2 and _type(column) in _OF_IDS]
    if len(missing) == 1:
        ids.sort(key=pl.Series.n_unique, reverse=True)
    return found | {role: column.name for role, column in zip(missing, ids, strict=False)}


def _roles_by_name(frame: pl.DataFrame) -> dict[str, str]:
    """The column of each purpose, by words in its name; each column has one purpose at most.

    Columns without empty cells come first, since every row needs a user, an item and a reward. Names such as
    ``user_rating`` and ``item_count`` come last for users and items. A user's date is none.
    """
    found: dict[str, str] = {}
    for role, words in _WORDS.items():
        free = [column for column in frame.get_columns() if column.name and column.name not in found.values()
                and not any(word in column.name.lower() for word in _NEVER.get(role, _TIMES))]
        doubts = [(column.null_count() > 0, role in ("user", "item") and _is_value(column.name)) for column in free]
        likely = [(doubt, place, column.name) for doubt, column in zip(doubts, free, strict=True)
                  for place, word in enumerate(words) if word in column.name.lower()]
        if likely:
            found[role] = min(likely, key=lambda each: each[:2])[2]
    return found


def _is_value(name: str) -> bool:
    """Whether a column's name has a word of rewards in it."""
    return any(word in name.lower() for word in _WORDS["reward"])


def _roles_by_content(frame: pl.DataFrame) -> list[str]:
    """Names for columns without: users and items come first, times are large or dates, rewards have few values."""
    width = frame.width
    names = ["user", "item", *(f"other_{place}" for place in range(3, width + 1))][:width]
    times = [place for place in range(2, width) if _is_time(frame.to_series(place).head(1))]
    rest = [place for place in range(2, width) if place not in times]
    for role, places in (("time", times), ("reward", rest)):
        if places:
            names[min(places, key=lambda place: frame.to_series(place).n_unique()) if role == "reward" else places[0]] \
                = role
    return names


def _shares(log: InteractionLog) -> str:
    """Repeats and the bottom of the scale, as shares."""
    rows = log.pairs().rows
    bottom = float((log.reward <= np.float32(log.reward_range[0])).mean())
    return f"shares   {1 - len(rows) / len(log):.1%} of rows repeat a pair; {bottom:.1%} of rewards are at the " \
           f"bottom of the scale; mean reward {log.reward.mean(dtype=np.float64):.6g}"


def _oddities(log: InteractionLog) -> Iterator[tuple[str, str]]:
    """Warnings, each with the flag that helps, if one does."""
    low, high = log.reward_range
    bottom = float((log.reward <= np.float32(low)).mean())
    repeated = len(log) - len(log.pairs().rows)
    if repeated:
        yield (f"{repeated:,} rows repeat a pair, and markets average the rows of a pair: take --duplicates sum for "
               "counts, and last for a state that changes", "--duplicates mean")
    if low == high:
        yield f"every reward is {low:g}, so none is better than another", "--reward-range 0 1"
    elif low > 0 and bottom > _BOTTOM:
        yield (f"{bottom:.1%} of rewards are {low:g}, the bottom of the scale, and worth as much as a skip",
               f"--reward-range 0 {high:g}")
    if low >= 0 and high > _MANY * max(float(np.median(log.reward)), 1e-9):
        yield f"the highest reward is {high / max(float(np.median(log.reward)), 1e-9):,.0f} times the median", \
            "--scale-rewards log"
    if log.num_users == len(log) or log.num_items == len(log):
        yield "every row has a user or an item of its own: check which columns these are", ""
    if any(is_number(str(name)) and str(name).endswith(".0") for name in (log.user_ids[0], log.item_ids[0])):
        yield "ids are written as 1.0: they are kept so, and tables of features have to write them so", ""
