"""Training a two-tower model: early stopping on a part of the training part, then once more on all of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.agents.encoders import Pretrained
from interplay.envs.data import split_log
from interplay.envs.data.log import InteractionLog
from interplay.envs.data.population import Vectors
from interplay.experiments.common.statistics import check_finite
from interplay.experiments.representation.epochs import Note, Training
from interplay.experiments.representation.histories import Histories
from interplay.experiments.representation.keeping import Keeper, State
from interplay.experiments.representation.losses import response_logits
from interplay.experiments.representation.ranking import Ints, Trial, make_trial
from interplay.experiments.representation.recipe import Recipe
from interplay.experiments.representation.tuning import Strengths
from interplay.experiments.representation.two_tower import TwoTower

VALIDATION = 0.1
"""Share of the training part's pairs that epochs and ridges are chosen on, and chances calibrated."""

_UPDATES = 100  # at least so many without a better figure before training stops: of a small log, many epochs
_PAIRS = 1 << 16  # pairs that are scored at once


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
        codes = torch.empty(len(users), self.model.shape.size)
        for place in self._histories.groups(users, self._length):
            codes[place] = self.model.users(torch.from_numpy(users[place]),
                                            self._histories.now(users[place], self._length))
        return codes


@dataclass
class _Choice:
    """For how many epochs to train, by the validation figures so far.

    Attributes:
        best: its best figure.
        epochs: after how many epochs that was.
        predicted: float64 ``[V]``, what was predicted of it then; of rankings, the gains of users.
        first: float64 ``[n]``, gains of users before the first epoch, if the towers begin at vectors.
    """

    best: float = -math.inf
    epochs: int = 0
    predicted: Tensor | None = None
    first: Tensor | None = None

    def update(self, epoch: int, figure: float, predicted: Tensor) -> None:
        """Take the figure after an epoch into account.

        Vectors that the towers began at are left only for what is better by two standard errors of the mean
        difference: on a small log the best of many epochs is better by chance.
        """
        if figure > self.best and (self.first is None or _clearly_above_zero(predicted - self.first)):
            self.best, self.epochs, self.predicted = figure, epoch, predicted


def fit(log: InteractionLog, recipe: Recipe, liked_above: float, note: Note | None = None,
        how: Literal["random", "last"] = "random", keeper: Keeper | None = None, start: Strengths | None = None,
        met: InteractionLog | None = None) -> Fitted:
    """Train on ``log``: first on most of it until the rest is predicted no better, then for as long on all of it.

    Args:
        log: the training part; where items are ranked, what is liked of it.
        recipe: what and how.
        liked_above: responses above it are liked.
        note: gets losses and validation figures; losses of the second training are called ``whole_loss``.
        how: how the validation part is chosen: like the held-out part was.
        keeper: saves the training, and holds the saved state to resume from.
        start: strengths of the ALS that the towers begin at; None = random weights.
        met: all of the training part, liked or not, which validation lists leave out as all lists do; None = ``log``.

    Raises:
        InterplayError: the log is too short to split.
        Stopped: by a signal; the training is saved.
    """
    saved = {} if keeper is None else keeper.saved
    choice = _Choice(**saved.get("choice", {}))
    if "whole" not in saved:
        inner, validation = inner_parts(log, recipe.seed, how)
        training = Training(inner, recipe, liked_above, saved.get("inner"), start)
        trial = make_trial(log if met is None else met, inner, validation)
        if start is not None and choice.first is None:
            choice.best, choice.first = _figure(_fitted(training, 0), trial, validation)
        _choose(choice, training, trial, validation, note, _between(keeper, choice, "inner", training))
    training = Training(log, recipe, liked_above, saved.get("whole"), start)
    fitted = _repeat(choice.epochs, training, note, _between(keeper, choice, "whole", training))
    if recipe.task == "responses" and choice.predicted is not None:
        fitted.validation = choice.predicted.numpy()
    if keeper is not None:  # a signal may still stop what follows
        keeper.now(lambda: keeper.save(_state(choice, "whole", training)))
    return fitted


def _choose(choice: _Choice, training: Training, trial: Trial, validation: InteractionLog, note: Note | None,
            between: Callable[[], None]) -> None:
    """Train until the validation part is predicted no better."""
    for epoch in training.epochs(note, between):
        figure, predicted = _figure(_fitted(training, epoch), trial, validation)
        if note is not None:
            note("validation", figure, epoch)
        choice.update(epoch, figure, predicted)
        if epoch - choice.epochs >= max(training.recipe.patience, _UPDATES // max(1, training.updates)):
            break


def _repeat(epochs: int, training: Training, note: Note | None, between: Callable[[], None]) -> Fitted:
    """Train for ``epochs`` epochs."""
    again = None if note is None else lambda name, value, epoch: note(f"whole_{name}", value, epoch)
    epoch = 0
    for epoch in training.epochs(again, between) if epochs else ():
        if epoch == epochs:
            break
    return _fitted(training, epoch)


def _fitted(training: Training, epochs: int) -> Fitted:
    return Fitted(training.model, training.histories, training.log, epochs)


def _between(keeper: Keeper | None, choice: _Choice, phase: str, training: Training) -> Callable[[], None]:
    """The function to call between two batches."""
    if keeper is None:
        return lambda: None
    return lambda: keeper.between(lambda: keeper.save(_state(choice, phase, training)))


def _state(choice: _Choice, phase: str, training: Training) -> State:
    """All that a training resumes from. Once it has "whole", the training on the inner part is over."""
    return {"choice": vars(choice), phase: training.state_dict()}


def inner_parts(log: InteractionLog, seed: int, how: Literal["random", "last"] = "random") -> \
        tuple[InteractionLog, InteractionLog]:
    """The training part, split again: a part to learn from while numbers are chosen, and a part that chooses them."""
    return split_log(log, VALIDATION, how, seed)


def _clearly_above_zero(differences: Tensor) -> bool:
    return bool(differences.mean() > 2.0 * differences.std(correction=0) / len(differences) ** 0.5)


def _figure(fitted: Fitted, trial: Trial, validation: InteractionLog) -> tuple[float, Tensor]:
    """NDCG@10 and that of each user, or the negative root mean squared error and the predictions: higher is better."""
    if fitted.model.shape.user_ids:
        predicted = fitted.responses(validation.user, validation.item)
        check_finite(predicted, "predicted responses to the validation part")
        return -float(np.sqrt(np.mean((predicted - validation.reward) ** 2))), torch.from_numpy(predicted)
    gains = trial.gains(fitted.scores)
    return float(gains.mean()), torch.from_numpy(gains)
