"""What agents see: features of themselves and of each option, masks, exact states, oracles' expectations."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from interplay.envs import kernels, view_dispatch
from interplay.envs.config import MarketConfig
from interplay.envs.constants import MarketConstants
from interplay.envs.counting import columns, num_levels
from interplay.envs.exact_states import exact_state, num_states
from interplay.envs.indexing import gather_rows
from interplay.envs.kernels.table_operators import joined, products
from interplay.envs.masks import boost_mask, slot_mask
from interplay.envs.platform_candidates import platform_candidates
from interplay.envs.population import Population
from interplay.envs.responding import response_rate
from interplay.envs.segment_means import segment_means
from interplay.envs.slates import log_boosts, num_candidates
from interplay.envs.types import FEATURE_BOUND, Catalogue, InterplayError, Observation, Side, SideSpec
from interplay.envs.world import Slate, State, View


def side_specs(config: MarketConfig) -> dict[Side, SideSpec]:
    """The shapes and names of both sides' observations."""
    dims = range(config.embedding_size)
    topics = tuple(f"topic_{g}" for g in range(config.num_topics))
    vector = tuple(f"vector_{d}" for d in dims)
    user_features, item_features = (tuple(f"feature_{n}" for n in range(count))
                                    for count in (config.num_user_features, config.num_item_features))
    remembered = ("taken", "response", "appeal", "mood_effect", *topics, *vector)
    knows, built_in = config.user_sees == "state", config.built_in
    self_knowledge = (*built_in.mood.user_columns(config), *built_in.satiation.user_columns(config),
                      *(f"taste_{d}" for d in dims)) if knows else ("active",)
    budget, of_items = built_in.budgets.item_columns(config), columns(config, "see_items")
    users = SideSpec(
        side="users", num_agents=config.num_users, num_options=config.slate_size, num_levels=1,
        own_features=(*self_knowledge, *user_features, *columns(config, "see_users")),
        option_features=("appeal", "mood_effect", *built_in.wearout.option_columns(config), *budget, "popularity",
                         "examination", *topics, *((f"match_{d}" for d in dims) if knows else vector), *item_features,
                         *of_items, *columns(config, "see_options")),
        num_states=num_states(config, "users"), num_ids=config.num_items,
        history_length=config.history_length,
        history_features=remembered if config.history_length > 0 else ())
    items = SideSpec(
        side="items", num_agents=config.num_items, num_options=config.num_segments,
        num_levels=num_levels(config),
        own_features=(*budget, "margin", "appeal", "mood_effect", *topics, *vector, *item_features, *of_items),
        option_features=("segment_share", "affinity", *built_in.wearout.segment_columns(config),
                         *built_in.boosts.segment_columns(config), *columns(config, "see_segments")),
        num_states=num_states(config, "items"), num_ids=config.num_segments, delayed=True)
    for spec in (users, items):
        _check_columns(spec)
    return {"users": users, "items": items}


def _check_columns(spec: SideSpec) -> None:
    """Check that no two columns have one name, by which agents and catalogues find them."""
    for names in (spec.own_features, spec.option_features):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InterplayError(f"mechanisms let {spec.side} see {names.count(twice)} columns called {twice!r}: let "
                                 "one call its own something else")


def catalogue_of(config: MarketConfig, spec: SideSpec, population: Population) -> Catalogue:
    """What options of users have from the items of this population, which all worlds have."""
    dims, topics, features = range(config.embedding_size), range(config.num_topics), range(config.num_item_features)
    vector = "match" if config.user_sees == "state" else "vector"
    names = ["appeal", "mood_effect", *(f"topic_{g}" for g in topics), *(f"{vector}_{d}" for d in dims),
             *(f"feature_{n}" for n in features)]
    # Other mechanisms may give users tastes beyond the bounds of what is seen, which a match depends on.
    held = [name for name in names if not (name.startswith("match") and config.further)]
    kept = [name for name in spec.option_features if name not in held]
    tastes = {f"match_{d}": spec.own_features.index(f"taste_{d}") for d in dims if vector == "match"}
    table = population.item_rows[0, :, 1:]  # all but the margin
    places = [[names.index(name) for name in held], [tastes.get(name, len(spec.own_features)) for name in held],
              [spec.option_features.index(name) for name in kept],
              [[*held, *kept].index(name) for name in spec.option_features]]
    columns, *others = (torch.tensor(each, dtype=torch.int64, device=table.device) for each in places)
    return Catalogue(table[:, columns], *others)


def platform_spec(constants: MarketConstants, users: SideSpec) -> SideSpec:
    """What a platform sees: what its users do, with all candidates in the place of a slate."""
    return replace(users, side="platform", num_options=num_candidates(constants), num_states=None)


def observe_platform(constants: MarketConstants, state: State, expected: bool) -> Observation:
    """The users' view of all candidates, each as if it stood in the first slot; see ``platform_spec``."""
    seen = observe_users(constants, replace(state, slate=platform_candidates(constants, state)), expected, ranked=False)
    return replace(seen, state=None)


def observe_all(constants: MarketConstants, state: State, users: Tensor) -> Observation:
    """The view of the users ``users``, int64 ``[N']``, of all items, each as if it stood in the first slot.

    Unlike ``observe_platform`` it leaves out no item that a user may not be offered, as logs may have it.
    """
    shown = state.of_users(users)
    items = torch.arange(constants.config.num_items, device=users.device).expand(*shown.active.shape, -1)
    slate = Slate(items, gather_rows(state.alive, items), torch.full_like(shown.slate.log_propensity, torch.nan))
    return replace(observe_users(constants, replace(shown, slate=slate), expected=False, ranked=False), state=None)


def observe_users(constants: MarketConstants, state: State, expected: bool, ranked: bool = True) -> Observation:
    """The users' side; see ``Observation`` for shapes and ``side_specs`` for the columns.

    Unless ``ranked``, every option counts as standing in the first slot.
    """
    items = state.slate.items
    slots = items.shape[2]
    rewards = None
    if expected:
        position = torch.arange(1, slots + 1, device=items.device) if ranked else torch.ones_like(items[0, 0])
        rate = response_rate(constants, state, items, position, constants.mechanisms.shift(state, items))
        rewards = constants.mechanisms.expected_user_reward(state, items, rate)
    seen = user_view(constants, state, ranked)
    exact = exact_state(constants, state, "users")
    history_ids = None if seen.history is None else state.taken
    return Observation(seen.own, seen.options, seen.mask, items, exact, seen.history, history_ids, rewards)


def user_view(constants: MarketConstants, state: State, ranked: bool = True) -> View:
    """What users see, without ids, exact states and expectations; see ``observe_users``."""
    if kernels.usable(state.key):
        seen = view_dispatch.see_users(constants, state, ranked)
    else:
        slots = state.slate.items.shape[2]
        examination = constants.examination[1:1 + slots] if ranked else constants.examination[1].expand(slots)
        seen = View(*_user_view(constants, state, examination))
    if not constants.mechanisms.are_none:
        seen = View(_with_columns(seen.own, constants.mechanisms.see("see_users", state.active.shape, state)),
                    _with_columns(seen.options, *_shown_options(constants, state)),
                    constants.mechanisms.user_mask(state, seen.mask))
    return seen if constants.config.history_length == 0 else replace(seen, history=_history(state))


def _with_columns(features: Tensor, *more: Tensor | None) -> Tensor:
    given = [columns for columns in more if columns is not None]
    return torch.cat([features, *given], dim=-1) if given else features


def _shown_options(constants: MarketConstants, state: State) -> list[Tensor | None]:
    """What mechanisms show of users' slots, float32 ``[B, U, K, F]`` each; an empty slot has no features."""
    items, valid = state.slate.items, state.slate.valid.unsqueeze(3)
    of_items = constants.mechanisms.see("see_items", state.alive.shape, state)
    shown = (None if of_items is None else gather_rows(of_items, items),
             constants.mechanisms.see("see_options", items.shape, state, items))
    return [None if each is None else each * valid for each in shown]


def _user_view(constants: MarketConstants, state: State, examination: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``Observation.own``, ``options`` and ``mask`` of users whose slots are examined so often, ``[K]``."""
    config, population, items, valid = constants.config, state.population, state.slate.items, state.slate.valid
    knows, built_in = config.user_sees == "state", constants.built_in
    self_knowledge = ([built_in.mood.see_users(state), built_in.satiation.see_users(state), state.user_vector]
                      if knows else [state.active.unsqueeze(2).to(torch.float32)])
    most = state.popularity.amax(1, keepdim=True).clamp(min=1.0)
    rows = population.item_rows
    parts = [rows[..., 1:3], built_in.wearout.see_options(state, items), built_in.budgets.see_items(state),
             (state.popularity / most).unsqueeze(2), examination.expand(items.shape).unsqueeze(3), rows[..., 3:]]
    options = joined(parts, FEATURE_BOUND, valid, items=items, by_item=(0, 2, 3, 5),  # an empty slot has no features
                     factor=state.user_vector.unsqueeze(2) if knows else None, at=6 + config.num_topics)
    own = joined([*self_knowledge, population.user_features], FEATURE_BOUND)
    return own, options, slot_mask(constants, state)


def observe_items(constants: MarketConstants, state: State, expected: bool) -> Observation:
    """The items' side; see ``Observation`` for shapes and ``side_specs`` for the columns."""
    config = constants.config
    match = affinity(constants, state)
    seen = _seen_by_items(constants, state, match)
    exact = exact_state(constants, state, "items")
    rewards = None
    if expected:
        rewards = constants.mechanisms.expected_profit(
            _expected_profit(constants, state, match, log_boosts(constants, state).transpose(1, 2),
                             state.population.segments(config.num_segments).size))
    return Observation(seen.own, seen.options, seen.mask, constants.segment_numbers.expand_as(match), exact,
                       expected=rewards)


def item_view(constants: MarketConstants, state: State) -> View:
    """What items see, without ids, exact states and expectations; see ``observe_items``."""
    return _seen_by_items(constants, state, affinity(constants, state))


def affinity(constants: MarketConstants, state: State) -> Tensor:
    """Products of items and segments' mean tastes, float32 ``[B, I, C]``."""
    return products(state.population.item_vector, segment_means(constants, state))


def _seen_by_items(constants: MarketConstants, state: State, match: Tensor) -> View:
    """What items see; ``match`` is their ``affinity``."""
    if kernels.usable(state.key):
        seen = view_dispatch.see_items(constants, state, match)
    else:
        share = state.population.segments(constants.config.num_segments).share
        seen = View(*_item_view(constants, state, share, match))
    if constants.mechanisms.are_none:
        return seen
    mechanisms, segments = constants.mechanisms, constants.segment_numbers.expand_as(match)
    return View(_with_columns(seen.own, mechanisms.see("see_items", state.alive.shape, state)),
                _with_columns(seen.options, mechanisms.see("see_segments", match.shape, state, segments)),
                mechanisms.item_mask(state, seen.mask))


def _item_view(constants: MarketConstants, state: State, share: Tensor,
               affinity: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``Observation.own``, ``options`` and ``mask`` of items.

    Args:
        constants: the market's.
        state: the worlds.
        share: float32 ``[B, C]``, part of the users in each segment.
        affinity: float32 ``[B, I, C]``, of items and segments' mean tastes.
    """
    built_in, segments = constants.built_in, constants.segment_numbers.expand_as(affinity)
    own = joined([built_in.budgets.see_items(state), state.population.item_rows], FEATURE_BOUND)
    # Not by see_segments, which stacks both columns: on a GPU another kernel.
    boosts = [column.unsqueeze(3) for column in built_in.boosts.own_and_rivals(state, affinity.shape[2])]
    options = joined([share.unsqueeze(1).expand_as(affinity).unsqueeze(3), affinity.unsqueeze(3),
                      built_in.wearout.see_segments(state, segments), *boosts], FEATURE_BOUND)
    return own, options, boost_mask(constants, state)


def _history(state: State) -> Tensor:
    """What users remember; see ``Observation``."""
    population, taken = state.population, (state.taken > 0).unsqueeze(3)
    items = (state.taken - 1).clamp(min=0)
    last = 3 + population.topics.shape[2] + population.item_vector.shape[2]
    seen = gather_rows(population.item_rows, items)[..., 1:last]
    return joined([taken.to(torch.float32), state.responses.unsqueeze(3), seen * taken], FEATURE_BOUND)


def _expected_profit(constants: MarketConstants, state: State, affinity: Tensor, boost: Tensor, size: Tensor) -> Tensor:
    """An item's profit in the next step for each of its actions, if no other agent changes its action.

    A segment is taken as ``|U_c|`` users of its mean taste that take one item each, with the share that the first
    slot gives it and the response of the sigmoid of its appeal and wear-out. With one slot, one segment and users
    that take it this is exact, and greedy items play myopic best responses of a Tullock contest.

    Returns:
        float32 ``[B, I, 1 + C * L]``.
    """
    config, population, by_level = constants.config, state.population, constants.built_in.boosts.by_level
    strength = (affinity / config.temperature).exp() * state.alive.unsqueeze(2)
    served = strength * boost.exp()
    others = served.sum(1, keepdim=True) - served
    mine = strength.unsqueeze(3) * by_level.factor
    rate = torch.sigmoid(population.appeal.unsqueeze(2) - constants.built_in.wearout.weight * state["wearout"])
    worth = population.margin.unsqueeze(2) * rate * size.unsqueeze(1)
    income = worth.unsqueeze(3) * mine / (mine + others.unsqueeze(3)).clamp(min=1e-9)
    resting = income[..., 0].sum(2, keepdim=True)
    boosting = resting.unsqueeze(3) + income[..., 1:] - income[..., :1] - by_level.cost[1:]
    return torch.cat([resting, boosting.flatten(2)], dim=2)
