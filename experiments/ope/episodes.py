"""Off-policy evaluation of whole episodes, where what is done now changes what comes later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interplay.envs.types import InterplayError
from interplay.experiments.ope.estimators import Terms
from interplay.experiments.ope.evaluation import Evaluation, evaluate_terms
from interplay.experiments.ope.feedback import BanditFeedback, Floats, Integers, check_policy


@dataclass(frozen=True, eq=False)
class EpisodeFeedback:
    """``E`` episodes of up to ``T`` steps, with ``A`` actions.

    Attributes:
        features: float64 ``[E, T, F]``, what the policy saw; a state of several as a row with a single 1.
        action: int64 ``[E, T]`` in ``0..A-1``.
        reward: float64 ``[E, T]``.
        propensity: float64 ``[E, T]`` in (0, 1], with which the logging policy took ``action``.
        valid: bool ``[E, T]``, False for what comes after an episode's end. What is in such steps is not read, but
            must be in range.
        num_actions: A.
        unit: int64 ``[E]``, what was drawn independently, as in ``BanditFeedback``; None = each episode.
    """

    features: Floats
    action: Integers
    reward: Floats
    propensity: Floats
    valid: NDArray[np.bool_]
    num_actions: int
    unit: Integers | None = None

    def __post_init__(self) -> None:
        if self.unit is not None and len(self.unit) != len(self):
            raise InterplayError(f"episodes: unit has {len(self.unit)} rows where {len(self)} are needed: make them "
                                 "agree")
        for name in ("features", "reward", "propensity", "valid"):
            shape = getattr(self, name).shape[:2]
            if shape != self.action.shape:
                raise InterplayError(f"episodes: {name} has shape {shape} where {self.action.shape} is needed: make "
                                     "them agree")
        if not self.valid[:, 0].all() or (self.valid[:, 1:] & ~self.valid[:, :-1]).any():
            raise InterplayError("episodes: valid goes on after an end, or an episode has no step: make each row True "
                                 "up to the end and False from there")
        self.rounds()

    def __len__(self) -> int:
        return len(self.action)

    def rounds(self) -> BanditFeedback:
        """All steps as rounds of a bandit, which also checks them."""
        features = self.features.reshape(self.action.size, -1)
        return BanditFeedback(features, self.action.ravel(), self.reward.ravel(), self.propensity.ravel(),
                              self.num_actions)


def evaluate_episodes(feedback: EpisodeFeedback, policy: Floats, discount: float = 1.0,
                      seed: int = 0) -> list[Evaluation]:
    """What both estimators below say of a target policy's return.

    Args:
        feedback: the log.
        policy: float64 ``[E, T, A]``, the target's probability of each action in each step.
        discount: gamma in [0, 1].
        seed: of the bootstrap over episodes, or their units. It fits nothing again: the interval of fitted Q evaluation
            holds the luck of first states alone.

    Raises:
        InterplayError: ``policy`` is no policy for these episodes, or the discount is out of range.
    """
    terms = {"per-decision IS": per_decision_is(feedback, policy, discount),
             "fitted Q": fitted_q(feedback, policy, discount)}
    return evaluate_terms(terms, terms["per-decision IS"].weight, seed=seed, unit=feedback.unit)


def per_decision_is(feedback: EpisodeFeedback, policy: Floats, discount: float = 1.0) -> Terms:
    """Each reward weighted by what led to it, and not by what came after (Precup et al., ICML 2000, section 3).

    ``sum_t gamma^t rho_0 ... rho_t r_t``, unbiased like the weighting of whole episodes, and mostly less variable.
    ``Terms`` has a row for each episode, whose weight is that of all its steps.
    """
    ratio = _ratios(feedback, policy, discount).cumprod(1)
    steps = discount ** np.arange(ratio.shape[1])
    returns = (steps * ratio * np.where(feedback.valid, feedback.reward, 0.0)).sum(1)
    return Terms(np.zeros_like(returns), returns, np.ones_like(returns), ratio[:, -1])


def fitted_q(feedback: EpisodeFeedback, policy: Floats, discount: float = 1.0, ridge: float = 1e-6) -> Terms:
    """Fitted Q evaluation, backwards from the last step (Le et al., ICML 2019, section 4.2; finite horizon).

    Q of each step is, for each action, linear in the features, fitted to ``r + gamma sum_a pi(a) Q'(a)`` of the step
    after. With a single 1 in each row of features it is a table. What the log never shows is worth 0. ``Terms`` has
    a row for each episode: what it is worth in its first state; the weights are those of ``per_decision_is``.
    """
    weight = _ratios(feedback, policy, discount).prod(1)
    later = np.zeros(len(feedback))
    for t in reversed(range(feedback.action.shape[1])):
        here = feedback.valid[:, t]
        target = feedback.reward[:, t] + discount * later
        values = _q(feedback.features[:, t], feedback.action[:, t], target, here, feedback.num_actions, ridge)
        later = np.where(here, (policy[:, t] * values).sum(1), 0.0)
    none = np.zeros_like(later)
    return Terms(later, none, np.ones_like(none), weight)


def _q(features: Floats, action: Integers, target: Floats, here: NDArray[np.bool_], num_actions: int,
       ridge: float) -> Floats:
    """Every action's ridge regression on the rows in which it was taken, asked for all rows: ``[E, A]``."""
    values = np.empty((len(features), num_actions))
    for a in range(num_actions):
        x, y = features[here & (action == a)], target[here & (action == a)]
        values[:, a] = features @ np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y)
    return values


def _ratios(feedback: EpisodeFeedback, policy: Floats, discount: float) -> Floats:
    """Target over logging probability of what was done, ``[E, T]``; 1 after the end."""
    if not 0.0 <= discount <= 1.0:
        raise InterplayError(f"discount={discount} must lie between 0 and 1")
    if policy.shape != (*feedback.action.shape, feedback.num_actions):
        raise InterplayError(f"policy of shape {policy.shape} for episodes of shape {feedback.action.shape} with "
                             f"{feedback.num_actions} actions: give a probability for each episode, step and action")
    check_policy(policy.reshape(-1, feedback.num_actions), feedback.rounds())
    done = np.take_along_axis(policy, feedback.action[:, :, None], axis=2)[:, :, 0]
    return np.where(feedback.valid, done / feedback.propensity, 1.0)
