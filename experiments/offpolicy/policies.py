"""Target policies that need only a log."""

from __future__ import annotations

import numpy as np

from interplay.experiments.offpolicy.feedback import BanditFeedback, Floats

_PRIOR_ROUNDS = 50.0  # at the mean reward, that every action's own mean starts from


def uniform(feedback: BanditFeedback) -> Floats:
    """All actions with equal probability, float64 ``[N, A]``."""
    return np.full((len(feedback), feedback.num_actions), 1.0 / feedback.num_actions)


def always(feedback: BanditFeedback, action: int) -> Floats:
    """Always one action, float64 ``[N, A]``."""
    policy = np.zeros((len(feedback), feedback.num_actions))
    policy[:, action] = 1.0
    return policy


def most_clicked(feedback: BanditFeedback) -> int:
    """The action with the highest mean reward, drawn to the log's mean where rounds are few.

    What is chosen so must not be evaluated on the rounds that it was chosen by, which would flatter it.
    """
    count = np.bincount(feedback.action, minlength=feedback.num_actions)
    total = np.bincount(feedback.action, weights=feedback.reward, minlength=feedback.num_actions)
    return int(((total + _PRIOR_ROUNDS * feedback.reward.mean()) / (count + _PRIOR_ROUNDS)).argmax())
