"""Reward models: the expected reward of every action, fitted to a log, for the direct method and its relatives.

Each is additive: an intercept, the context, an effect of each action, and of each position. What it can not say (that
contexts differ in which action they like) is what the doubly robust estimators are there to correct.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize
from scipy.special import expit

from interplay.envs.types import InterplayError
from interplay.experiments.offpolicy.feedback import BanditFeedback, Floats, Integers, units_of

Fit = Callable[[sp.csr_matrix, Floats, Floats, float], Floats]
"""Design ``[N, P]`` with the intercept first, reward ``[N]``, sample weight ``[N]`` and ridge to coefficients
``[P]``."""


def cross_fitted(feedback: BanditFeedback, folds: int = 3, ridge: float = 1.0, seed: int = 0,
                 weight: Floats | None = None) -> Floats:
    """Expected rewards of all actions in all rounds, each from a model that was fitted without that round's fold.

    So no round's reward has any part in its own prediction, which is what keeps the doubly robust estimators unbiased
    (Chernozhukov et al., "Double/debiased machine learning", 2018).

    Args:
        feedback: the log. Rewards of nothing but 0 and 1 get a logistic model, others a linear one.
        folds: parts of the log, at least 2. Rounds of one unit are in one part.
        ridge: penalty of the squared coefficients, in units of one round; the intercept has none.
        seed: of the split into folds.
        weight: float64 ``[N]``, the rounds' weights in a weighted least-squares fit; None = a likelihood fit with all
            alike.

    Returns:
        float64 ``[N, A]``.

    Raises:
        InterplayError: there are not as many rounds, or units, as folds, or fewer than two folds.
    """
    unit, count = units_of(feedback.unit, len(feedback))
    if not 2 <= folds <= count:
        what = "rounds" if feedback.unit is None else "units"
        raise InterplayError(f"folds={folds} for {count} {what}: give at least 2, and no more than {what}")
    design, binary = _design(feedback), weight is None and bool(np.isin(feedback.reward, (0.0, 1.0)).all())
    fit, link = (fit_logistic, expit) if binary else (fit_linear, np.asarray)
    weight = np.ones(len(feedback)) if weight is None else weight
    fold = (np.random.default_rng(seed).permutation(count) % folds)[unit]
    predicted = np.empty((len(feedback), feedback.num_actions))
    for k in range(folds):
        seen, own = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        coefficients = fit(design[seen], feedback.reward[seen], weight[seen], ridge)
        predicted[own] = link(_scores(coefficients, feedback, own))
    return predicted


def fit_logistic(design: sp.csr_matrix, reward: Floats, weight: Floats, ridge: float) -> Floats:
    """Coefficients ``[P]`` that minimise the weighted log-loss, summed, and half the ridge's penalty; by L-BFGS."""
    penalty = _penalty(design, ridge)

    def loss(coefficients: Floats) -> tuple[float, Floats]:
        score = design @ coefficients
        value = (weight * (np.logaddexp(0.0, score) - reward * score)).sum() + 0.5 * (penalty * coefficients**2).sum()
        return value, design.T @ (weight * (expit(score) - reward)) + penalty * coefficients

    found = minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    coefficients: Floats = found.x
    return coefficients


def fit_linear(design: sp.csr_matrix, reward: Floats, weight: Floats, ridge: float) -> Floats:
    """Coefficients ``[P]`` of weighted ridge regression, exactly. Weights count relative to their mean."""
    weight = weight / (weight.mean() or 1.0)
    weighted = design.multiply(weight[:, None]).tocsr()
    # The tiny number is the intercept's, so that rounds without any weight give zeros and no error.
    gram = (design.T @ weighted).toarray() + np.diag(_penalty(design, ridge) + 1e-9)
    coefficients: Floats = np.linalg.solve(gram, weighted.T @ reward)
    return coefficients


def _penalty(design: sp.csr_matrix, ridge: float) -> Floats:
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = 0.0
    return penalty


def _design(feedback: BanditFeedback) -> sp.csr_matrix:
    """Columns: 1, context, positions, and those of the action that was taken; ``[N, P]``."""
    taken = _actions(feedback)[feedback.action]
    return sp.hstack([sp.csr_matrix(_surroundings(feedback)), taken]).tocsr()


def _scores(coefficients: Floats, feedback: BanditFeedback, rows: Integers) -> Floats:
    """The linear predictor of every action in some rounds, ``[n, A]``."""
    around = _surroundings(feedback)[rows]
    width = around.shape[1]
    scores: Floats = (around @ coefficients[:width])[:, None] + (_actions(feedback) @ coefficients[width:])[None]
    return scores


def _surroundings(feedback: BanditFeedback) -> Floats:
    """What a round has whatever is done in it: 1, context, position as one of several."""
    columns = [np.ones((len(feedback), 1)), feedback.context]
    if feedback.position is not None:
        columns.append(np.eye(int(feedback.position.max()) + 1)[feedback.position])
    return np.concatenate(columns, axis=1)


def _actions(feedback: BanditFeedback) -> sp.csr_matrix:
    """What an action has in whatever round: itself as one of several, and its features; ``[A, A + Fa]``."""
    own = sp.identity(feedback.num_actions, format="csr")
    known = feedback.action_features
    return own if known is None else sp.hstack([own, sp.csr_matrix(known)]).tocsr()
