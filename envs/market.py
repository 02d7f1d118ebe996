"""The attention market: the whole game on tensors ``[B, U, ...]`` and ``[B, I, ...]``.

A market holds no state of its own: ``reset`` and ``step`` take a ``State`` and give a new one. So a state that
was saved resumes exactly, and world k of a batch is the same world when it runs alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Self, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs import dispatch
from interplay.envs.arguments import as_device, as_worlds, check_indices, check_tensor
from interplay.envs.behaviour.base import Behaviour
from interplay.envs.checking import as_integer, check_arguments, check_value
from interplay.envs.config import MarketConfig
from interplay.envs.constants import MarketConstants
from interplay.envs.mechanisms.base import Start
from interplay.envs.noise import check_draws, world_key
from interplay.envs.observing import (
    catalogue_of,
    observe_all,
    observe_items,
    observe_platform,
    observe_users,
    platform_spec,
    side_specs,
)
from interplay.envs.platform_candidates import filled, has_first_stage, platform_candidates
from interplay.envs.population import Population
from interplay.envs.responding import state_shift
from interplay.envs.rewards import account, rewarded
from interplay.envs.slates import build_slates, draws_of_slates
from interplay.envs.state_update import move
from interplay.envs.targets import Targets
from interplay.envs.threads import on_own_threads
from interplay.envs.types import InterplayError, Observation, Side, SideSpec
from interplay.envs.user_choice import respond, settle
from interplay.envs.world import Slate, State, Step

Actions = Tensor | NDArray[np.int64]


def _vectors(market: Market, state: State, *_others: object, **_options: object) -> int:
    """Numbers of all users' and items' vectors, by which ``on_own_threads`` knows a large batch."""
    return state.key.shape[0] * market.num_vector_numbers


def _left_to_torch(market: Market, state: State, *actions: object, **options: object) -> int:
    """The same of a step: none where loops do all of it but for small tables, and for drift, which has its own."""
    by_loops = market.constants.lists is None and dispatch.loops_do(market.constants, state)
    return 0 if by_loops else _vectors(market, state)


class Market:
    """Users and items meet in ``B`` worlds at once.

    Args:
        config: sizes and mechanisms.
        behaviour: the population and how users respond.
        device: where all tensors live.
        name: what pictures call it.

    Attributes:
        constants: what the parts of a step read, for callers of one part alone.
    """

    def __init__(self, config: MarketConfig, behaviour: Behaviour, device: torch.device | str = "cpu",
                 name: str = "market") -> None:
        check_arguments(Market.__init__, config=config, behaviour=behaviour, name=name)
        self.name = name
        self.config = config
        self.behaviour = behaviour
        self.device = as_device(device)
        self.specs = side_specs(config)  # first, since it rejects states that are too many to be numbered
        self.constants = MarketConstants.make(config, behaviour, self.device)
        if behaviour.same_items:
            population = behaviour.populate(world_key(0, torch.zeros(1, dtype=torch.int64, device=self.device)))
            self.specs["users"] = replace(self.specs["users"],
                                          catalogue=catalogue_of(config, self.specs["users"], population))
        self.platform_spec = platform_spec(self.constants, self.specs["users"])
        if behaviour.has_targets and self.constants.mechanisms.have("user_reward"):
            raise InterplayError(f"behaviour {behaviour.name!r} has targets for responses alone, but a mechanism adds "
                                 "to users' rewards: use targets='actual', or leave that mechanism out")
        self._check_noise()

    @on_own_threads()
    def reset(self, worlds: Tensor | list[int] | range, seed: int | Sequence[int] = 0) -> State:
        """The worlds with these numbers under ``seed``, at time 0, with their first slates.

        Args:
            worlds: int64 ``[B]``; a world's noise depends on its own number and the seed alone.
            seed: not negative; with several, there are worlds of all these numbers under each, in this order.

        Raises:
            InterplayError: no worlds, or a number of a world or a seed that ``noise.world_key`` rejects.
        """
        c = self.config
        key = _keys(as_worlds(worlds, self.device), seed)
        population = self.behaviour.populate(key)
        self._check_population(population, len(key))
        users, items = (len(key), c.num_users), (len(key), c.num_items)
        user_tables, item_tables = self.constants.mechanisms.tables(Start(key, population, c))
        nothing = torch.zeros(*users, 0, device=self.device)
        state = State(
            key=key,
            time=torch.zeros(len(key), dtype=torch.int32, device=self.device),
            population=population,
            user_vector=population.user_vector,
            active=torch.ones(users, dtype=torch.bool, device=self.device),
            alive=torch.ones(items, dtype=torch.bool, device=self.device),
            popularity=population.popularity,
            taken=torch.zeros(*users, c.history_length, dtype=torch.int64, device=self.device),
            responses=torch.zeros(*users, c.history_length, device=self.device),
            slate=Slate(nothing.long(), nothing.bool(), nothing.sum(2)),
            user_tables=user_tables,
            item_tables=item_tables,
        )
        return self._update_slates(state)

    @on_own_threads(_left_to_torch)
    def step(self, state: State, user_action: Tensor, item_action: Tensor) -> tuple[State, Step]:
        """Both sides move at once; the world goes on by one step.

        Args:
            state: the worlds.
            user_action: int64 ``[B, U]``: 0 = skip, k = the item in slot k.
            item_action: int64 ``[B, I]``: 0 = rest, ``1 + c * L + l`` = the l-th level for segment c, where boosts
                are the first levels and those of mechanisms follow; it matters to users in the next step.

        Returns:
            The new state and what happened.

        Raises:
            InterplayError: the actions are not int64 tensors of these shapes.
        """
        _check_state(state, self.config)
        worlds, device = state.key.shape[0], state.key.device
        check_tensor("user_action", user_action, (worlds, self.config.num_users), torch.int64, device)
        check_tensor("item_action", item_action, (worlds, self.config.num_items), torch.int64, device)
        return self.advance(state, user_action, item_action)

    def advance(self, state: State, user_action: Actions, item_action: Actions) -> tuple[State, Step]:
        """``step`` without its checks, for callers on the market's own threads; numpy arrays will do for actions."""
        if dispatch.plays_at_once(self.constants, state):
            after, step = dispatch.play(self.constants, state, user_action, item_action, settle)
            after = self._update_slates(after)
            return after, rewarded(self.constants, state, after, step, None)
        user_action, item_action = (torch.as_tensor(each, device=self.device) for each in (user_action, item_action))
        choice = respond(self.constants, state, user_action)
        after, item_outcome, outcome = move(self.constants, state, choice, item_action)
        after = self._update_slates(after)
        return after, account(self.constants, state, after, choice, item_outcome, outcome)

    @overload
    def observe(self, state: State, side: None = None, expected: bool = False) -> tuple[Observation, Observation]: ...
    @overload
    def observe(self, state: State, side: Side, expected: bool = False) -> Observation: ...

    @on_own_threads(_vectors)
    def observe(self, state: State, side: Side | None = None,
                expected: bool = False) -> Observation | tuple[Observation, Observation]:
        """What users and items see, or what one side sees.

        Args:
            state: of the worlds.
            side: that sees; None = users and items.
            expected: adds the expected rewards that only oracle baselines may know.
        """
        check_arguments(Market.observe, side=side, expected=expected)
        _check_state(state, self.config)
        if side is None:
            return self.observe(state, "users", expected), self.observe(state, "items", expected)
        build = {"users": observe_users, "items": observe_items, "platform": observe_platform}[side]
        return build(self.constants, state, expected)

    @on_own_threads(_vectors)
    def observe_all(self, state: State, users: Tensor) -> Observation:
        """What the users ``users``, int64 ``[N']``, would see of the whole catalogue: ``[B, N', I, ...]``."""
        _check_state(state, self.config)
        check_arguments(Market.observe_all, users=users)
        check_tensor("users", users, (users.numel(),), torch.int64, state.active.device)
        check_indices("users", users, self.config.num_users)
        return observe_all(self.constants, state, users)

    @on_own_threads(_vectors)
    def targets(self, state: State, step: Step) -> Targets[Tensor] | None:
        """What the choices made in ``state`` were worth, ``[B, U]``, to learners; None = what users were paid."""
        if not self.behaviour.has_targets:
            return None
        items = step.chosen.unsqueeze(2)
        shift = state_shift(self.constants, state, items, self.constants.mechanisms.shift(state, items)).squeeze(2)
        return self.behaviour.targets(step.chosen, step.position > 0, step.response, shift,
                                      self.constants.examination[step.position])

    @on_own_threads(_vectors)
    def offer(self, state: State, slots: Tensor, log_propensity: Tensor | None = None) -> State:
        """The worlds with slates that a platform filled, in place of the market's own.

        Args:
            state: the worlds, of which the platform saw ``observe(state, "platform")``.
            slots: int64 ``[B, U, K]``, the candidate in each slot, from 1; 0 leaves it empty, and so does a candidate
                that may not be shown or stands in an earlier slot.
            log_propensity: float32 ``[B, U]``, log-probability of these slots; None where the platform does not know.
                It does not count where the candidates are themselves drawn (``num_candidates``).
        """
        _check_state(state, self.config)
        check_tensor("slots", slots, state.slate.items.shape, torch.int64, state.active.device)
        if log_propensity is not None:
            check_tensor("log_propensity", log_propensity, state.active.shape, torch.float32, state.active.device)
        slate = filled(platform_candidates(self.constants, state), slots)
        if log_propensity is not None and not has_first_stage(self.constants):
            slate = replace(slate, log_propensity=log_propensity)
        return replace(state, slate=slate)

    def compiled(self) -> Self:
        """The same market with steps and observations that ``torch.compile`` generates code for: made for a GPU.

        The first calls take minutes. Worlds stay equal up to rounding. On a CPU, the market with numba is faster.
        """
        made = copy(self)
        for name in ("step", "observe", "observe_all", "offer"):
            setattr(made, name, torch.compile(getattr(self, name), dynamic=False))
        return made

    @property
    def num_vector_numbers(self) -> int:
        """Numbers of the vectors of one world's users and items."""
        return (self.config.num_users + self.config.num_items) * self.config.embedding_size

    def spec_of(self, side: Side) -> SideSpec:
        """Shapes of what ``observe`` gives of a side."""
        check_value("side", side, Side)
        return self.platform_spec if side == "platform" else self.specs[side]

    def boosts(self, state: State) -> Tensor:
        """Factor of each item's boost that the current slates were built with, float32 ``[B, I]``; 1 = rest."""
        _check_state(state, self.config)
        return self.constants.built_in.boosts.by_level.factor[state["boost_level"]]

    def _update_slates(self, state: State) -> State:
        return state.with_slate(build_slates(self.constants, state))

    def _check_noise(self) -> None:
        """Check that no step asks for more draws than differ; a platform's own, which few markets have, come later."""
        c = self.config
        check_draws("slates", draws_of_slates(self.constants))
        check_draws("drift of tastes", 2 * c.num_users * c.embedding_size if c.built_in.drift.noise > 0.0 else 0)
        for side, spec in self.specs.items():
            check_draws(f"actions of {side}", spec.num_agents * spec.num_actions)

    def _check_population(self, population: Population, num_worlds: int) -> None:
        """A behaviour of somebody else's may disagree with the config: say so at once."""
        c = self.config
        expected = {"user_vector": (c.num_users, c.embedding_size), "segment": (c.num_users,),
                    "item_vector": (c.num_items, c.embedding_size), "appeal": (c.num_items,),
                    "topics": (c.num_items, c.num_topics), "mood_effect": (c.num_items,),
                    "margin": (c.num_items,), "popularity": (c.num_items,), "preference_weight": (c.embedding_size,),
                    "user_features": (c.num_users, c.num_user_features),
                    "item_features": (c.num_items, c.num_item_features)}
        for name, shape in expected.items():
            found = tuple(getattr(population, name).shape)
            if found != (num_worlds, *shape):
                raise InterplayError(f"behaviour {self.behaviour.name!r} gave {name} of shape {found}, but the "
                                     f"config asks for {(num_worlds, *shape)}: make them agree")
        check_indices(f"segments of behaviour {self.behaviour.name!r}", population.segment, c.num_segments)


def _keys(numbers: Tensor, seed: int | Sequence[int]) -> Tensor:
    """Keys of worlds with these numbers under each seed, int32 ``[B, 2]``."""
    seeds = seed if isinstance(seed, list | tuple) else [seed]
    if not seeds:
        raise InterplayError(f"seed={seed!r} has none: give an integer of at least 0, or several")
    return torch.cat([world_key(as_integer("seed", each), numbers) for each in seeds])


def _check_state(state: object, config: MarketConfig) -> None:
    """Check that a state is one of a market of these sizes."""
    if not isinstance(state, State):
        check_value("state", state, State)
        return
    _, users, size = state.population.user_vector.shape
    _, items, topics = state.population.topics.shape
    if (users, size, items, topics) != (config.num_users, config.embedding_size, config.num_items, config.num_topics):
        raise InterplayError(f"state of num_users={users}, num_items={items}, embedding_size={size} and num_topics="
                             f"{topics} is another market's, which has {config.num_users}, {config.num_items}, "
                             f"{config.embedding_size} and {config.num_topics}: give one that its own reset() made")
