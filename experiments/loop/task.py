"""From settings to markets: one to train in, one to evaluate in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, NamedTuple

import numpy as np
import torch

from interplay.envs.behaviour.logged import LoggedBehaviour, logged_market_config
from interplay.envs.config import MarketConfig
from interplay.envs.data import InteractionLog
from interplay.envs.data.propensity import thinned
from interplay.envs.market import Market
from interplay.envs.presets import Training, find_preset
from interplay.envs.types import Side
from interplay.experiments.common.logs import Parts, logged_parts
from interplay.experiments.common.options import parse_pairs, split_agent
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.loop.players import PLACKETT_LUCE
from interplay.experiments.representation.fitting import Fitted
from interplay.experiments.representation.pretrained import encoder_of

LOGGED_TRAINING = Training(num_worlds=1, episodes=60, eval_worlds=8, discount=0.9, user_discount=0.0,
                           others="q-learning",
                           # With many clusters an item that boosts would move to those of items that earn more anyway.
                           options={"q-learning": {"shared": True, "num_clusters": 2}})
"""Recommended training on a log: one world already holds hundreds of agents.

What users take changes nothing that they can earn later, so that a discount above 0 would add noise alone: dqn then
skips where it should not. Where a mechanism is added that carries over, users have the discount of the others.
"""

_CPU = torch.device("cpu")


class Task(NamedTuple):
    """What a run plays.

    Attributes:
        name: of the preset, or of the log.
        market: for training.
        held_out: for evaluation; the same market, except that a log answers from its held-out part.
        training: the preset's recommendation with the settings' own numbers in place.
        summary: lines on what was read; empty for presets.
        rewards: what a log's missing pairs are worth and what is learnt from, in a line; empty for presets.
        parts: of the log; None for presets.
        pretrained: the towers that a log's vectors come from, if any.
        folds: markets for training that take turns in place of ``market``; () = there are none.
    """

    name: str
    market: Market
    held_out: Market
    training: Training
    summary: str
    rewards: str = ""
    parts: Parts | None = None
    pretrained: Fitted | None = None
    folds: tuple[Market, ...] = ()

    def market_of(self, episode: int) -> Market:
        """The market in which agents train in this episode."""
        return self.folds[episode % len(self.folds)] if self.folds else self.market

    @property
    def compared(self) -> Side:
        """The side whose agents the market compares: of users and items."""
        return "items" if self.training.side == "items" else "users"

    @property
    def fingerprint(self) -> str:
        """Changes whenever the market's rules or people do: a checkpoint fits only the market it was made in."""
        people = self.market.reset([0]).population
        digest = hashlib.sha256(repr(self.market.config).encode())
        for tensor in people.state_dict().values():
            # Rounded, so that another processor's last bit does not make another market.
            rounded = np.round(tensor.double().cpu().numpy(), 3) + 0.0
            digest.update(np.ascontiguousarray(rounded).tobytes())
        return digest.hexdigest()[:16]


def recommended(settings: TrainSettings, device: torch.device | None = None) -> Training:
    """The training that the market recommends.

    Args:
        settings: name the market.
        device: where it is played, unless the settings say whose sizes the run has; None = on a CPU.

    Raises:
        InterplayError: an unknown preset.
    """
    training = LOGGED_TRAINING if settings.log is not None else find_preset(settings.preset).training
    return training.on(torch.device(settings.sizes_of or (device or _CPU).type))


def with_agents(settings: TrainSettings) -> TrainSettings:
    """The settings with an agent for each side: where none is named, DQN plays the side that the market compares.

    What is named as NAME,OPTION=VALUE becomes a name and options.
    """
    training = recommended(settings)
    default: dict[str, str] = {"users": training.others, "items": training.others, "platform": PLACKETT_LUCE}
    if training.side == "platform":
        default |= {"items": "rest", "platform": "slateq"}
    else:
        default[training.side] = "dqn"
    users, user_option = split_agent(_named(settings.users, default["users"]))
    items, item_option = split_agent(_named(settings.items, default["items"]))
    platform, platform_option = split_agent(_named(settings.platform, default["platform"]))
    return replace(settings, users=users, items=items, platform=platform,
                   user_option=user_option + settings.user_option, item_option=item_option + settings.item_option,
                   platform_option=platform_option + settings.platform_option)


def _named(name: str | None, default: str) -> str:
    return default if name is None else name


def make_task(settings: TrainSettings, device: torch.device) -> Task:
    """Build the markets.

    Raises:
        InterplayError: the fault of the preset, the log or the numbers.
    """
    settings.check()
    changes = parse_pairs(settings.market, "--market")
    if settings.log is not None:
        return _logged_game(settings, device, {"mechanisms": settings.mechanism} | changes)
    preset = find_preset(settings.preset)
    market = preset.market(device, **({"mechanisms": settings.mechanism} | changes))
    return Task(preset.name, market, market, training_of(settings, device), "")


def name_of(settings: TrainSettings) -> str:
    """What reports call the market of a log: another one where other vectors decide on slates."""
    assert settings.log is not None
    log = settings.log.resolve().stem
    return log if settings.encoder is None else f"{log}+{settings.encoder.resolve().name}"


def _logged_game(settings: TrainSettings, device: torch.device, changes: dict[str, object]) -> Task:
    parts = logged_parts(settings, settings.seed)
    log, train, test, summary = parts
    fitted, note = _pretrained(settings, train)
    vectors = None if fitted is None else fitted.vectors()
    sizes = {} if vectors is None else {"embedding_size": vectors.embedding_size}
    config = logged_market_config(log, **(sizes | changes))
    train = thinned(train, log)
    clip = np.inf if settings.clip_weights is None else settings.clip_weights
    kind = LoggedBehaviour if settings.cross_fit is None else _CrossFitted
    behaviour = kind(train, train, config, settings.missing, targets=settings.targets, clip=clip, vectors=vectors,
                     seed=settings.seed)
    held_out = behaviour.answering(test)
    name = name_of(settings)
    training = _users_plan(training_of(settings, device), config)
    return Task(name, Market(config, behaviour, device, name), Market(config, held_out, device, name), training,
                f"{summary}{note}\n{behaviour.description()}", behaviour.description(), parts, fitted,
                tuple(Market(config, fold, device, name) for fold in _folds(train, config, settings)))


class _CrossFitted(LoggedBehaviour):
    """A log of which parts take turns to pay: each time agents see other features of the same items."""

    same_items: ClassVar[bool] = False


def _folds(train: InteractionLog, config: MarketConfig, settings: TrainSettings) -> Iterator[LoggedBehaviour]:
    """Behaviours that answer from one part of the training pairs each, and know the others."""
    count = settings.cross_fit
    if count is None:
        return
    key, pair = np.unique(train.pair_key, return_inverse=True)
    fold = (np.random.default_rng(settings.seed).permutation(len(key)) % count)[pair]
    for number in range(count):
        known, paying = train.take(fold != number, "of the fold"), train.take(fold == number, "of other folds")
        yield _CrossFitted(known, known, config, seed=settings.seed).answering(paying)


def _users_plan(training: Training, config: MarketConfig) -> Training:
    """The training, in which users look ahead if anything carries over."""
    carries_over = any(mechanism.carries_over for mechanism in config.mechanisms)
    return replace(training, user_discount=None) if carries_over else training


def _pretrained(settings: TrainSettings, train: InteractionLog) -> tuple[Fitted | None, str]:
    """The towers that the settings name, and a line about them."""
    if settings.encoder is None:
        return None, ""
    saved = encoder_of(settings, train)
    shape = saved.model.shape
    return saved.on(train), (f"\nvectors    from {saved.folder} ({saved.settings.task}, {shape.encoder}): {shape.size} "
                             "numbers and a bias")


def training_of(settings: TrainSettings, device: torch.device) -> Training:
    """What is recommended, with the settings' own numbers in place."""
    own = {name: getattr(settings, name) for name in ("num_worlds", "episodes", "eval_worlds", "discount")}
    own |= {} if settings.discount is None else {"user_discount": settings.discount}
    return replace(recommended(settings, device), **{name: value for name, value in own.items() if value is not None})
