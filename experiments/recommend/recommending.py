"""The command ``interplay recommend``: lists for one, many or all users, from a pretrained model or a trained agent."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import tyro
from numpy.typing import NDArray

from interplay.envs.checking import Count
from interplay.envs.data import InteractionLog
from interplay.envs.types import InterplayError
from interplay.experiments.common.flags import Need, check_flags, when
from interplay.experiments.common.logs import logged_parts
from interplay.experiments.common.tables import formula_safe, table
from interplay.experiments.loop.run import CHECKPOINT
from interplay.experiments.recommend.preferences import Preferences
from interplay.experiments.representation.baselines import popularity
from interplay.experiments.representation.pretrained import Saved
from interplay.experiments.representation.ranking import Ints, Ranker, interactions, top_k, unseen
from interplay.experiments.representation.settings import MODEL

_AT_ONCE = 1024  # users whose scores are held at once
_NAMED = 8  # users that a note names

_CSV = Need(lambda s: s.format == "csv", "it is about --format csv: leave it out")


@dataclass(frozen=True)
class RecommendSettings:
    """Lists of items for users of a log, the best first, without what they have met."""

    run: Path
    """Folder that pretrain wrote, or train on a log: then by the scores of the agent that plays the users."""
    user: tuple[str, ...] = ()
    """Ids of users, as in the log; by default all."""
    k: Annotated[Count, tyro.conf.arg(aliases=["-k"])] = 10
    """Items of a list."""
    format: Literal["table", "csv", "json"] = "table"
    """How to write."""
    out: Path | None = None
    """File to write to instead of the terminal."""
    allow_code: bool = False
    """Import the code that the run's folder names as module:Name. Allow it only if you trust both."""
    spreadsheet_safe: bool = when(_CSV, False)
    """Whether ids and titles of a CSV that begin with = + - or @ get an apostrophe, so that no spreadsheet runs them as
    formulas."""


class Recommendation(NamedTuple):
    """One line of a list.

    Attributes:
        user: id.
        rank: from 1.
        item: id.
        score: of the model or the agent, in its own scale; of popularity, how many users met the item.
        title: of the item; empty where the data has none.
        source: ``model`` or ``agent``, or ``popularity`` for an unknown user.
    """

    user: str
    rank: int
    item: str
    score: float
    title: str
    source: str


def recommend(settings: RecommendSettings) -> tuple[str, str]:
    """Make the lists, and write them if a file is named.

    Returns:
        What is left to print, and notes that programs which read it should not see.

    Raises:
        InterplayError: there is no such run, it no longer fits its log, or the list has no place.
    """
    check_flags(settings)
    catalogue = catalogue_of(settings.run, settings.allow_code)
    lists = list(catalogue.lists(settings.user, settings.k))
    text = _written(lists, settings.format, settings.spreadsheet_safe)
    notes = _notes(lists, catalogue.names(settings.user), settings.k)
    if settings.format == "table":
        text, notes = text + notes, ""
    if settings.out is None:
        return text, notes
    try:
        settings.out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InterplayError(f"out={str(settings.out)!r} cannot be written ({error.strerror or error}): choose "
                             "another") from error
    return "", notes


def catalogue_of(run: Path, allow_code: bool) -> Catalogue:
    """With the model or agent that is in a run's folder."""
    if (run / CHECKPOINT).is_file():
        agent = Preferences.load(run, allow_code)
        return Catalogue(agent.parts.whole, agent.liked, "agent", agent.scores, agent.known)
    if not (run / MODEL).is_file():
        raise InterplayError(f"{str(run)!r} is not a run of pretrain or train: it has no {MODEL} and no {CHECKPOINT}; "
                             "give a folder that one of them wrote (benchmark keeps checkpoints with "
                             "--keep-checkpoints)")
    saved = Saved.load(run)
    log = logged_parts(saved.settings, saved.settings.seed).whole
    model = saved.on(log)
    known = np.bincount(model.log.user, minlength=log.num_users) > 0
    return Catalogue(log, saved.settings.liked(log), "model", model.scores, known)


class Catalogue:
    """A ranking, and the items that each user met in the whole log, its held-out part included.

    Lists hold the highest scores first. Of equal scores the item that more users took comes first, then the one with
    the lower id, so that lists do not depend on the order of the log's rows.

    Args:
        log: the whole.
        liked: its rows that count as liked: other pairs were met, but do not make an item popular.
        source: what ``scores`` are of.
        scores: of all items for users.
        known: bool ``[U]``, users that have scores of their own.
    """

    def __init__(self, log: InteractionLog, liked: InteractionLog, source: str, scores: Ranker,
                 known: NDArray[np.bool_]) -> None:
        self._log, self._source, self._scores, self._known = log, source, scores, known
        self._met, taken = interactions(log), interactions(liked)
        self._crowd = popularity(taken)
        self._number = {str(name): number for number, name in enumerate(self._log.user_ids)}
        by_id = sorted(range(log.num_items), key=lambda item: log.item_ids[item])
        count = np.asarray(taken.sum(0)).ravel()[by_id]
        self._order: Ints = np.array(by_id)[np.argsort(-count, kind="stable")]

    def names(self, users: Sequence[str]) -> list[str]:
        """These ids, or those of all users."""
        return list(users) or [str(name) for name in self._log.user_ids]

    def lists(self, users: Sequence[str], k: int) -> Iterator[Recommendation]:
        """Lists of ``k`` for these ids, or for all users; unknown users get what is popular."""
        names = self.names(users)
        numbered = [name for name in names if name in self._number]
        known = {name for name in numbered if self._known[self._number[name]]}
        rows = self._rows([name for name in numbered if name in known], self._scores, k)
        rows |= self._rows([name for name in numbered if name not in known], self._crowd, k)
        popular = self._top(np.array(self._crowd(np.zeros(1, np.int64)), dtype=np.float32), k)[0]
        for name in names:
            source = self._source if name in known else "popularity"
            for place, (item, score) in enumerate(rows.get(name, popular), start=1):
                title = "" if self._log.titles is None else self._log.titles[item]
                yield Recommendation(name, place, str(self._log.item_ids[item]), score, title, source)

    def _rows(self, names: Sequence[str], ranker: Ranker, k: int) -> dict[str, list[tuple[int, float]]]:
        """The list of each, without what it has met."""
        numbers: Ints = np.array([self._number[name] for name in names], dtype=np.int64)
        rows: list[list[tuple[int, float]]] = []
        for part in np.split(numbers, range(_AT_ONCE, len(numbers), _AT_ONCE)):
            if len(part):
                rows += self._top(unseen(ranker, part, self._met), k)
        return dict(zip(names, rows, strict=True))

    def _top(self, scores: NDArray[np.float32], k: int) -> list[list[tuple[int, float]]]:
        """Items and scores of each row's list, which is shorter where there is less to show."""
        top = self._order[top_k(scores[:, self._order], k)]
        return [[(int(item), float(row[item])) for item in places if row[item] > -np.inf]
                for row, places in zip(scores, top, strict=True)]


def _written(lists: Sequence[Recommendation], form: str, spreadsheet_safe: bool) -> str:
    if form == "json":
        rows: list[dict[str, Any]] = [line._asdict() for line in lists]
        return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if form == "csv":
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Recommendation._fields)
        writer.writerows([_safe(line) for line in lists] if spreadsheet_safe else lists)
        return file.getvalue()
    cells = [[line.user, str(line.rank), line.item, f"{line.score:.3f}", line.title, line.source] for line in lists]
    return table(Recommendation._fields, cells) + "\n"


def _safe(line: Recommendation) -> Recommendation:
    return line._replace(user=formula_safe(line.user), item=formula_safe(line.item), title=formula_safe(line.title))


def _notes(lists: Sequence[Recommendation], names: Sequence[str], k: int) -> str:
    """A line for users that got what is popular, and one for users with lists shorter than ``k``."""
    length = Counter(line.user for line in lists)
    unknown = sorted({line.user for line in lists if line.source == "popularity"})
    short = [name for name in names if length[name] < k]
    lines = [f"nothing is known of {_some(unknown)}: what is popular instead"] if unknown else []
    lines += [f"fewer than {k} items are new to {_some(short)}: lists are shorter"] if short else []
    return "".join(f"{line}\n" for line in lines)


def _some(names: Sequence[str]) -> str:
    """The first names, and the number of others."""
    others = f" and {len(names) - _NAMED:,} others" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + others
