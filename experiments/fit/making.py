"""A preset of what was fitted."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from interplay.envs.behaviour.fitted import FittedTables
from interplay.envs.behaviour.logged import boost_cost
from interplay.envs.config import MarketConfig
from interplay.envs.data import InteractionLog
from interplay.envs.data.features import standardised
from interplay.envs.data.population import segments_of
from interplay.envs.mechanisms import Mechanism
from interplay.envs.mechanisms.boosts import Boosts
from interplay.envs.mechanisms.mood import Mood
from interplay.envs.mechanisms.repeats import Repeats
from interplay.envs.mechanisms.satiation import Satiation
from interplay.envs.mechanisms.visits import Visits as VisitsMechanism
from interplay.envs.presets import Training
from interplay.envs.presets.folders import FittedPreset, fitted_preset
from interplay.experiments.fit.responding import Responses
from interplay.experiments.fit.rows import Ints, Rows
from interplay.experiments.fit.taking import Takes
from interplay.experiments.fit.visiting import Visits, sessions_of

_SLATE_SIZE = 5  # where the catalogue has as many items
_NUM_USERS, _NUM_SEGMENTS, _HORIZON = 64, 4, 100  # at most, unless asked for otherwise
_SPARE = 1.2  # for users who are away more often than others


def make_tables(log: InteractionLog, rows: Rows, takes: Takes, responses: Responses) -> FittedTables:
    """People and items as the market has them.

    The product of vectors is the score by which slates are drawn, but for a constant of each user. The response is a
    weighted product, which leaves out the parts of the vectors that say nothing of it.
    """
    order = np.argsort(rows.lifetimes, kind="stable")
    user, item, weight = _vectors(takes, responses)
    by_activity = torch.from_numpy(order)
    rng = np.random.default_rng(0)
    user = user[by_activity]
    return FittedTables(
        people=torch.from_numpy(rows.people[order]), user_vector=user,
        segment=torch.from_numpy(segments_of(user.double().numpy(), _NUM_SEGMENTS, rng)),
        user_features=_features(log.user_features, rows.people[order]), item_vector=item,
        appeal=responses.item_bias, mood_effect=_mood_effect(responses), topics=topics_of(log),
        popularity=torch.from_numpy(np.bincount(rows.item, minlength=rows.num_items)).float(),
        item_features=_features(log.item_features, np.arange(log.num_items)), preference_weight=weight,
        levels=torch.from_numpy(responses.levels).float(), cuts=responses.cuts)


def _mood_effect(responses: Responses) -> Tensor:
    """The effect of each item as a part of the largest one, float32 ``[I]``."""
    effect = responses.carry.item_effect(len(responses.item_bias))
    return effect / effect.abs().max().clamp(min=1e-9)


def topics_of(log: InteractionLog) -> Tensor:
    """Float32 ``[I, G]``; one topic where the log knows none."""
    return torch.ones(log.num_items, 1) if log.item_topics is None else torch.from_numpy(log.item_topics).float()


def _vectors(takes: Takes, responses: Responses) -> tuple[Tensor, Tensor, Tensor]:
    """Vectors of users ``[U, D]`` and items ``[I, D]``, and the weight of each column in responses, ``[D]``."""
    users, items = len(responses.user_bias), len(responses.item_bias)
    gamma = takes.gamma
    parts = [(*_balanced(takes.user_factor, takes.item_factor), 0.0), (takes.liking, takes.topics, 0.0),
             (takes.user_response * gamma.sqrt(), takes.item_response * gamma.sqrt(), 1.0 / float(gamma)),
             (torch.ones(users, 1), takes.popularity.unsqueeze(1), 0.0),
             (responses.user_bias.unsqueeze(1), torch.ones(items, 1), 1.0)]
    weight = torch.cat([torch.full((of_users.shape[1],), value) for of_users, _, value in parts])
    return torch.cat([part[0] for part in parts], 1), torch.cat([part[1] for part in parts], 1), weight


def _balanced(users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """Factors with the same product, whose columns are as large for users as for items."""
    scale = ((items.square().mean(0) + 1e-9) / (users.square().mean(0) + 1e-9)) ** 0.25
    return users * scale, items / scale


def _features(values: np.ndarray | None, rows: Ints) -> Tensor:
    return torch.zeros(len(rows), 0) if values is None else torch.from_numpy(standardised(values)[rows]).float()


def make_preset(name: str, tables: FittedTables, rows: Rows, responses: Responses, rate: float,
                visits: Visits) -> FittedPreset:
    """The market of these tables, and how to train there."""
    users = min(_NUM_USERS, rows.num_users)
    cost = boost_cost(rows.user, rows.item, rows.reward * users / rows.num_users)
    mechanisms: list[Mechanism] = [Boosts(cost=cost), _visits(responses, visits), *_carrying(responses)]
    if rate != 1.0:
        mechanisms.append(Repeats(rate))
    config = MarketConfig(
        num_users=users, num_items=rows.num_items, slate_size=min(_SLATE_SIZE, rows.num_items),
        embedding_size=tables.item_vector.shape[1], num_topics=tables.topics.shape[1], num_segments=_NUM_SEGMENTS,
        num_user_features=tables.user_features.shape[1], num_item_features=tables.item_features.shape[1],
        position_bias=float(responses.position_bias), horizon=min(_HORIZON, longest(rows, visits)),
        mechanisms=tuple(mechanisms))
    training = Training(num_worlds=4, episodes=40, eval_worlds=16, discount=0.9,
                        options={"q-learning": {"shared": True, "num_clusters": 2}})
    summary = f"fitted to {rows.num_users:,} users, {rows.num_items:,} items and {len(rows):,} rows of a log"
    return fitted_preset(name, config, tables, training, summary, longest(rows, visits))


def _visits(responses: Responses, visits: Visits) -> VisitsMechanism:
    """Who is there when; where users leave by mood, the hazard of a session's length is what is left of it."""
    carry = responses.carry
    if not carry.leaves:
        return VisitsMechanism(visits.steps(), visits.hazard(), visits.return_rate)
    unit = _largest_effect(responses)
    return VisitsMechanism(visits.steps(), tuple(torch.sigmoid(carry.raw_hazard).tolist()), visits.return_rate,
                           mood_slope=float(carry.slope) * unit, lowest_mood=float(carry.bound) / unit)


def _largest_effect(responses: Responses) -> float:
    """Of an item on the mood, on the logit scale: the weight of a mood that is counted in it."""
    return float(responses.carry.item_effect(len(responses.item_bias)).abs().max())


def _carrying(responses: Responses) -> list[Mechanism]:
    """Mood and satiation, where there are such.

    Satiation does not reach its bound, since responses are at most 1; nor does a mood that makes no user leave.
    """
    found: list[Mechanism] = []
    carry = responses.carry
    if carry.has_mood:
        unit, decay = _largest_effect(responses), float(carry.mood_decay)
        found.append(Mood(unit, decay, float(carry.bound) / unit if carry.leaves else 1.0 / (1.0 - decay)))
    if carry.has_satiation:
        decay = float(carry.satiation_decay)
        found.append(Satiation(float(carry.satiation), decay, 1.0, float(carry.recovery), max=1.0 / (1.0 - decay)))
    return found


def longest(rows: Rows, visits: Visits) -> int:
    """Steps after which the most active user has taken all that it will, time away included."""
    away = float(sessions_of(rows)[1].sum()) / visits.return_rate / len(rows)  # steps for each row
    return int(_SPARE * max(visits.steps()) * (1.0 + away)) + 20
