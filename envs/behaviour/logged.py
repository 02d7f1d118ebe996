"""Logged behaviour: users respond to an item as the log says that they did."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.behaviour.base import Behaviour, implements
from interplay.envs.config import MarketConfig
from interplay.envs.data.answers import AnswerTables, factor_tables
from interplay.envs.data.factors import Factors, fit_factors
from interplay.envs.data.features import num_features
from interplay.envs.data.log import Ids, InteractionLog
from interplay.envs.data.population import CERTAIN, Vectors, float32, population_of
from interplay.envs.data.propensity import pair_weights, row_propensity
from interplay.envs.mechanisms.boosts import Boosts
from interplay.envs.population import Population
from interplay.envs.targets import Targets, inverse_propensity
from interplay.envs.types import InterplayError
from interplay.envs.world import State

Missing = Literal["mask", "impute", "zero"]
TargetsOf = Literal["actual", "replay", "imputed", "ips", "doubly-robust"]

WEIGHTED: tuple[TargetsOf, ...] = ("ips", "doubly-robust")
"""Targets that go by inverse propensities."""

_SENSIBLE: dict[Missing, tuple[TargetsOf, ...]] = {
    "mask": ("actual", "ips"), "zero": get_args(TargetsOf), "impute": ("actual", "replay", "ips", "doubly-robust")}

_EMBEDDING_SIZE = 16  # of markets whose vectors come from the low-rank model
_SLATE_SIZE = 5  # where the catalogue has as many items
_FOLDS = 4  # of cross-fitted guesses; each model has seen three quarters of the pairs


class LoggedBehaviour(Behaviour):
    """Responses are a log's rewards, scaled so that the ``reward_range`` of ``train`` becomes [0, 1].

    What agents can see comes from ``train`` alone: tastes and item vectors, appeal, popularity, segments. What
    they are paid comes from ``answers``. So a market that answers from the held-out part measures what agents
    have learnt about it, and shows them nothing of it.

    Features of users and items are the log's own, which no reward goes into, held out or not. Agents see them
    standardised (``standardised`` in ``envs/data/features.py``).

    With satiation, mood or wear-out switched on, the reward of a pair moves on the logit scale, starting from
    [0.01, 0.99]; where they add nothing it is the log's value exactly.

    Args:
        train: the part that agents may know.
        answers: the part that pays. ``train`` itself in the market that agents train in.
        config: the market's, best made by ``logged_market_config``.
        missing: what a pair without an answer is worth. ``"mask"`` = nothing, and it is never offered: users
            choose among what the log has of them. ``"zero"`` = nothing, though it may be offered. ``"impute"``
            = what a low-rank model of ``train`` predicts.
        targets: what learners learn that choices were worth (``envs/targets.py``); the market itself is played
            by responses. ``"actual"`` = the response. ``"replay"`` = the response, and nothing at all of pairs without
            an answer. ``"ips"`` = the same, weighted by inverse propensities of having one; their mean over the log's
            pairs is made 1, for a common scale would only change the step. ``"imputed"`` = what the model predicts
            where there is no answer. ``"doubly-robust"`` = the prediction of one that is fitted with these
            weights and without the pair (cross-fitted: Chernozhukov et al. 2018), corrected by what is known; the
            targets may lie far outside [0, 1], and are right in the mean alone: see ``huber_delta`` of ``dqn``.
        clip: highest inverse propensity.
        vectors: tastes and item vectors that were learnt elsewhere, from nothing but ``train``; None = those of the
            low-rank model. What missing pairs are worth does not depend on them.
        seed: of the model's start and the segments'.

    Raises:
        InterplayError: logs, vectors and config disagree on sizes, the rewards on the range, or targets with what is
            missing.
    """

    name: ClassVar[str] = "logged"
    same_items: ClassVar[bool] = True

    def __init__(self, train: InteractionLog, answers: InteractionLog, config: MarketConfig,
                 missing: Missing = "mask", *, targets: TargetsOf = "actual", clip: float = np.inf,
                 vectors: Vectors | None = None, seed: int = 0) -> None:
        if missing not in ("mask", "impute", "zero"):
            raise InterplayError(f"missing={missing!r} is not known: choose 'mask', 'impute' or 'zero'")
        _check_targets(targets, missing, config)
        _check_sizes(train, config)
        self._train, self._config = train, config
        self.missing, self.targets_of = missing, targets
        self.weights = pair_weights(answers, clip) if targets in WEIGHTED else None
        size = (config.embedding_size if vectors is None else _EMBEDDING_SIZE) - 1
        factors = fit_factors(self._train, size, seed=seed)
        own = Vectors(factors.user_vector, factors.item_vector, factors.item_bias) if vectors is None else vectors
        population = population_of(self._train, own, factors.mean, config, np.random.default_rng(seed))
        guesses = self._folds(size, clip, seed) if targets == "doubly-robust" else [factors]
        self._set_answers(answers, population, *factor_tables(guesses))

    def answering(self, answers: InteractionLog) -> LoggedBehaviour:
        """The same population, which now answers from another part of the log; learners get no targets from them."""
        other = copy.copy(self)
        other.targets_of, other.weights = "actual", None
        old = self._tables
        other._set_answers(answers, old.population, old.user_factor, old.item_factor)
        return other

    def description(self) -> str:
        """What pairs without an answer are worth, and what is learnt from, in a line."""
        said = f"missing pairs: {self.missing}; targets of learning: {self.targets_of}"
        if self.weights is None:
            return said
        w = self.weights
        return (f"{said}, with propensities {w.source}, weights of {w.weight.min():.3g} to {w.weight.max():.3g}, "
                f"{w.clipped:.1%} of them clipped, effective sample {w.effective:.0%}")

    @property
    def ids(self) -> dict[Literal["user", "item"], Ids]:
        """The log's own ids of users and items, by their number in the market."""
        return {"user": self._train.user_ids, "item": self._train.item_ids}

    def populate(self, key: Tensor) -> Population:
        """The log's people, the same in every world."""
        return self._on(key.device).population.expand(key.shape[0])

    @implements("log")
    def response(self, state: State, items: Tensor, shift: Tensor) -> Tensor:
        """The log's reward of each pair, moved by ``shift``."""
        tables = self._on(items.device)
        known, place = tables.look_up(items)
        rate = torch.where(known, tables.answer[place], 0.0)
        if self.missing == "impute":
            rate = torch.where(known, rate, tables.guess(items))
            known = torch.ones_like(known)
        return torch.where(known, _moved(rate, shift), rate)

    @property
    def has_targets(self) -> bool:
        """Whether learners get other targets than responses."""
        return self.targets_of != "actual"

    def targets(self, items: Tensor, took: Tensor, response: Tensor, shift: Tensor, bias: Tensor) -> Targets[Tensor]:
        """As the constructor's ``targets`` says."""
        tables = self._on(items.device)
        logged, place = (table.squeeze(2) for table in tables.look_up(items.unsqueeze(2)))
        known = Targets.known(response, logged | ~took)
        if self.targets_of == "replay":
            return known
        weight = torch.where(took, tables.weight[place], tables.skip_weight)
        if self.targets_of == "ips":
            return known.weighted(weight)
        guess = _moved(tables.guess(items.unsqueeze(2)).squeeze(2), shift) * bias
        return known.filled(guess) if self.targets_of == "imputed" else known.corrected(guess * took, weight)

    def candidates(self) -> tuple[Tensor, Tensor] | None:
        """The items that each user has an answer for, if all others are masked."""
        if self.missing != "mask":
            return None
        key, num_items = self._tables.key, self._config.num_items
        return key % num_items, torch.bincount(key // num_items, minlength=self._config.num_users)

    def _set_answers(self, answers: InteractionLog, population: Population, user_factor: Tensor,
                     item_factor: Tensor) -> None:
        if (answers.user_ids, answers.item_ids) != (self._train.user_ids, self._train.item_ids):
            raise InterplayError("train and answers number other users or items: make both with one split_log")
        pairs = replace(answers, reward_range=self._train.reward_range).pairs()
        answer = torch.from_numpy(self._train.scaled(pairs.reward))
        self._tables = AnswerTables(population, torch.from_numpy(pairs.key), answer, user_factor, item_factor,
                              *self._pair_weights(len(answer)))
        self._moved = {answer.device: self._tables}

    def _folds(self, size: int, clip: float, seed: int) -> list[Factors]:
        """Models of which each has not seen the pairs of its fold.

        A guess that knows whether its pair was logged is corrected by too little, for any propensities. And what
        is fitted with weights has less to be corrected.
        """
        log = self._train
        weight, fold = inverse_propensity(row_propensity(log), clip), (log.user + log.item) % _FOLDS
        parts = [fold != number for number in range(_FOLDS)]
        return [fit_factors(log.take(part, "of a fold"), size, seed=seed, weight=weight[part]) for part in parts]

    def _pair_weights(self, num_pairs: int) -> tuple[Tensor, Tensor]:
        """Weights of the pairs in targets, and of a skip."""
        if self.weights is None:
            return torch.ones(num_pairs), torch.ones(())
        # Doubly robust targets hold the weight in their value, where its scale matters.
        scale = self.weights.weight.mean() if self.targets_of == "ips" else 1.0
        return float32(self.weights.weight / scale), torch.tensor(1.0 / scale, dtype=torch.float32)

    def _on(self, device: torch.device) -> AnswerTables:
        """The tables on a device; copied there the first time that they are needed."""
        tables = self._moved.get(device)
        if tables is None:
            tables = self._tables.to(device)
            if type(tables.key) is Tensor:  # what a tracing mode gives has no values: not to be kept
                self._moved[device] = tables
        return tables


def logged_market_config(log: InteractionLog, **changes: Any) -> MarketConfig:
    """A market for a log: its sizes, rewards exactly as logged, and no mechanism that would change them.

    A unit of boost costs what no item gains by it, as ``boost_cost`` says: a log says nothing of what items paid.

    Args:
        log: the whole, or either part of it.
        changes: numbers of the config that should be others.

    Raises:
        InterplayError: an unknown number, or a value that it cannot have.
    """
    pairs = log.pairs()
    cost = boost_cost(*np.divmod(pairs.key, log.num_items), log.scaled(pairs.reward))
    values: dict[str, Any] = dict(
        **_sizes(log), slate_size=min(_SLATE_SIZE, log.num_items), embedding_size=_EMBEDDING_SIZE, num_segments=4,
        horizon=20, response_mode="mean", temperature=0.5, mechanisms=(Boosts(cost=cost),))
    return MarketConfig(**values).changed("logged_market_config", changes)


def boost_cost(user: NDArray[np.int64], item: NDArray[np.int64], reward: NDArray[np.floating]) -> float:
    """The price of a unit of boost at which it pays for no item alone, and so for none while others boost.

    It is the highest income that an item has in a step in which each user takes one of its rows at random. A boost by
    factor x multiplies that at most by x. Where it is cheaper, items that all boost shift nothing and pay.

    Args:
        user: int64 ``[N]``, of each row.
        item: int64 ``[N]``.
        reward: ``[N]``, of which [0, 1] is the scale.

    Returns:
        Two digits, rounded up, so that another processor's last bit does not make another market.
    """
    income = np.bincount(item, weights=reward / np.bincount(user)[user]).max(initial=0.0)
    if income == 0.0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(income)) - 1)
    return float(f"{math.ceil(income / unit) * unit:.2g}")


def _sizes(log: InteractionLog) -> dict[str, int]:
    """The numbers of a config that a log decides."""
    return {"num_users": log.num_users, "num_items": log.num_items, "num_topics": log.num_topics,
            "num_user_features": num_features(log.user_features),
            "num_item_features": num_features(log.item_features)}


def _check_targets(targets: TargetsOf, missing: Missing, config: MarketConfig) -> None:
    if targets not in get_args(TargetsOf):
        raise InterplayError(f"targets={targets!r} is not known: choose {', '.join(map(repr, get_args(TargetsOf)))}")
    if targets not in _SENSIBLE[missing]:
        why = ("what is offered has answers, all of it" if missing == "mask" else "responses are imputed already")
        raise InterplayError(f"targets={targets!r} with missing={missing!r}: {why}; choose "
                             f"{', '.join(map(repr, _SENSIBLE[missing]))}, or another missing")
    if targets != "actual" and config.team > 0.0:
        raise InterplayError(f"targets={targets!r} with team={config.team:g}: what all earn together has no target; "
                             "use team=0")


def _check_sizes(log: InteractionLog, config: MarketConfig) -> None:
    for name, found in _sizes(log).items():
        expected = getattr(config, name)
        if found != expected:
            raise InterplayError(f"{name}={expected}, but the log has {found}: make the config with "
                                 "logged_market_config(log)")


def _moved(rate: Tensor, shift: Tensor) -> Tensor:
    """Rates in [0, 1] moved on the logit scale; exactly as they were where ``shift`` is 0."""
    return torch.where(shift != 0.0, torch.sigmoid(torch.logit(rate, CERTAIN) + shift), rate)
