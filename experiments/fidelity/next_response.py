"""Next-response prediction: a small model learns from the market and is evaluated on the log.

Esteban, Hyland and Rätsch, "Real-valued (medical) time series generation with recurrent conditional GANs"
(arXiv:1706.02633): train on synthetic, test on real (TSTR). The opposite direction (train on the log, test on the
market) is not used: what is learnt in a market has to hold outside. A market that shows only a part of what people do
passes the opposite test and fails this one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from interplay.experiments.common.logistic import fit_logistic
from interplay.experiments.fidelity.aspects import Aspect, Distribution
from interplay.experiments.fidelity.trace import Bools, Floats, Ints, Trace

_PRIOR_ROWS = 5.0  # rows at the mean reward that the means of users and items start from
_RIDGE = 1e-3  # beside the mean log-loss


class _Examples(NamedTuple):
    """Responses to predict: features ``[N, F]``, liked or not ``[N]``, and the user ``[N]``."""

    features: Floats
    liked: Bools
    user: Ints


def next_response(log: Trace, market: Trace, liked_above: float, seed: int) -> tuple[Aspect | None, str]:
    """The aspect for this log, or None with the reason why there is none.

    Half of the log's users, drawn at random, are for testing. A logistic regression on the other half, or on the
    market, predicts whether a response is liked from what came before it (``causal_features``); its AUC on the test
    half is the one value of the distribution, and the distance is the difference of two AUCs. No id goes into the
    seven weights, so that it does not matter that a log's market plays users of the test half too.

    Args:
        log: a trace.
        market: the other one.
        liked_above: rewards above it, on the scale of traces, are liked.
        seed: of the halves.
    """
    test_user = np.random.default_rng(seed).permutation(log.num_users) < log.num_users // 2
    real, made = (_examples(trace, liked_above) for trace in (log, market))
    test = test_user[real.user]
    for what, liked in (("test half of the log", real.liked[test]), ("other half of the log", real.liked[~test]),
                        ("market", made.liked)):
        if len(liked) == 0 or liked.all() or not liked.any():
            return None, f"all or none of the {what} is above {liked_above:g}, so that there is nothing to predict"

    def of(trace: Trace, weight: Ints) -> Distribution:
        examples = real if trace is log else made
        row = weight[examples.user] * (~test if trace is log else 1)
        if not row.any():  # a resample without a user of this half: nothing is learnt from it
            return Distribution(np.array([0.5]), np.ones(1))
        score = _scores(examples, row.astype(np.float64), real.features[test])
        return Distribution(np.array([roc_auc_score(real.liked[test], score)]), np.ones(1))

    return Aspect("next response", "AUC on the log's test users", of, ("AUC", lambda d: d.mean),
                  "difference of AUC", lambda a, b: abs(a.mean - b.mean), "bars"), ""


def causal_features(trace: Trace) -> Floats:
    """Features of each row from earlier rows, float64 ``[N, 6]``.

    Mean reward of the user and of the item so far (shrunk to the trace's mean while rows are few), log(1 + rows) of
    both, the user's last reward, and whether the user took the item before.
    """
    mean = float(trace.reward.mean())
    user_rows, user_sum, last = _before(trace.user, trace.reward, mean)
    item_rows, item_sum, _ = _before(trace.item, trace.reward, mean)
    return np.column_stack([
        (user_sum + _PRIOR_ROWS * mean) / (user_rows + _PRIOR_ROWS),
        (item_sum + _PRIOR_ROWS * mean) / (item_rows + _PRIOR_ROWS),
        np.log1p(user_rows), np.log1p(item_rows), last, trace.repeated])


def _before(group: Ints, reward: Floats, start: float) -> tuple[Floats, Floats, Floats]:
    """Rows, summed reward and latest reward of earlier rows of the same group, ``[N]`` each."""
    order = np.argsort(group, kind="stable")
    ordered, paid = group[order], reward[order]
    begins = np.r_[True, np.diff(ordered) != 0]
    first = np.flatnonzero(begins)[np.cumsum(begins) - 1]
    running = np.cumsum(paid) - paid
    found = np.empty((3, len(group)))
    found[:, order] = np.arange(len(group)) - first, running - running[first], np.where(begins, start, np.roll(paid, 1))
    return found[0], found[1], found[2]


def _examples(trace: Trace, liked_above: float) -> _Examples:
    return _Examples(causal_features(trace), trace.reward > liked_above, trace.user)


def _scores(examples: _Examples, weight: Floats, features: Floats) -> Floats:
    """Logits for features ``[N, F]`` by a model of the examples, of which row n counts ``weight[n]`` times."""
    used = weight > 0.0
    known, weight = examples.features[used], weight[used]
    scaler = StandardScaler().fit(known, sample_weight=weight)
    model = fit_logistic(scaler.transform(known), examples.liked[used], _RIDGE, weight / weight.sum())
    return model.logit(scaler.transform(features))
