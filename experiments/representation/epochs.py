"""Training a two-tower model epoch by epoch, and keeping it in a file meanwhile."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.data.features import standardised
from interplay.envs.data.log import InteractionLog
from interplay.experiments.common.finite import check_state
from interplay.experiments.common.saving import load_checkpoint, save_checkpoint
from interplay.experiments.common.statistics import check_finite
from interplay.experiments.representation.histories import Batch, Histories
from interplay.experiments.representation.losses import ranking_loss, response_loss
from interplay.experiments.representation.ranking import interactions
from interplay.experiments.representation.recipe import Recipe
from interplay.experiments.representation.starting import start_from_als
from interplay.experiments.representation.tuning import Strengths
from interplay.experiments.representation.two_tower import Shape, TwoTower

State = dict[str, Any]


class Keeper:
    """Keeps a training in a file.

    Args:
        file: of the checkpoint.
        made_by: name and value of everything that the training depends on: a checkpoint of another one is rejected.

    Attributes:
        saved: the training as it was last kept; empty if it never was.

    Raises:
        InterplayError: the checkpoint is damaged, or of another training.
    """

    def __init__(self, file: Path, made_by: Mapping[str, Any]) -> None:
        self._file, self._made_by = file, made_by
        kept: State = load_checkpoint(file, made_by) if file.is_file() else {}
        self.saved: State = kept.get("training", {})
        self._seconds: float = kept.get("seconds", 0.0)
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time spent, over all resumptions."""
        return self._seconds + time.monotonic() - self._started

    def save(self, state: State) -> None:
        """Write the checkpoint; the old one stays until the new one is whole.

        Raises:
            InterplayError: what is learnt is not finite; the old checkpoint stays.
            OSError: it cannot be written.
        """
        check_state(state, f"in {self._file.name}")
        save_checkpoint(self._file, {"training": state, "seconds": self.seconds}, self._made_by)


class Training:
    """A model under training, for ``train_watched``. An epoch is to it what an episode is to agents.

    An unfinished epoch is saved as the noise it began with and the number of batches done: resuming draws them again.

    Args:
        log: what is learnt from.
        recipe: what and how.
        liked_above: responses above it are liked.
        saved: what ``keep`` was given.
        start: strengths of the ALS that the towers begin at; None = random weights.

    Attributes:
        model: the towers.
        histories: of the log.
        episode: epochs that are over.
        updates: batches of the next that are learnt.
        episodes: epochs after which it is finished.
        before: epochs of an earlier training on a part of the log, which curves show first.
        keep: saves a state.
    """

    def __init__(self, log: InteractionLog, recipe: Recipe, liked_above: float, saved: State | None = None,
                 start: Strengths | None = None) -> None:
        self.log, self.recipe, self.start = log, recipe, start
        self.histories = Histories(log, liked_above, recipe.history_length)
        self.model, self._chance = make_model(log, recipe), _chance(log)
        self._optimiser = torch.optim.AdamW(self.model.parameters(), lr=recipe.learning_rate,
                                            weight_decay=recipe.weight_decay)
        self._noise = torch.Generator().manual_seed(recipe.seed)
        self._began = self._noise.get_state()
        self.episode, self.updates, self.episodes, self.before, self._loss = 0, 0, recipe.epochs, 0, 0.0
        self.keep: Callable[[State], None] = lambda state: None
        self._batch: tuple[Batch, Tensor | None] | None
        if saved is not None:
            self._load(saved)
        elif start is not None:
            start_from_als(self.model, interactions(log), start)
        self._draw()

    @property
    def runs(self) -> list[Training]:
        """This one alone."""
        return [self]

    @property
    def finished(self) -> bool:
        """Whether all epochs are over."""
        return self.episode >= self.episodes

    @property
    def clock(self) -> int:
        """Epochs so far, with those before."""
        return self.before + self.episode + (self._batch is None)

    def step(self) -> None:
        """Learn from a batch."""
        assert self._batch is not None, "the next epoch has begun"
        loss = _loss(self.model, *self._batch, self.recipe, self._chance)
        check_finite(float(loss.detach()), f"loss in epoch {self.episode + 1}")
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self.updates, self._loss = self.updates + 1, self._loss + float(loss.detach())
        self._batch = next(self._left, None)

    def figures(self) -> dict[int, dict[str, float]]:
        """The mean loss of an epoch that is over."""
        name = "pretrain/whole_loss" if self.before else "pretrain/loss"
        return {} if self._batch is not None else {id(self): {name: self._loss / max(1, self.updates)}}

    def next_episode(self) -> None:
        """Begin the next epoch."""
        self.episode, self.updates, self._loss = self.episode + 1, 0, 0.0
        self._began = self._noise.get_state()
        self._draw()

    def _draw(self) -> None:
        """Draw the batches of the epoch that are not learnt: one ahead, which says whether it is the last."""
        drawn = ((batch, _negatives(self._chance, self.recipe, self._noise))
                 for batch in _batches(self.histories, self.recipe, self._noise))
        self._left = islice(drawn, self.updates, None)
        self._batch = next(self._left, None)

    def save(self) -> None:
        """Keep the state to resume from."""
        self.keep({"model": self.model.state_dict(), "optimiser": self._optimiser.state_dict(), "began": self._began,
                   "epoch": self.episode, "epochs": self.episodes, "batches": self.updates, "loss": self._loss})

    def _load(self, saved: State) -> None:
        self.model.load_state_dict(saved["model"])
        self._optimiser.load_state_dict(saved["optimiser"])
        self._began = saved["began"]
        self._noise.set_state(self._began)
        self.episode, self.episodes, self.updates = saved["epoch"], saved["epochs"], saved["batches"]
        self._loss = saved["loss"]


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


def _loss(model: TwoTower, batch: Batch, negatives: Tensor | None, recipe: Recipe, chance: Tensor) -> Tensor:
    if recipe.task == "responses":
        return response_loss(model, batch)
    return ranking_loss(model, batch, recipe.loss, negatives, chance.log())


def _chance(log: InteractionLog) -> Tensor:
    """How likely a negative is each item: by its rows, and once more so that none is impossible."""
    count = np.bincount(log.item, minlength=log.num_items) + 1.0
    return torch.from_numpy(count / count.sum()).float()
