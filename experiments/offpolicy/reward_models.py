"""Reward models: the expected reward of every action, fitted to a log, for the direct method and its relatives.

Each is additive: an intercept, the context, an effect of each action, and of each position. It cannot express that
contexts differ in which action is best; the doubly robust estimators correct that.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.special import expit
from sklearn.linear_model import Ridge

from interplay.envs.types import InterplayError
from interplay.experiments.common.logistic import fit_logistic
from interplay.experiments.offpolicy.feedback import BanditFeedback, Floats, Integers, units_of


def cross_fitted(feedback: BanditFeedback, folds: int = 3, ridge: float = 1.0, seed: int = 0,
                 weight: Floats | None = None) -> Floats:
    """Expected rewards of all actions in all rounds, each from a model that was fitted without that round's fold.

    No round's reward influences its own prediction, which keeps the doubly robust estimators unbiased
    (Chernozhukov et al., "Double/debiased machine learning", 2018).

    Args:
        feedback: the log. Rewards that are all 0 or 1 get a logistic model, others a linear one.
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
    binary = weight is None and bool(np.isin(feedback.reward, (0.0, 1.0)).all())
    design, fold = _design(feedback), (np.random.default_rng(seed).permutation(count) % folds)[unit]
    predicted = np.empty((len(feedback), feedback.num_actions))
    for k in range(folds):
        seen, own = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        fitted = (fit_logistic(design[seen], feedback.reward[seen] == 1.0, ridge) if binary else
                  fit_linear(design[seen], feedback.reward[seen], ridge, None if weight is None else weight[seen]))
        predicted[own] = _scores(*fitted, feedback, own)
    return expit(predicted) if binary else predicted


def fit_linear(design: sp.csr_matrix, reward: Floats, ridge: float, weight: Floats | None) -> tuple[float, Floats]:
    """Intercept and coefficients ``[P]`` of weighted ridge regression. Weights count relative to their mean."""
    if weight is not None:
        if not weight.any():
            return 0.0, np.zeros(design.shape[1])
        weight = weight / weight.mean()
    model = Ridge(ridge, solver="sparse_cg", tol=1e-10).fit(design, reward, weight)
    return float(model.intercept_), model.coef_


def _design(feedback: BanditFeedback) -> sp.csr_matrix:
    """Columns: context, positions, and those of the action that was taken; ``[N, P]``."""
    taken = _actions(feedback)[feedback.action]
    return sp.hstack([sp.csr_matrix(_surroundings(feedback)), taken]).tocsr()


def _scores(intercept: float, coefficients: Floats, feedback: BanditFeedback, rows: Integers) -> Floats:
    """The linear predictor of every action in some rounds, ``[n, A]``."""
    around = _surroundings(feedback)[rows]
    width = around.shape[1]
    scores: Floats = intercept + (around @ coefficients[:width])[:, None] + _actions(feedback) @ coefficients[width:]
    return scores


def _surroundings(feedback: BanditFeedback) -> Floats:
    """What does not depend on the action: context, and position as one of several; ``[N, F + positions]``."""
    if feedback.position is None:
        return feedback.context
    return np.column_stack([feedback.context, np.eye(int(feedback.position.max()) + 1)[feedback.position]])


def _actions(feedback: BanditFeedback) -> sp.csr_matrix:
    """What depends on the action alone: its number as one of several, and its features; ``[A, A + Fa]``."""
    own = sp.identity(feedback.num_actions, format="csr")
    known = feedback.action_features
    return own if known is None else sp.hstack([own, sp.csr_matrix(known)]).tocsr()
