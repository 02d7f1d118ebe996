"""What a two-tower model is and how it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from interplay.envs.checking import Bounds, Count, NotNegative, Positive
from interplay.envs.types import InterplayError
from interplay.experiments.common.flags import Need, Seed, check_flags, when
from interplay.experiments.representation.losses import Loss
from interplay.experiments.representation.two_tower import Encoder, Scorer, check_shape

Task = Literal["ranking", "responses"]

RANKING = Need(lambda s: s.task == "ranking", "it is about rankings: leave it out with --task responses")
_SETS = Need(lambda s: s.task == "ranking" and s.encoder == "mlp" and s.scorer == "hadamard",
             "only rankings by mlp and hadamard can begin at vectors: leave it out")
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
    start: Literal["als", "random"] = when(_SETS, "als")
    """Of rankings by mlp and hadamard: vectors of an ALS whose strengths are chosen on a part of the training part, or
    random weights, as all others have."""
    num_negatives: Annotated[int, Bounds(0, 10_000_000)] = when(RANKING, 0)
    """Items drawn for a batch, by popularity, their logits corrected for that; 0 = the whole catalogue."""
    size: Annotated[int, Bounds(1, 65_536)] = 256
    """Width of vectors and layers."""
    history_length: Annotated[int, Bounds(1, 100_000)] = when(_IN_ORDER, 50)
    """Steps that cnn, gru and transformer read."""
    dropout: float = 0.6
    """Chance of each item of a history to be left out in training. The model predicts responses to what is left out,
    so that --task responses needs it above 0."""
    learning_rate: Positive = 1e-3
    """Adam's step."""
    weight_decay: NotNegative = 2.0
    """Decoupled decay of all weights (Loshchilov and Hutter 2019), times the learning rate at each step. Sums of many
    vectors need much of it, encoders that read in order little: 0.1 suits them."""
    batch_size: Count = 128
    """Users of a batch; steps where rankings are learnt by an encoder that reads in order."""
    epochs: Count = 400
    """Passes over the training part at most."""
    patience: Count = 30
    """Epochs without a better validation figure before training stops; of a small log, at least 100 updates."""
    side_features: bool = False
    """Whether side features of users and items, and topics, go in where the log has them."""
    seed: Seed = 0
    """Of the weights, the order and what is left out."""

    @property
    def starts_from_als(self) -> bool:
        """Whether the towers begin at an ALS."""
        return self.start == "als" and _SETS.met(self)

    def check(self) -> None:
        """Check the numbers. Not done when they are set: the command line's parser would wrap the error in a box.

        Raises:
            InterplayError: one of them is out of range.
        """
        check_flags(self)
        check_shape(self.encoder, self.scorer, self.size)
        if not 0.0 <= self.dropout < 1.0:
            raise InterplayError(f"dropout={self.dropout} must be at least 0 and below 1")
        if self.task == "responses" and self.dropout == 0.0:
            raise InterplayError("dropout=0.0: responses are predicted to what is left out of histories: give a "
                                 "dropout above 0")
