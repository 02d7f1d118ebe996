"""What a log says that actions were worth, as targets of learning: ``(reward, valid, weight)``, one form for all.

A log knows the reward of what was done alone. Three functions say what that covers (``observed``, ``masked``,
``replay``), and three make up for the rest (``imputed``, ``ips``, ``doubly_robust``). They compose:
``ips(replay(reward, logged, chosen), propensity)``. All are pure and elementwise, take numpy arrays or torch tensors of
one shape, and keep their kind. Invalid places may hold anything, NaN too: it goes nowhere. Checks read values, so that
on a GPU they wait for it: the functions are for logs that are read, and in the steps of a market the methods of
``Targets``, which check nothing, do the same.

These are what learners fit, never what a market plays. An inverse-propensity target is right in the mean over logs and
no response that a user could give (it may be 400 times a click): states have to move by actual responses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.types import InterplayError

Array = TypeVar("Array", NDArray[Any], Tensor)


@dataclass(frozen=True, eq=False)
class Targets(Generic[Array]):
    """Targets of learning, all of one shape. A learner's loss is ``mean(weight * loss(reward))``.

    Attributes:
        reward: floating; 0 where not valid.
        valid: bool; whether there is a target at all.
        weight: floating, at least 0; 0 where not valid.
    """

    reward: Array
    valid: Array
    weight: Array

    @classmethod
    def known(cls, reward: Array, valid: Array) -> Targets[Array]:
        """What ``masked`` gives, unchecked."""
        return cls(_where(valid, reward, 0.0), valid, _where(valid, _ones(reward), 0.0))

    def filled(self, guess: Array) -> Targets[Array]:
        """What ``imputed`` gives, unchecked."""
        return _everywhere(_where(self.valid, self.reward, guess))

    def weighted(self, weight: Array) -> Targets[Array]:
        """Times ``weight``, which is not read where there is no target."""
        return replace(self, weight=_where(self.valid, self.weight * weight, 0.0))

    def corrected(self, guess: Array, weight: Array) -> Targets[Array]:
        """``guess + valid * weight * (reward - guess)``: what ``doubly_robust`` gives, unchecked."""
        return _everywhere(guess + self.weighted(weight).weight * (self.reward - guess))

    def mean(self) -> float:
        """``sum(weight * reward) / places``, the value of these actions.

        Unbiased after ``ips`` or ``doubly_robust`` with right propensities and no clipping.
        """
        return float((self.weight * self.reward).sum()) / self.reward.reshape(-1).shape[0]

    def normalised_mean(self) -> float:
        """``sum(weight * reward) / sum(weight)``, 0 where nothing is valid.

        Self-normalised (Swaminathan and Joachims, NeurIPS 2015): within the rewards' range, and consistent after
        ``ips``, but biased in small logs.
        """
        total = float(self.weight.sum())
        return float((self.weight * self.reward).sum()) / total if total > 0.0 else 0.0


def observed(reward: Array) -> Targets[Array]:
    """Every place has its reward: a full matrix, or a log's own rows.

    Raises:
        InterplayError: a reward is not finite.
    """
    return masked(reward, _ones(reward) == 1.0)


def masked(reward: Array, known: Array) -> Targets[Array]:
    """Only ``known`` (bool) places have one; the others are left out, as if they were missing at random.

    Raises:
        InterplayError: shapes differ, ``known`` is not bool, or a known reward is not finite.
    """
    _check_like(known, reward, "known")
    if str(known.dtype).removeprefix("torch.") != "bool":
        raise InterplayError(f"known is of {known.dtype}: give bool, True where the log has a reward")
    targets = Targets.known(reward, known)
    if not _finite(targets.reward):
        raise InterplayError("reward is not finite at a place that is known: leave such places out of known")
    return targets


def replay(reward: Array, logged: Array, chosen: Array) -> Targets[Array]:
    """Valid only where the action that is ``chosen`` is the ``logged`` one (Li et al., WSDM 2011).

    ``normalised_mean`` is then the value of the choice if actions were logged uniformly at random; with other
    propensities, weight what this gives by ``ips``.

    Raises:
        InterplayError: shapes differ, or the reward of a match is not finite.
    """
    _check_like(logged, reward, "logged")
    _check_like(chosen, reward, "chosen")
    return masked(reward, logged == chosen)


def imputed(targets: Targets[Array], guess: Array) -> Targets[Array]:
    """A model's ``guess`` where there is no reward: no variance is added, and the model's bias is.

    Raises:
        InterplayError: shapes differ, or a guess that is needed is not finite.
    """
    _check_like(guess, targets.reward, "guess")
    filled = targets.filled(guess)
    if not _finite(filled.reward):
        raise InterplayError("guess is not finite where there is no reward: fit the model on finite rewards")
    return filled


def ips(targets: Targets[Array], propensity: Array, clip: float = np.inf) -> Targets[Array]:
    """Weights ``min(1 / propensity, clip)`` on what is valid (Horvitz and Thompson 1952; Schnabel et al., ICML 2016).

    Args:
        targets: of ``masked``, then propensities are of being known; or of ``replay``, then of the logged action.
        propensity: in (0, 1] where valid; not read elsewhere.
        clip: highest weight; what it cuts off is bias, towards 0 in ``mean``.

    Raises:
        InterplayError: shapes differ, a propensity that is needed lies outside (0, 1], or ``clip`` is below 1.
    """
    return targets.weighted(_inverse(targets, propensity, clip))


def doubly_robust(targets: Targets[Array], guess: Array, propensity: Array, clip: float = np.inf) -> Targets[Array]:
    """``guess + valid * min(1 / propensity, clip) * (reward - guess)``, valid everywhere, with weight 1.

    Unbiased if the propensities are right (and not clipped) or the guess is (Dudík et al., ICML 2011; for missing
    ratings Wang et al., ICML 2019). The target may lie outside the range of rewards.

    Raises:
        InterplayError: shapes differ, a guess is not finite, a propensity that is needed lies outside (0, 1], or
            ``clip`` is below 1.
    """
    _check_like(guess, targets.reward, "guess")
    if not _finite(guess):
        raise InterplayError("guess is not finite: doubly robust targets need one for every place")
    return targets.corrected(guess, _inverse(targets, propensity, clip))


def inverse_propensity(propensity: Array, clip: float = np.inf) -> Array:
    """``min(1 / propensity, clip)``, elementwise.

    Raises:
        InterplayError: a propensity lies outside (0, 1], or ``clip`` is below 1, the weight of what is certain.
    """
    if not clip >= 1.0:
        raise InterplayError(f"clip={clip} must be at least 1, the weight of what is certain")
    wrong = propensity[~((propensity > 0.0) & (propensity <= 1.0))]
    if len(wrong):
        raise InterplayError(f"propensity={float(wrong[0]):g} must lie in (0, 1]: leave out what could not occur")
    return (1.0 / propensity).clip(max=clip)


def _inverse(targets: Targets[Array], propensity: Array, clip: float) -> Array:
    _check_like(propensity, targets.reward, "propensity")
    return inverse_propensity(_where(targets.valid, propensity, 1.0), clip)


def _everywhere(reward: Array) -> Targets[Array]:
    return Targets(reward, _ones(reward) == 1.0, _ones(reward))


def _check_like(value: Array, reward: Array, name: str) -> None:
    if value.shape != reward.shape:
        raise InterplayError(f"{name} has shape {tuple(value.shape)} where reward has {tuple(reward.shape)}: give one "
                             "for each reward")


def _where(condition: Array, value: Array, other: Array | float) -> Array:
    if isinstance(condition, Tensor):
        return torch.where(condition, value, other)
    return np.where(condition, value, other)


def _ones(like: Array) -> Array:
    return torch.ones_like(like) if isinstance(like, Tensor) else np.ones_like(like)


def _finite(values: Array) -> bool:
    return bool(torch.isfinite(values).all()) if isinstance(values, Tensor) else bool(np.isfinite(values).all())
