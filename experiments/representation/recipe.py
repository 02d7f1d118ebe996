"""What a two-tower model is and how it is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from interplay.envs.checking import check_fields
from interplay.envs.types import InterplayError
from interplay.experiments.flags import Need, when
from interplay.experiments.representation.losses import Loss
from interplay.experiments.representation.two_tower import Encoder, Scorer, check_shape

Task = Literal["ranking", "responses"]

RANKING = Need(lambda s: s.task == "ranking", "it is about rankings: leave it out with --task responses")
_IN_ORDER = Need(lambda s: s.encoder != "mlp", "mlp reads whole histories: choose another --encoder, or leave it out")


@dataclass(frozen=True)
class Recipe:
    """A two-tower model and how it is trained."""

    task: Task = "ranking"
    """What is learnt: which items a user takes (ranking), or how it responds to given ones (responses)."""
    encoder: Encoder = "mlp"
    """Of behaviour histories: mlp adds them up; cnn, gru and transformer read the last steps in their order."""
    scorer: Scorer = "hadamard"
    """How user and item meet: hadamard = W . (u * i) + b, concatenation = a layer over both."""
    loss: Loss = when(RANKING, "softmax")
    """Of rankings: softmax over the catalogue, or bce for each item. Responses always have bce."""
    num_negatives: int = when(RANKING, 0)
    """Items drawn for a batch, by popularity, their logits corrected for that; 0 = the whole catalogue."""
    size: int = 256
    """Width of vectors and layers."""
    history_length: int = when(_IN_ORDER, 50)
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
        check_fields(self)
        check_shape(self.encoder, self.scorer, self.size)
        for name in ("history_length", "batch_size", "epochs", "patience"):
            if getattr(self, name) < 1:
                raise InterplayError(f"{name}={getattr(self, name)} must be at least 1")
        for name in ("num_negatives", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InterplayError(f"{name}={getattr(self, name)} must be finite and at least 0")
        if not 0.0 <= self.dropout < 1.0 or not 0.0 < self.learning_rate < math.inf:
            raise InterplayError(f"dropout={self.dropout}, learning_rate={self.learning_rate}: dropout must be at "
                                 "least 0 and below 1, the learning rate finite and above 0")
        if self.task == "responses" and self.dropout == 0.0:
            raise InterplayError("dropout=0.0: responses are told of what is left out of histories: give a dropout "
                                 "above 0")
