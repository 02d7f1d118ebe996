"""Rewards in any form that leaves one reading: numbers, decimal commas, true and false, words with a given worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interplay.envs.data.columns import read_numbers, refuse
from interplay.envs.messages import shortened

_COMMA = r"^[+-]?\d*,\d+$"
_THOUSANDS = r"^[+-]?\d{1,3}(,\d{3})+$"
_DOTTED = r"^[+-]?\d{1,3}(\.\d{3})+(,\d+)?$"  # may be for thousands where commas are decimal
_MONEY = r"^\D*\d{1,3}(,\d{3})+(\.\d+)?\D*$|^[$€£¥]|[$€£¥]$"
_TRUTHS = {"true": "1", "false": "0"}
_MOST_WORDS = 20  # different ones that are likely kinds of events
_SHOWN_WORDS = 6


class Rewards(NamedTuple):
    """Rewards and how they were written.

    Attributes:
        values: float32 ``[N]``.
        form: for people; empty for plain numbers.
    """

    values: NDArray[np.float32]
    form: str


def read_rewards(column: pl.Series, source: str, words: Mapping[str, float] | None = None,
                 decimal_comma: bool = False) -> Rewards:
    """Rewards from numbers, booleans or text.

    Args:
        column: the rewards.
        source: what the table is called in errors.
        words: what words are worth; every value has to be one of them.
        decimal_comma: whether commas are decimal even where all of them could be for thousands.

    Raises:
        InterplayError: one is missing or no reward.
    """
    if words is not None:
        return _of_words(column, words, source)
    if column.dtype != pl.String:
        return Rewards(read_numbers(column, source), "")
    refuse(column.is_null(), column, "but every row needs a number: fill it in or remove the row", source)
    number = column.cast(pl.Float64, strict=False)
    if number.null_count() == 0:
        return Rewards(read_numbers(column, source), "")
    odd = column.filter(number.is_null())
    truths = odd.str.to_lowercase().is_in(list(_TRUTHS))
    if truths.all():
        return Rewards(read_numbers(column.str.to_lowercase().replace(_TRUTHS), source), "true is 1 and false is 0")
    if decimal_comma or _decimal(odd, bool(column.filter(number.is_not_null()).str.contains(".", literal=True).any())):
        refuse(column.str.contains(_DOTTED), column, "which has a dot where commas are decimal: remove dots for "
               "thousands, or write them as commas", source)
        return Rewards(read_numbers(column.str.replace(",", ".", literal=True), source), "decimal commas")
    refuse(number.is_null(), column, f"which is not a number: {_cause(odd)}", source)
    raise AssertionError("refused")


def _of_words(column: pl.Series, words: Mapping[str, float], source: str) -> Rewards:
    text = column.cast(pl.String)
    refuse(text.is_null(), column, "but every row needs a reward: fill it in or remove the row", source)
    unknown = ~text.is_in(list(words))
    refuse(unknown, column, f"which --reward-map lacks: add what it is worth ({_counts(text.filter(unknown))})", source)
    worth = text.replace_strict(dict(words), return_dtype=pl.Float64)
    return Rewards(read_numbers(worth, source), "words by their worth: " + ", ".join(
        f"{word} {words[word]:g} ({count:,})" for word, count in _most(text)))


def _decimal(odd: pl.Series, dots: bool) -> bool:
    """Whether texts that are no numbers have decimal commas, and not all of these could be thousands.

    Where numbers have dots, it has to be most of these texts.
    """
    commas = odd.filter(odd.str.contains(_COMMA))
    return 2 * len(commas) > (len(odd) if dots else 0) and not commas.str.contains(_THOUSANDS).all()


def _cause(odd: pl.Series) -> str:
    """The probable cause, and the fix."""
    if odd.str.contains(_THOUSANDS).all():
        return "commas may be for thousands or decimals: remove them, or give --decimal-comma"
    if odd.str.contains(_MONEY).mean() > 0.5:  # type: ignore[operator]
        return "remove the currency sign and the thousands separator"
    if odd.n_unique() <= _MOST_WORDS and odd.str.contains(r"^\p{L}").all() and len(odd) > odd.n_unique():
        pairs = " ".join(f"{word}={place}" for place, (word, _) in enumerate(_most(odd), 1))
        return f"if these are kinds of events ({_counts(odd)}), say what each is worth: --reward-map {pairs}"
    return "correct or remove the row"


def _counts(text: pl.Series) -> str:
    return ", ".join(f"{word} {count:,}" for word, count in _most(text))


def _most(text: pl.Series) -> list[tuple[str, int]]:
    """The commonest words and their counts."""
    counts = text.value_counts().sort(["count", text.name], descending=[True, False]).head(_SHOWN_WORDS)
    return [(shortened(word, 20), count) for word, count in counts.iter_rows()]
