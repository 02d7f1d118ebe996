"""Training a two-tower model: early stopping on a part of the training part, then once more on all of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.agents.parts.encoders import Pretrained
from interplay.envs.data import split_log
from interplay.envs.data.features import standardised
from interplay.envs.data.log import InteractionLog
from interplay.envs.data.people import Vectors
from interplay.envs.types import InterplayError
from interplay.experiments.representation.histories import Batch, Histories
from interplay.experiments.representation.losses import Loss, ranking_loss, response_logits, response_loss
from interplay.experiments.representation.ranking import Ints, interactions, rank
from interplay.experiments.representation.two_tower import Encoder, Scorer, Shape, TwoTower, check_shape

Task = Literal["ranking", "responses"]
Note = Callable[[str, float, int], None]
"""Takes a scalar's name, its value and the epoch."""

VALIDATION = 0.1
"""Share of the training part's pairs that epochs and ridges are chosen on, and chances calibrated."""

_SCORED = 512  # users whose histories are read at once
_PAIRS = 1 << 16  # pairs that are scored at once


@dataclass(frozen=True)
class Recipe:
    """A two-tower model and how it is trained."""

    task: Task = "ranking"
    """What is learnt: which items a user takes (ranking), or how it responds to given ones (responses)."""
    encoder: Encoder = "mlp"
    """Of behaviour histories: mlp adds them up; cnn, gru and transformer read the last steps in their order."""
    scorer: Scorer = "hadamard"
    """How user and item meet: hadamard = W . (u * i) + b, concatenation = a layer over both."""
    loss: Loss = "softmax"
    """Of rankings: softmax over the catalogue, or bce for each item. Responses always have bce."""
    num_negatives: int = 0
    """Items drawn for a batch, by popularity, their logits corrected for that; 0 = the whole catalogue."""
    size: int = 256
    """Width of vectors and layers."""
    history_length: int = 50
    """Steps that cnn, gru and transformer read."""
    dropout: float = 0.6
    """Chance of each item of a history to be left out in training; responses are told of what is left out, and so
    need it above 0."""
    learning_rate: float = 1e-3
    """Adam's step."""
    weight_decay: float = 2.0
    """Decoupled decay of all weights (Loshchilov and Hutter 2019), times the learning rate at each step. Sums of many
    vectors need much of it, encoders that read in order little: 0.1 suits them."""
    batch_size: int = 128
    """Users of a batch; steps where rankings are learnt by an encoder that reads in order."""
    epochs: int = 400
    """Passes over the training part at most."""
    patience: int = 30
    """Epochs without a better validation figure before training stops."""
    side_features: bool = False
    """Whether side features of users and items, and topics, go in where the log has them."""
    seed: int = 0
    """Of the weights, the order and what is left out."""

    def check(self) -> None:
        """Check the numbers. Not done when they are set: the command line's parser would wrap the error in a box.

        Raises:
            InterplayError: one of them is out of range.
        """
        check_shape(self.encoder, self.scorer, self.size)
        for name, choices in (("task", ("ranking", "responses")), ("loss", ("softmax", "bce"))):
            if getattr(self, name) not in choices:
                raise InterplayError(f"{name}={getattr(self, name)!r} is unknown: choose from {', '.join(choices)}")
        for name in ("history_length", "batch_size", "epochs", "patience"):
            if getattr(self, name) < 1:
                raise InterplayError(f"{name}={getattr(self, name)} must be at least 1")
        for name in ("num_negatives", "weight_decay"):
            if getattr(self, name) < 0:
                raise InterplayError(f"{name}={getattr(self, name)} must not be below 0")
        if not 0.0 <= self.dropout < 1.0 or self.learning_rate <= 0.0:
            raise InterplayError(f"dropout={self.dropout}, learning_rate={self.learning_rate}: dropout must be at "
                                 "least 0 and below 1, the learning rate above 0")
        if self.task == "responses" and self.dropout == 0.0:
            raise InterplayError("dropout=0.0: responses are told of what is left out of histories: give a dropout "
                                 "above 0")


class Fitted:
    """A model with the histories that it was trained on.

    Args:
        model: the towers.
        histories: of the training part.
        log: the training part.
        epochs: passes that it was trained for.

    Attributes:
        validation: float64 ``[V]``, what was predicted of the inner validation part, as ``inner_parts`` draws it, by
            the model that had not seen it; None where nothing was, as with rankings.
    """

    def __init__(self, model: TwoTower, histories: Histories, log: InteractionLog, epochs: int) -> None:
        self.model, self.log, self.epochs = model, log, epochs
        self.validation: NDArray[np.float64] | None = None
        self._histories = histories
        self._length = None if model.shape.encoder == "mlp" else histories.length

    @torch.no_grad()
    def scores(self, users: Ints) -> NDArray[np.float32]:
        """Logits of all items, float32 ``[n, I]``: a ``Ranker``."""
        found: NDArray[np.float32] = (self.model.logits(self._codes(users), self.model.items())
                                      + self.model.item_bias).numpy()
        return found

    @torch.no_grad()
    def vectors(self) -> Vectors:
        """All users and items as vectors whose product ranks as ``scores`` does.

        Raises:
            InterplayError: the model's ranking is no product.
        """
        items, users = self.model.item_factors(), self._codes(np.arange(self.log.num_users))
        return Vectors(*(part.double().numpy() for part in (users, items, self.model.item_bias)))

    @torch.no_grad()
    def pretrained(self) -> Pretrained:
        """What agents can start from."""
        return Pretrained(self.model.items(), self.model.history_encoder)

    @torch.no_grad()
    def responses(self, user: Ints, item: Ints) -> NDArray[np.float64]:
        """Predicted responses to pairs int64 ``[N]`` each, in the log's units: float64 ``[N]``."""
        distinct, place = np.unique(user, return_inverse=True)
        codes = self._codes(distinct)
        logits = [response_logits(self.model, codes[place[at]], torch.from_numpy(user[at]), torch.from_numpy(item[at]))
                  for at in np.array_split(np.arange(len(user)), -(-len(user) // _PAIRS))]
        low, high = self.log.reward_range
        found: NDArray[np.float64] = low + (high - low) * torch.sigmoid(torch.cat(logits)).double().numpy()
        return found

    def _codes(self, users: Ints) -> Tensor:
        """f1 of all that users ``[n]`` met: float32 ``[n, E]``."""
        return torch.cat([self.model.users(torch.from_numpy(part), self._histories.now(part, self._length))
                          for part in np.array_split(users, -(-len(users) // _SCORED))])


def fit(log: InteractionLog, recipe: Recipe, liked_above: float, note: Note | None = None,
        how: Literal["random", "last"] = "random") -> Fitted:
    """Train on ``log``: first on most of it until the rest is predicted no better, then for as long on all of it.

    Args:
        log: the training part.
        recipe: what and how.
        liked_above: responses above it are liked.
        note: told of losses and validation figures, and of the losses on all of it as ``whole_loss``.
        how: how the validation part is chosen: like the held-out part was.

    Raises:
        InterplayError: the log is too short to be parted.
    """
    inner, validation = inner_parts(log, recipe.seed, how)
    best, epochs, predicted = -np.inf, 0, None
    for epoch, fitted in enumerate(_epochs(inner, recipe, liked_above, note), start=1):
        figure, found = _figure(fitted, inner, validation)
        if note is not None:
            note("validation", figure, epoch)
        if figure > best:
            best, epochs, predicted = figure, epoch, found
        if epoch - epochs >= recipe.patience:
            break
    last = None
    again = None if note is None else lambda name, value, epoch: note(f"whole_{name}", value, epoch)
    for epoch, fitted in enumerate(_epochs(log, recipe, liked_above, again), start=1):
        last = fitted
        if epoch == epochs:
            break
    assert last is not None
    last.validation = predicted
    return last


def inner_parts(log: InteractionLog, seed: int, how: Literal["random", "last"] = "random") -> \
        tuple[InteractionLog, InteractionLog]:
    """The training part, parted once more: what is learnt from while numbers are chosen, and what chooses them."""
    return split_log(log, VALIDATION, how, seed)


def _figure(fitted: Fitted, inner: InteractionLog, validation: InteractionLog) -> \
        tuple[float, NDArray[np.float64] | None]:
    """NDCG@10, or the negative root mean squared error with the predictions: higher is better."""
    if fitted.model.shape.user_ids:
        predicted = fitted.responses(validation.user, validation.item)
        return -float(np.sqrt(np.mean((predicted - validation.reward) ** 2))), predicted
    return rank(fitted.scores, interactions(inner), interactions(validation)).ndcg.mean, None


def _epochs(log: InteractionLog, recipe: Recipe, liked_above: float, note: Note | None) -> Iterator[Fitted]:
    """The model after each epoch."""
    histories = Histories(log, liked_above, recipe.history_length)
    model = make_model(log, recipe)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    generator = torch.Generator().manual_seed(recipe.seed)
    chance = _chance(log)
    for epoch in range(1, recipe.epochs + 1):
        total, count = 0.0, 0
        for batch in _batches(histories, recipe, generator):
            loss = _loss(model, batch, recipe, chance, generator)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total, count = total + float(loss.detach()), count + 1
        if note is not None:
            note("loss", total / max(1, count), epoch)
        yield Fitted(model, histories, log, epoch)


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


def _loss(model: TwoTower, batch: Batch, recipe: Recipe, chance: Tensor, generator: torch.Generator) -> Tensor:
    if recipe.task == "responses":
        return response_loss(model, batch)
    negatives = (torch.multinomial(chance, recipe.num_negatives, replacement=True, generator=generator)
                 if recipe.num_negatives > 0 else None)
    return ranking_loss(model, batch, recipe.loss, negatives, chance.log())


def _chance(log: InteractionLog) -> Tensor:
    """How likely a negative is each item: by its rows, and once more so that none is impossible."""
    count = np.bincount(log.item, minlength=log.num_items) + 1.0
    return torch.from_numpy(count / count.sum()).float()
