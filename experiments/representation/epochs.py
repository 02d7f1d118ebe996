"""Training a two-tower model epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.data.features import standardised
from interplay.envs.data.log import InteractionLog
from interplay.experiments.common.statistics import check_finite
from interplay.experiments.representation.histories import Batch, Histories
from interplay.experiments.representation.keeping import State
from interplay.experiments.representation.losses import ranking_loss, response_loss
from interplay.experiments.representation.ranking import interactions
from interplay.experiments.representation.recipe import Recipe
from interplay.experiments.representation.starting import start_from_als
from interplay.experiments.representation.tuning import Strengths
from interplay.experiments.representation.two_tower import Shape, TwoTower

Note = Callable[[str, float, int], None]
"""Takes a scalar's name, its value and the epoch."""


class Training:
    """A model under training. Between two batches it can be saved, and it resumes bit for bit.

    An unfinished epoch is saved as the noise it began with and the number of batches done: resuming draws them again.

    Args:
        log: what is learnt from.
        recipe: what and how.
        liked_above: responses above it are liked.
        saved: what ``state_dict`` gave.
        start: strengths of the ALS that the towers begin at; None = random weights.

    Attributes:
        model: the towers.
        histories: of the log.
    """

    def __init__(self, log: InteractionLog, recipe: Recipe, liked_above: float, saved: State | None = None,
                 start: Strengths | None = None) -> None:
        self.log, self.recipe = log, recipe
        self.histories = Histories(log, liked_above, recipe.history_length)
        self.model, self._chance = make_model(log, recipe), _chance(log)
        self._optimiser = torch.optim.AdamW(self.model.parameters(), lr=recipe.learning_rate,
                                            weight_decay=recipe.weight_decay)
        self._noise = torch.Generator().manual_seed(recipe.seed)
        self._began = self._noise.get_state()
        self._epoch, self._batches, self._loss = 0, 0, 0.0  # epochs that are over; batches of the next, and their sum
        if saved is not None:
            self._load(saved)
        elif start is not None:
            start_from_als(self.model, interactions(log), start)

    @property
    def updates(self) -> int:
        """Batches of the epoch that has just been trained."""
        return self._batches

    def epochs(self, note: Note | None, between: Callable[[], None]) -> Iterator[int]:
        """The number of each epoch once it is trained; ``between`` is called after each batch."""
        while self._epoch < self.recipe.epochs:
            for loss in self._left():
                self._step(loss)
                between()
            if note is not None:
                note("loss", self._loss / max(1, self._batches), self._epoch + 1)
            yield self._epoch + 1
            self._epoch, self._batches, self._loss = self._epoch + 1, 0, 0.0
            self._began = self._noise.get_state()

    def _left(self) -> Iterator[Tensor]:
        """Losses of the batches that are not done."""
        done = self._batches
        for number, batch in enumerate(_batches(self.histories, self.recipe, self._noise)):
            negatives = _negatives(self._chance, self.recipe, self._noise)
            if number >= done:
                yield _loss(self.model, batch, self.recipe, negatives, self._chance)

    def _step(self, loss: Tensor) -> None:
        check_finite(float(loss.detach()), f"loss in epoch {self._epoch + 1}")
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._batches, self._loss = self._batches + 1, self._loss + float(loss.detach())

    def state_dict(self) -> State:
        """The state to resume from."""
        return {"model": self.model.state_dict(), "optimiser": self._optimiser.state_dict(), "began": self._began,
                "epoch": self._epoch, "batches": self._batches, "loss": self._loss}

    def _load(self, saved: State) -> None:
        self.model.load_state_dict(saved["model"])
        self._optimiser.load_state_dict(saved["optimiser"])
        self._began = saved["began"]
        self._noise.set_state(self._began)
        self._epoch, self._batches, self._loss = saved["epoch"], saved["batches"], saved["loss"]


def make_model(log: InteractionLog, recipe: Recipe) -> TwoTower:
    """An untrained model for the log's users and items."""
    shape = Shape(log.num_users, log.num_items, recipe.encoder, recipe.scorer, recipe.size, recipe.history_length,
                  user_ids=recipe.task == "responses", base=_base(log) if recipe.task == "responses" else 0.0)
    users, items = (_features(values, count, recipe.side_features) for values, count in (
        (log.user_features, log.num_users), (log.item_features, log.num_items)))
    if recipe.side_features and log.item_topics is not None:
        items = torch.cat([items, torch.from_numpy(log.item_topics).float()], dim=1)
    return TwoTower(shape, users, items, recipe.seed)


def _base(log: InteractionLog) -> float:
    """The logit of the mean response, kept finite where all are at one end of the scale."""
    mean = float(np.clip(log.scaled(log.reward).mean(dtype=np.float64), 1e-3, 1.0 - 1e-3))
    return math.log(mean / (1.0 - mean))


def _features(values: NDArray[np.float32] | None, count: int, wanted: bool) -> Tensor:
    if values is None or not wanted:
        return torch.zeros(count, 0)
    return torch.from_numpy(np.asarray(standardised(values), dtype=np.float32))


def _batches(histories: Histories, recipe: Recipe, generator: torch.Generator) -> Iterator[Batch]:
    if recipe.task == "responses":
        length = None if recipe.encoder == "mlp" else histories.length
        return histories.halves(generator, recipe.batch_size, recipe.dropout, length)
    if recipe.encoder == "mlp":
        return histories.sets(generator, recipe.batch_size, recipe.dropout)
    return histories.steps(generator, recipe.batch_size, recipe.dropout)


def _negatives(chance: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor | None:
    """Items drawn for a batch, int64 ``[R]``, if any are."""
    if recipe.task == "responses" or recipe.num_negatives == 0:
        return None
    return torch.multinomial(chance, recipe.num_negatives, replacement=True, generator=generator)


def _loss(model: TwoTower, batch: Batch, recipe: Recipe, negatives: Tensor | None, chance: Tensor) -> Tensor:
    if recipe.task == "responses":
        return response_loss(model, batch)
    return ranking_loss(model, batch, recipe.loss, negatives, chance.log())


def _chance(log: InteractionLog) -> Tensor:
    """How likely a negative is each item: by its rows, and once more so that none is impossible."""
    count = np.bincount(log.item, minlength=log.num_items) + 1.0
    return torch.from_numpy(count / count.sum()).float()
