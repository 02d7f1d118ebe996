"""Logs as histories and targets: what a two-tower model is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.data.log import InteractionLog
from interplay.experiments.representation.two_tower import History

Ints = NDArray[np.int64]

_CELLS = 1 << 20  # of a table of histories that is held at once, unless one history alone has more


class Batch(NamedTuple):
    """Examples.

    Attributes:
        user: int64 ``[S]``.
        history: what each met, without the targets.
        target: int64 ``[S, P]``, 1 + the item that followed, or whose response is predicted; padded with 0.
        response: float32 ``[S, P]`` in [0, 1], to the targets, where responses are predicted.
    """

    user: Tensor
    history: History
    target: Tensor
    response: Tensor | None = None


class Histories:
    """Every user's rows in the order of time, or of the log where it has no times.

    Args:
        log: the training part.
        liked_above: responses above it are liked.
        length: H of histories that are read in their order; longer ones lose their oldest steps.
    """

    def __init__(self, log: InteractionLog, liked_above: float, length: int) -> None:
        time = np.zeros(len(log)) if log.time is None else log.time
        order = np.lexsort((np.arange(len(log)), time, log.user))
        self.user = log.user[order]
        self.length = length
        self._item, self._liked = log.item[order] + 1, log.reward[order] > liked_above
        self._log, self._order = log, order
        self._pair = np.unique(log.pair_key[order], return_inverse=True)[1]
        count = np.bincount(self.user, minlength=log.num_users)
        self._start, self._count = np.cumsum(count) - count, count
        self._place = np.arange(len(self.user)) - self._start[self.user]

    def now(self, user: Ints, length: int | None = None) -> History:
        """All that users ``[S]`` met, the last ``length`` of it."""
        return self._windows(user, self._count[user], length or self._longest(user))

    def groups(self, user: Ints, length: int | None = None) -> Iterator[Ints]:
        """Places in ``user [S]`` whose histories together make no large table: the longest first, so that few pad."""
        places = np.argsort(-self._count[user], kind="stable")
        while len(places):
            size = max(1, _CELLS // max(1, length or self._longest(user[places[:1]])))
            yield places[:size]
            places = places[size:]

    def _longest(self, user: Ints) -> int:
        """Rows of the user with most of them."""
        return max(1, int(self._count[user].max(initial=0)))

    def sets(self, generator: torch.Generator, size: int, dropout: float) -> Iterator[Batch]:
        """Each user with rows once: from part of what it met to all of it, in no order (Liang et al., WWW 2018).

        Args:
            generator: of the order and of what is left out.
            size: users of a batch.
            dropout: chance of each item to be left out of the history.
        """
        users = torch.from_numpy(np.flatnonzero(self._count))
        for part in _parts(users, generator, size):
            whole = self.now(part.numpy())
            kept = torch.rand(whole.items.shape, generator=generator) >= dropout
            yield Batch(part, History(whole.items * kept, whole.liked & kept), whole.items)

    def steps(self, generator: torch.Generator, size: int, dropout: float) -> Iterator[Batch]:
        """Each row but users' first once: from what came before to what followed (Hidasi et al., ICLR 2016).

        Args:
            generator: of the order and of what is left out.
            size: rows of a batch.
            dropout: chance of each item to be left out of the history.
        """
        rows = torch.from_numpy(np.flatnonzero(self._place > 0))
        for part in _parts(rows, generator, size):
            at = part.numpy()
            before = self._windows(self.user[at], self._place[at], self.length)
            kept = torch.rand(before.items.shape, generator=generator) >= dropout
            yield Batch(torch.from_numpy(self.user[at]), History(before.items * kept, before.liked & kept),
                        torch.from_numpy(self._item[at])[:, None])

    def halves(self, generator: torch.Generator, size: int, dropout: float, length: int | None = None) -> \
            Iterator[Batch]:
        """Each user with rows once: from part of what it met to its responses to the rest.

        No history holds an answer, for all rows of a pair have one fate; and each is read once for many answers.

        Args:
            generator: of the order and of what is left out.
            size: users of a batch.
            dropout: chance of each pair to be left out of the history, and so to be predicted.
            length: steps of the history at most, the latest; None = all.
        """
        # Here and not for all: a log of nothing but clicks has items to rank, and no scale of responses.
        response = self._log.scaled(self._log.reward)[self._order]
        fate = torch.rand(int(self._pair.max()) + 1, generator=generator).numpy()[self._pair]
        for part in _parts(torch.from_numpy(np.flatnonzero(self._count)), generator, size):
            user = part.numpy()
            whole = self.now(user)
            answers, drawn = (torch.from_numpy(self._at(column, user, self._count[user], self._longest(user)))
                           for column in (response, fate))
            kept = drawn >= dropout
            latest = slice(-(length or self._longest(user)), None)
            history = History((whole.items * kept)[:, latest], (whole.liked & kept)[:, latest])
            yield Batch(part, history, whole.items * ~kept, answers)

    def _windows(self, user: Ints, end: Ints, length: int) -> History:
        """The ``length`` rows before each user's ``end``-th, the latest last."""
        items, liked = (self._at(column, user, end, length) for column in (self._item, self._liked))
        return History(torch.from_numpy(items), torch.from_numpy(liked))

    def _at(self, column: NDArray[np.generic], user: Ints, end: Ints, length: int) -> NDArray[np.generic]:
        place = end[:, None] - length + np.arange(length)
        found = column[np.minimum(self._start[user][:, None] + np.maximum(place, 0), len(column) - 1)]
        return np.where(place >= 0, found, np.zeros((), column.dtype))


def _parts(rows: Tensor, generator: torch.Generator, size: int) -> Sequence[Tensor]:
    """``rows`` in a new order, ``size`` at a time."""
    return torch.split(rows[torch.randperm(len(rows), generator=generator)], size)
