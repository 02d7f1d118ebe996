"""Off-policy evaluation of whole episodes, where what is done now changes what comes later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interplay.envs.types import InterplayError
from interplay.experiments.offpolicy.estimators import Terms
from interplay.experiments.offpolicy.evaluation import Evaluation, evaluate_terms
from interplay.experiments.offpolicy.feedback import BanditFeedback, Floats, Integers, check_policy


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
    """Estimates of a target policy's return, by the estimators below.

    Args:
        feedback: the log.
        policy: float64 ``[E, T, A]``, the target's probability of each action in each step.
        discount: gamma in [0, 1].
        seed: of the bootstrap over episodes, or their units. The intervals of fitted Q evaluation have the fit's error
            in them. They do not know of values that are not linear: of these only the weighted one gets the mean right.

    Raises:
        InterplayError: ``policy`` is no policy for these episodes, or the discount is out of range.
    """
    terms = {"per-decision IS": per_decision_is(feedback, policy, discount),
             "DR": doubly_robust(feedback, policy, discount),
             "fitted Q": fitted_q(feedback, policy, discount),
             "weighted fitted Q": fitted_q(feedback, policy, discount, weighted=True)}
    return evaluate_terms(terms, terms["per-decision IS"].weight, seed=seed, unit=feedback.unit)


def per_decision_is(feedback: EpisodeFeedback, policy: Floats, discount: float = 1.0) -> Terms:
    """Each reward weighted by the actions up to it, not by later ones (Precup et al., ICML 2000, section 3).

    ``sum_t gamma^t rho_0 ... rho_t r_t``, unbiased like the weighting of whole episodes, and mostly less variable.
    ``Terms`` has a row for each episode, whose weight is that of all its steps.
    """
    ratio = _ratios(feedback, policy, discount)
    returns = _discounted(ratio, np.where(feedback.valid, feedback.reward, 0.0), discount)
    return Terms(np.zeros_like(returns), returns, np.ones_like(returns), ratio[:, -1])


def doubly_robust(feedback: EpisodeFeedback, policy: Floats, discount: float = 1.0) -> Terms:
    """Fitted Q evaluation, and its errors weighted as by ``per_decision_is`` (Jiang and Li, ICML 2016, equation 10).

    ``V(s_0) + sum_t gamma^t rho_0 ... rho_t (r_t + gamma V(s_t+1) - Q(s_t, a_t))``: unbiased for any fit,
    since the errors correct it. That the fit has seen the same episodes biases it a little.
    """
    ratio, fitted = _ratios(feedback, policy, discount), _fit(feedback, policy, discount)
    return Terms(fitted.first, _discounted(ratio, fitted.surprise, discount), np.ones_like(fitted.first), ratio[:, -1])


def fitted_q(feedback: EpisodeFeedback, policy: Floats, discount: float = 1.0, weighted: bool = False) -> Terms:
    """Fitted Q evaluation, backwards from the last step (Le et al., ICML 2019, section 4.2; finite horizon).

    Q of each step is, for each action, linear in the features, fitted to ``r + gamma sum_a pi(a) Q'(a)`` of the step
    after. With a single 1 in each row of features it is a table. What the log never shows is worth 0. ``Terms`` has
    a row for each episode: what it is worth in its first state; the weights are those of ``per_decision_is``. The
    corrections are what each episode adds to the estimate by having been fitted to. They add up to nothing (but for
    the ridge), and resampled they give the fit's own error.

    Args:
        feedback: the log.
        policy: float64 ``[E, T, A]``.
        discount: gamma in [0, 1].
        weighted: fit each step to what the target would have come to, every row counting ``rho_0 ... rho_t`` times (as
            Precup, Sutton and Dasgupta weight updates, ICML 2001). Where features have a constant, that makes the
            errors of each step 0 on average under the target, so that the estimate is right even if values are not
            linear. It rests on as few episodes as importance sampling does: for long ones take the other.
    """
    ratio = _ratios(feedback, policy, discount)
    fitted = _fit(feedback, policy, discount, ratio if weighted else None)
    influence = _influence(fitted.fits, policy, feedback.valid, discount)
    return Terms(fitted.first, (influence * fitted.surprise).sum(1), np.ones_like(fitted.first), ratio[:, -1])


def _discounted(ratio: Floats, each: Floats, discount: float) -> Floats:
    """The weighted and discounted sum over the steps of each episode: ``[E, T]`` to ``[E]``."""
    total: Floats = (discount ** np.arange(each.shape[1]) * ratio * each).sum(1)
    return total


class _Fitted(NamedTuple):
    """Values of all steps.

    Attributes:
        fits: of each step.
        first: ``[E]``, what each episode's first state is worth.
        surprise: ``[E, T]``, targets less what was fitted to them; 0 after the end.
    """

    fits: list[_Fit]
    first: Floats
    surprise: Floats


def _fit(feedback: EpisodeFeedback, policy: Floats, discount: float, ratio: Floats | None = None) -> _Fitted:
    """Backwards from the last step; rows count ``ratio [E, T]`` times, or once."""
    weight = feedback.valid * (np.ones(feedback.valid.shape) if ratio is None else ratio)
    fits, later, surprise = [], np.zeros(len(feedback)), np.zeros(feedback.action.shape)
    for t in reversed(range(feedback.action.shape[1])):
        here, rows = feedback.valid[:, t], np.arange(len(feedback))
        target = np.where(here, feedback.reward[:, t] + discount * later, 0.0)
        fits.append(_Fit(feedback.features[:, t], feedback.action[:, t], weight[:, t], feedback.num_actions))
        values = fits[-1].values(target)
        surprise[:, t] = np.where(here, target - values[rows, feedback.action[:, t]], 0.0)
        later = np.where(here, (policy[:, t] * values).sum(1), 0.0)
    return _Fitted(fits[::-1], later, surprise)


def _influence(fits: list[_Fit], policy: Floats, valid: NDArray[np.bool_], discount: float) -> Floats:
    """The influence of each step's target on the sum of first states' values, ``[E, T]``.

    The estimate is linear in the targets: a value of the first step moves by what its fit makes of them, and those
    contain the next step's values. These are the weights to which fitted Q with linear functions is equal (Duan, Jia
    and Wang, "Minimax-optimal off-policy evaluation with linear function approximation", ICML 2020, section 4).
    """
    moved = np.zeros(policy.shape[:2])
    asked = np.ones(len(policy))
    for t, fit in enumerate(fits):
        moved[:, t] = fit.influence(np.where(valid[:, t], asked, 0.0)[:, None] * policy[:, t])
        asked = discount * moved[:, t]
    return moved


class _Fit:
    """Every action's ridge regression on the rows in which it was taken.

    Args:
        features: ``[E, F]``.
        action: ``[E]``.
        weight: ``[E]``, how often each row counts; 0 leaves it out.
        num_actions: A.
        ridge: the penalty.
    """

    def __init__(self, features: Floats, action: Integers, weight: Floats, num_actions: int,
                 ridge: float = 1e-6) -> None:
        self.features, self._weight = features, weight[:, None]
        self._rows = [np.flatnonzero((weight > 0.0) & (action == a)) for a in range(num_actions)]
        penalty = ridge * np.eye(features.shape[1])
        self._grams = [self._weighted(r).T @ features[r] + penalty for r in self._rows]

    def _weighted(self, rows: Integers) -> Floats:
        weighted: Floats = self._weight[rows] * self.features[rows]
        return weighted

    def values(self, target: Floats) -> Floats:
        """Of every action in all rows, ``[E, A]``, from targets ``[E]``."""
        solved = [np.linalg.solve(gram, self._weighted(rows).T @ target[rows])
                  for gram, rows in zip(self._grams, self._rows, strict=True)]
        return self.features @ np.stack(solved, axis=1)

    def influence(self, asked: Floats) -> Floats:
        """How much the sum of values, each counted ``asked [E, A]`` times, grows with a row's target: ``[E]``."""
        moved = np.zeros(len(self.features))
        for a, (gram, rows) in enumerate(zip(self._grams, self._rows, strict=True)):
            moved[rows] = self._weighted(rows) @ np.linalg.solve(gram, self.features.T @ asked[:, a])
        return moved


def _ratios(feedback: EpisodeFeedback, policy: Floats, discount: float) -> Floats:
    """``rho_0 ... rho_t`` of each step, ``[E, T]``: target over logging probability of what was done up to it."""
    if not 0.0 <= discount <= 1.0:
        raise InterplayError(f"discount={discount} must lie between 0 and 1")
    if policy.shape != (*feedback.action.shape, feedback.num_actions):
        raise InterplayError(f"policy of shape {policy.shape} for episodes of shape {feedback.action.shape} with "
                             f"{feedback.num_actions} actions: give a probability for each episode, step and action")
    check_policy(policy.reshape(-1, feedback.num_actions), feedback.rounds())
    done = np.take_along_axis(policy, feedback.action[:, :, None], axis=2)[:, :, 0]
    return np.where(feedback.valid, done / feedback.propensity, 1.0).cumprod(1)
