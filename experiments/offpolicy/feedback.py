"""The input of off-policy evaluation: logged actions, their probabilities and their rewards."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interplay.envs.types import InterplayError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_SUM_TOLERANCE = 1e-6  # how far a policy's probabilities may be from adding up to 1


@dataclass(frozen=True, eq=False)
class BanditFeedback:
    """``N`` rounds of a contextual bandit with ``A`` actions, in the order in which they were logged.

    Attributes:
        context: float64 ``[N, F]``, what the policy saw; F may be 0.
        action: int64 ``[N]`` in ``0..A-1``.
        reward: float64 ``[N]``, in units of its own.
        propensity: float64 ``[N]`` in (0, 1], with which the logging policy took ``action``.
        num_actions: A.
        position: int64 ``[N]``, the place in which the action was shown, from 0; None where there is but one.
        action_features: float64 ``[A, Fa]``, what is known of actions, or None.
        unit: int64 ``[N]``, a number for what was drawn independently, such as a world in which many act: its rounds
            stay together in folds and resamples. None = every round was drawn by itself.
    """

    context: Floats
    action: Integers
    reward: Floats
    propensity: Floats
    num_actions: int
    position: Integers | None = None
    action_features: Floats | None = None
    unit: Integers | None = None

    def __post_init__(self) -> None:
        if self.context.ndim != 2 or len(self.action) == 0:
            raise InterplayError(f"feedback: context of shape {self.context.shape} and {len(self.action)} actions: "
                                 "give two axes, and at least one round")
        self._check_sizes()
        _check_range(self.action, self.num_actions, "action")
        if self.position is not None:
            _check_range(self.position, int(self.position.max()) + 1, "position")
        _refuse(~np.isfinite(self.reward), self.reward, "reward", "which is not finite: correct or remove the round")
        _refuse(~((self.propensity > 0.0) & (self.propensity <= 1.0)), self.propensity, "propensity",
                "which is no propensity: give a probability above 0 and at most 1")
        finite = np.asarray(np.isfinite(self.context).all(1))
        _refuse(~finite, self.context, "context", "which is not finite: fill in what is missing")

    def _check_sizes(self) -> None:
        sizes = {**dict.fromkeys(("context", "reward", "propensity", "position", "unit"), len(self.action)),
                 "action_features": self.num_actions}
        for name, size in sizes.items():
            value = getattr(self, name)
            if value is not None and len(value) != size:
                raise InterplayError(f"feedback: {name} has {len(value)} rows where {size} are needed: make them agree")

    def __len__(self) -> int:
        return len(self.action)

    def take(self, rows: NDArray[Any] | slice) -> BanditFeedback:
        """Some of the rounds, by number, by mask or as a slice."""
        names = [f.name for f in fields(self) if f.name not in ("num_actions", "action_features")]
        values = {name: getattr(self, name) for name in names}
        return replace(self, **{name: value[rows] for name, value in values.items() if value is not None})


def check_policy(policy: Floats, feedback: BanditFeedback) -> None:
    """Check that probabilities are a policy for these rounds.

    Args:
        policy: float64 ``[N, A]``, the probability of each action in each round.
        feedback: the rounds.

    Raises:
        InterplayError: the shape is another, or a row is no distribution.
    """
    expected = (len(feedback), feedback.num_actions)
    if policy.shape != expected:
        raise InterplayError(f"policy of shape {policy.shape} for feedback of shape {expected}: give a probability "
                             "for each round and action")
    wrong = ~((policy >= 0.0).all(1) & (np.abs(policy.sum(1) - 1.0) < _SUM_TOLERANCE))
    _refuse(wrong, policy.sum(1), "policy's sum", "or one probability below 0: give a distribution in each round")


def units_of(unit: Integers | None, rounds: int) -> tuple[Integers, int]:
    """Units numbered from 0 without gaps, int64 ``[N]``, and how many: see ``BanditFeedback.unit``."""
    if unit is None:
        return np.arange(rounds), rounds
    known, number = np.unique(unit, return_inverse=True)
    return number, len(known)


def _check_range(number: Integers, size: int, name: str) -> None:
    _refuse((number < 0) | (number >= size), number, name, f"which is not in 0..{size - 1}: number them from 0")


def _refuse(wrong: NDArray[np.bool_], values: NDArray[Any], name: str, problem: str) -> None:
    """Raise for the first round in which ``wrong`` is true."""
    if wrong.any():
        row = int(wrong.argmax())
        raise InterplayError(f"feedback: {name} is {values[row]} in round {row}, {problem}")
