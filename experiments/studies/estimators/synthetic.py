"""A bandit with a known truth, to judge estimators by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from interplay.envs.types import InterplayError
from interplay.experiments.common.progress import each
from interplay.experiments.offpolicy.evaluation import Evaluation, evaluate_policy
from interplay.experiments.offpolicy.feedback import BanditFeedback, Floats
from interplay.experiments.studies.estimators.accuracy import Accuracy, accuracies

_CONTEXTS_OF_TRUTH = 400_000  # the target's value is their mean: its standard error is below 0.001 of itself


@dataclass(frozen=True)
class SyntheticBandit:
    """Clicks with probability ``sigmoid(theta_a . x + b_a - 1)`` on contexts ``x ~ N(0, I)``.

    theta_a . x and b_a both have variance 1 over actions. The logging policy is the softmax of the logits of a noisy
    model, whose theta and b carry noise as large as they are themselves (and have variance 1 with it), divided by the
    temperature. The target is the softmax of the true logits, divided by it too. So the logger is skewed, towards what
    it wrongly holds to be good.
    """

    num_actions: int = 30
    """A."""
    num_features: int = 5
    """F, features of a context."""
    noise: float = 1.0
    """Standard deviation of the logging policy's error, in units of theta's and b's own."""
    temperature: float = 1.0
    """Of both policies; smaller means greedier, and less overlap."""
    seed: int = 0
    """Of theta, b and the noise on them."""

    def __post_init__(self) -> None:
        if self.num_actions < 2 or self.num_features < 1 or not self.noise >= 0.0 or not self.temperature > 0.0:
            raise InterplayError(f"num_actions={self.num_actions}, num_features={self.num_features}, noise={self.noise}"
                                 f", temperature={self.temperature}: give at least 2 actions and 1 feature, a noise of "
                                 "at least 0 and a temperature above 0")

    def rates(self, context: Floats) -> Floats:
        """Click probabilities ``[N, A]`` of all actions in contexts ``[N, F]``."""
        rate: Floats = expit(self._logits(context, 0.0) - 1.0)
        return rate

    def logger(self, context: Floats) -> Floats:
        """The logging policy, ``[N, A]``."""
        return self._policy(context, self.noise)

    def target(self, context: Floats) -> Floats:
        """The target policy, ``[N, A]``."""
        return self._policy(context, 0.0)

    def truth(self, policy: Callable[[Floats], Floats] | None = None) -> float:
        """A policy's expected reward, over fresh contexts and exact in all else; None = that of the target."""
        policy = self.target if policy is None else policy
        context = np.random.default_rng([self.seed, 1]).normal(size=(_CONTEXTS_OF_TRUTH, self.num_features))
        parts = np.array_split(context, 40)
        return float(np.concatenate([(policy(part) * self.rates(part)).sum(1) for part in parts]).mean())

    def log(self, rounds: int, repeat: int) -> BanditFeedback:
        """What the logging policy did in ``rounds`` rounds; another log for each ``repeat``."""
        rng = np.random.default_rng([self.seed, 2, repeat])
        context = rng.normal(size=(rounds, self.num_features))
        policy = self.logger(context)
        # What each round draws is where a uniform number falls among the running sums.
        action = (policy.cumsum(1)[:, :-1] < rng.random((rounds, 1))).sum(1)
        taken = (np.arange(rounds), action)
        reward = (rng.random(rounds) < self.rates(context)[taken]).astype(np.float64)
        return BanditFeedback(context, action, reward, policy[taken], self.num_actions)

    def _policy(self, context: Floats, noise: float) -> Floats:
        policy: Floats = softmax(self._logits(context, noise) / self.temperature, axis=1)
        return policy

    def _logits(self, context: Floats, noise: float) -> Floats:
        rng = np.random.default_rng([self.seed, 0])
        shape = (2, self.num_features + 1, self.num_actions)
        own, error = rng.normal(size=shape)
        believed = (own + noise * error) / np.hypot(1.0, noise)
        theta, effect = np.split(believed, [self.num_features])
        logits: Floats = context @ theta / np.sqrt(self.num_features) + effect
        return logits


def judge(bandit: SyntheticBandit, rounds: int = 10_000, repeats: int = 100, folds: int = 3) -> list[Accuracy]:
    """How every estimator does over ``repeats`` logs.

    Raises:
        InterplayError: there are no repeats, or fewer rounds than folds.
    """
    if repeats < 1 or rounds < 1:
        raise InterplayError(f"repeats={repeats} and rounds={rounds} must be at least 1")
    truth = bandit.truth()
    return accuracies(_evaluations(bandit, rounds, repeats, folds), truth)


def _evaluations(bandit: SyntheticBandit, rounds: int, repeats: int, folds: int) -> Iterator[list[Evaluation]]:
    for repeat in each(range(repeats), "logs"):
        log = bandit.log(rounds, repeat)
        yield evaluate_policy(log, bandit.target(log.context), folds, seed=repeat)
