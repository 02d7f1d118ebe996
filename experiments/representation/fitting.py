"""Training a two-tower model: early stopping on a part of the training part, then once more on all of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
from interplay.experiments.common.finite import check_figures
from interplay.experiments.common.looping import Callback, train_watched
from interplay.experiments.common.statistics import check_finite
from interplay.experiments.representation.epochs import Keeper, Training
from interplay.experiments.representation.histories import Histories
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
        tried: epochs of the first training, once it is over.
    """

    best: float = -math.inf
    epochs: int = 0
    predicted: Tensor | None = None
    first: Tensor | None = None
    tried: int = 0


class _Validation(Callback[Training]):
    """Judges each epoch by the validation part, and ends the training once that is predicted no better.

    Vectors that the towers began at are left only for what is better by two standard errors of the mean difference: on
    a small log the best of many epochs is better by chance.
    """

    def __init__(self, choice: _Choice, trial: Trial, validation: InteractionLog) -> None:
        self._choice, self._trial, self._validation = choice, trial, validation

    def begin(self, run: Training) -> None:
        """Judge the vectors that the towers begin at."""
        if run.start is not None and self._choice.first is None:
            self._choice.best, self._choice.first = _figure(_fitted(run), self._trial, self._validation)

    def episode_ended(self, run: Training, figures: dict[str, float]) -> None:
        """Judge the epoch."""
        choice, epoch = self._choice, run.episode + 1
        figure, predicted = _figure(_fitted(run), self._trial, self._validation)
        figures["pretrain/validation"] = figure
        check_figures(figures, f"in epoch {epoch}")
        if figure > choice.best and (choice.first is None or _clearly_above_zero(predicted - choice.first)):
            choice.best, choice.epochs, choice.predicted = figure, epoch, predicted
        patience = max(run.recipe.patience, _UPDATES // max(1, run.updates))
        run.episodes = min(run.recipe.epochs, choice.epochs + patience)


def fit(log: InteractionLog, recipe: Recipe, liked_above: float, how: Literal["random", "last"] = "random",
        keeper: Keeper | None = None, start: Strengths | None = None, met: InteractionLog | None = None,
        callbacks: Sequence[Callback[Training]] = ()) -> Fitted:
    """Train on ``log``: first on most of it until the rest is predicted no better, then for as long on all of it.

    Args:
        log: the training part; where items are ranked, what is liked of it.
        recipe: what and how.
        liked_above: responses above it are liked.
        how: how the validation part is chosen: like the held-out part was.
        keeper: saves the training, and holds the saved state to resume from.
        start: strengths of the ALS that the towers begin at; None = random weights.
        met: all of the training part, liked or not, which validation lists leave out as all lists do; None = ``log``.
        callbacks: watch both trainings, one after the other.

    Raises:
        InterplayError: the log is too short to split.
        Stopped: by a signal; the training is saved.
    """
    saved = {} if keeper is None else keeper.saved
    choice = _Choice(**saved.get("choice", {}))
    if "whole" not in saved:
        inner, validation = inner_parts(log, recipe.seed, how)
        trial = make_trial(log if met is None else met, inner, validation)
        first = Training(inner, recipe, liked_above, saved.get("inner"), start)
        _train(first, "inner", choice, keeper, [_Validation(choice, trial, validation), *callbacks])
        choice.tried = first.episode
    training = Training(log, recipe, liked_above, saved.get("whole"), start)
    training.episodes, training.before = choice.epochs, choice.tried
    _train(training, "whole", choice, keeper, callbacks)
    fitted = _fitted(training)
    if recipe.task == "responses" and choice.predicted is not None:
        fitted.validation = choice.predicted.numpy()
    return fitted


def _train(training: Training, phase: str, choice: _Choice, keeper: Keeper | None,
           callbacks: Sequence[Callback[Training]]) -> None:
    """Train to the end. Once something is kept as "whole", the training on the inner part is over."""
    if keeper is not None:
        training.keep = lambda state: keeper.save({"choice": vars(choice), phase: state})
    train_watched(training, [(training, callback) for callback in callbacks])


def _fitted(training: Training) -> Fitted:
    return Fitted(training.model, training.histories, training.log, training.episode)


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
