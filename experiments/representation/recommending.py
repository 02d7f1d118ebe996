"""The command ``interplay recommend``: lists for one, many or all users from a pretrained model."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import tyro

from interplay.envs.types import InterplayError
from interplay.experiments.logs import logged_parts
from interplay.experiments.representation.baselines import popularity
from interplay.experiments.representation.fitting import Fitted
from interplay.experiments.representation.pretrained import Saved
from interplay.experiments.representation.ranking import Floats, Ints, Ranker, interactions, top_k
from interplay.experiments.tables import table

_AT_ONCE = 1024  # users whose scores are held at once


@dataclass(frozen=True)
class RecommendSettings:
    """Lists of items for users of a log, the best first, without what they have met."""

    run: Path
    """Folder that pretrain wrote."""
    user: tuple[str, ...] = ()
    """Ids of users, as in the log; by default all."""
    k: Annotated[int, tyro.conf.arg(aliases=["-k"])] = 10
    """Items of a list."""
    format: Literal["table", "csv", "json"] = "table"
    """How to write."""
    out: Path | None = None
    """File to write to instead of the terminal."""


class Recommendation(NamedTuple):
    """One line of a list.

    Attributes:
        user: id.
        rank: from 1.
        item: id.
        score: the model's, whatever its scale; of popularity, how many met the item.
        title: of the item; empty where the data has none.
        source: ``model``, or ``popularity`` for a user of whom nothing is known.
    """

    user: str
    rank: int
    item: str
    score: float
    title: str
    source: str


def recommend(settings: RecommendSettings) -> list[Recommendation]:
    """Make the lists, and print or write them.

    Raises:
        InterplayError: there is no such run, it no longer fits its log, or the list has no place.
    """
    if settings.k < 1:
        raise InterplayError(f"k={settings.k} must be at least 1")
    lists = list(Catalogue.load(settings.run).lists(settings.user, settings.k))
    text = _written(lists, settings.format)
    if settings.out is None:
        print(text, end="")
        return lists
    try:
        settings.out.write_text(text)
    except OSError as error:
        raise InterplayError(f"out={str(settings.out)!r} cannot be written ({error.strerror or error}): choose "
                             "another") from error
    return lists


class Catalogue:
    """A pretrained model with all that its log says of users: what they met in its held-out part too.

    Args:
        fitted: the model, with histories of the whole log.
    """

    def __init__(self, fitted: Fitted) -> None:
        self._log = fitted.log
        self._met = interactions(fitted.log)
        self._rankers: dict[str, Ranker] = {"model": fitted.scores, "popularity": popularity(self._met)}
        self._number = {str(name): number for number, name in enumerate(self._log.user_ids)}

    @classmethod
    def load(cls, run: Path) -> Catalogue:
        """The model that pretrain wrote.

        Raises:
            InterplayError: it is not there, or its log has changed.
        """
        saved = Saved.load(run)
        return cls(saved.on(logged_parts(saved.settings, saved.settings.seed).whole))

    def lists(self, users: Sequence[str], k: int) -> Iterator[Recommendation]:
        """Lists of ``k`` for these ids, or for everybody; those of whom nothing is known get what is popular."""
        names = list(users) or [str(name) for name in self._log.user_ids]
        met = np.diff(self._met.indptr)
        known = [name for name in names if name in self._number and met[self._number[name]] > 0]
        rows = {name: row for name, row in zip(known, self._rows(known, k), strict=True)}
        nobody = self._top(np.array(self._rankers["popularity"](np.zeros(1, np.int64)), dtype=float), k)[0]
        for name in names:
            source = "model" if name in rows else "popularity"
            for place, (item, score) in enumerate(rows.get(name, nobody), start=1):
                title = "" if self._log.titles is None else self._log.titles[item]
                yield Recommendation(name, place, str(self._log.item_ids[item]), score, title, source)

    def _rows(self, names: Sequence[str], k: int) -> Iterator[list[tuple[int, float]]]:
        numbers: Ints = np.array([self._number[name] for name in names], dtype=np.int64)
        for part in np.split(numbers, range(_AT_ONCE, len(numbers), _AT_ONCE)):
            if len(part):
                scores = np.array(self._rankers["model"](part), dtype=float)
                scores[self._met[part].toarray() > 0] = -np.inf
                yield from self._top(scores, k)

    @staticmethod
    def _top(scores: Floats, k: int) -> list[list[tuple[int, float]]]:
        """Items and scores of each row's list, which is shorter where there is less to show."""
        top = top_k(scores, k)
        return [[(int(item), float(row[item])) for item in places if row[item] > -np.inf]
                for row, places in zip(scores, top, strict=True)]


def _written(lists: Sequence[Recommendation], form: str) -> str:
    if form == "json":
        rows: list[dict[str, Any]] = [line._asdict() for line in lists]
        return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    if form == "csv":
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Recommendation._fields)
        writer.writerows(lists)
        return file.getvalue()
    unknown = sorted({line.user for line in lists if line.source == "popularity"})
    note = f"nothing is known of {', '.join(unknown)}: what is popular instead\n" if unknown else ""
    cells = [[line.user, str(line.rank), line.item, f"{line.score:.3f}", line.title, line.source] for line in lists]
    return table(Recommendation._fields, cells) + "\n" + note
