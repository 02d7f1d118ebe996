"""Times in any form that leaves one reading: epochs in several units, dates as numbers, ISO-8601 and written dates."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from itertools import product
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interplay.envs.checking import shown
from interplay.envs.data.columns import floats, refuse
from interplay.envs.types import InterplayError

UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9, "days": 1 / 86_400}
"""Units of numbers since 1970, and how many there are in a second."""

# Seconds of the years 1 to 9999: what lies outside is not in seconds.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800.0, 253_402_300_799.0
# Seconds of the years 1973 to 2200: numbers that lie there in another unit are taken to be in that.
_EARLY, _LATE = 1e8, 7.3e9
_DATES_AS_NUMBERS = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_DAYS = ("%Y/%m/%d", "%Y.%m.%d", "%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d %b %Y",
         "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_FORMATS = (*map("".join, product(_DAYS, _CLOCKS)), "%a, %d %b %Y %H:%M:%S %z", "%d/%b/%Y:%H:%M:%S %z",
            "%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %z %Y")
_SAMPLE = 50  # texts with which most formats are ruled out


class Times(NamedTuple):
    """Times and how they were written.

    Attributes:
        seconds: float64 ``[N]``, unix seconds.
        form: for people; empty for unix seconds and ISO-8601.
    """

    seconds: NDArray[np.float64]
    form: str


def read_times(column: pl.Series, source: str, time_format: str | None = None) -> Times:
    """Times from numbers, dates or text; UTC where no zone is given.

    Args:
        column: the times.
        source: what the table is called in errors.
        time_format: one of ``UNITS``, or a form such as ``%d/%m/%Y``; None = detected.

    Raises:
        InterplayError: one is missing or no time, or several forms fit.
    """
    refuse(column.is_null(), column, "but every row needs a time: fill it in or name no time column", source)
    if column.dtype in (pl.Date, pl.Datetime):
        return Times(column.dt.timestamp("us").to_numpy() / 1e6, "")
    if column.dtype == pl.String:
        column = _as_numbers(column, source, time_format)
    if column.dtype == pl.String or (time_format is not None and time_format not in UNITS):
        return _from_text(column, source, time_format)
    return _from_numbers(column, source, time_format)


def _as_numbers(text: pl.Series, source: str, time_format: str | None) -> pl.Series:
    """The numbers, if all are, or if most are and no form of dates is given; else the text."""
    number = text.cast(pl.Float64, strict=False)
    if time_format in (None, *UNITS) and 0 < 2 * number.null_count() < len(text):
        refuse(number.is_null(), text, "which is no time, where most are numbers: correct or remove the row", source)
    return text if number.null_count() else number


def _from_numbers(column: pl.Series, source: str, unit: str | None) -> Times:
    values = floats(column, source)
    dates = _as_dates(values, column, source) if unit is None else None
    if dates is not None:
        return dates
    if unit is None:
        unit = _unit(values)
        refuse(~_likely(values, unit) & (unit != "s"), column, f"which is not in {unit} since 1970, as most are: "
               f"correct or remove the row, or give --time-format {unit}", source)
    seconds = values / UNITS[unit]
    inside = (seconds >= _FIRST_SECOND) & (seconds <= _LAST_SECOND)  # False for NaN, too
    refuse(~inside, column, "which is not in unix seconds: give --time-format ms, us or ns if all are in that unit",
           source)
    small = unit == "s" and len(values) > 1 and float(values.abs().max() or 0.0) < _EARLY  # type: ignore[arg-type]
    form = "small for unix seconds: if they count days, give --time-format days, or else their form" if small else ""
    return Times(seconds.to_numpy(), form if unit == "s" else f"unix time in {unit}")


def _unit(values: pl.Series) -> str:
    """The unit in which most are within likely years, where they cannot be seconds; else seconds."""
    if not _most(values.abs() > _LAST_SECOND):
        return "s"
    return next((unit for unit in ("ms", "us", "ns") if _most(_likely(values, unit))), "s")


def _likely(values: pl.Series, unit: str) -> pl.Series:
    """Which are within likely years."""
    return (values / UNITS[unit] >= _EARLY) & (values / UNITS[unit] <= _LATE)


def _most(these: pl.Series) -> bool:
    return 2 * int(these.sum()) > len(these)


def _as_dates(values: pl.Series, column: pl.Series, source: str) -> Times | None:
    """Numbers such as 20200705, if most of them are such dates; the others are bad rows then."""
    for digits, form in _DATES_AS_NUMBERS.items():
        fits = values.is_between(10 ** (digits - 1), 10**digits) & (values % 1 == 0)
        if _most(fits):
            written = pl.select(pl.when(fits).then(values)).to_series().cast(pl.Int64).cast(pl.String)
            seconds = _parsed(written, form)
            if _most(seconds.is_not_null()):
                refuse(seconds.is_null(), column, f"which is no date as {form}, as most are: correct or remove the "
                       "row, or give --time-format", source)
                return Times(seconds.to_numpy(), f"dates as {form}")
    return None


def _from_text(column: pl.Series, source: str, form: str | None) -> Times:
    text = column if column.dtype == pl.String else column.cast(pl.Int64).cast(pl.String)
    distinct = text.unique().sort()
    if form is None:
        form, seconds = _detected(distinct, column.name, source)
    else:
        seconds = _parsed(distinct, form)
    known = pl.DataFrame({"text": distinct, "seconds": seconds})
    found = text.to_frame("text").join(known, on="text", how="left", maintain_order="left")["seconds"]
    fix = "--time-format" if form else "ISO-8601 (2024-01-31T12:00:00), or give --time-format"
    refuse(found.is_null(), text, f"which is no time{f' in the form {form}' if form else ''}: write unix seconds or "
           f"{fix}", source)
    return Times(found.to_numpy(), f"dates as {form}" if form else "")


def _detected(distinct: pl.Series, name: str, source: str) -> tuple[str, pl.Series]:
    """The form that fits most texts (empty for ISO-8601), and their seconds.

    Raises:
        InterplayError: two forms fit equally and differ in what they make of a text.
    """
    iso = pl.Series([_iso(text) for text in distinct], dtype=pl.Float64)
    if iso.null_count() == 0:
        return "", iso
    sample = distinct.gather_every(max(1, len(distinct) // _SAMPLE))
    hits = {form: len(sample) - _parsed(sample, form).null_count() for form in _FORMATS}
    likely = {form: _parsed(distinct, form) for form, hit in hits.items() if hit and hit == max(hits.values())}
    least = min((seconds.null_count() for seconds in likely.values()), default=len(distinct))
    if iso.null_count() <= least:
        return "", iso
    best = {form: seconds for form, seconds in likely.items() if seconds.null_count() == least}
    form, seconds = next(iter(best.items()))
    for other, found in best.items():
        if not found.equals(seconds, null_equal=True):
            raise InterplayError(f"{source}: column {shown(name)} has dates such as {shown(distinct[0])}, which may be "
                                 f"{form} or {other}: say which with --time-format")
    return form, seconds


def _parsed(text: pl.Series, form: str) -> pl.Series:
    """Unix seconds of texts in this form; null for others, and for years that no log is from."""
    with suppress(pl.exceptions.PolarsError):
        if form.endswith("%H"):  # which the parser reads with minutes alone
            text, form = text + "00", form + "%M"
        time = text.str.to_datetime(form, strict=False, time_unit="us")
        seconds = time.dt.timestamp("us") / 1e6
        return pl.select(pl.when(seconds.abs() < _LATE).then(seconds)).to_series()
    return pl.repeat(None, len(text), dtype=pl.Float64, eager=True)


def _iso(text: str) -> float | None:
    """Unix seconds of ISO-8601 text; None if it is none."""
    with suppress(ValueError):
        time = datetime.fromisoformat(text.strip())
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return None
