"""Transitions drawn at random, in every shape that markets have, for checks of agents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from interplay.envs.types import Observation, Side, SideSpec, Transition

Trajectory = list[dict[Side, Transition]]
"""Transitions of each side, step by step. All actions are 0 until an agent replaces them."""

_NUM_WORLDS = 3
_EPISODE = 7  # steps; so that it ends in the middle of rollouts
_ENDS = 0.2  # chance of an agent in each step

# The names are those of the market, for agents that look for a feature by its name.
_USERS = SideSpec("users", num_agents=3, num_options=2, num_levels=1, own_features=("mood", "satiation_0", "taste_0"),
                  option_features=("appeal", "energy", "popularity", "topic_0", "match_0"), num_ids=5)
_ITEMS = SideSpec("items", num_agents=4, num_options=2, num_levels=2, own_features=("energy", "appeal", "topic_0"),
                  option_features=("segment_share", "affinity", "wearout", "boost", "rival_boost"), num_ids=2,
                  delayed=True)
_ONE_USER = replace(_USERS, num_agents=1, num_states=6)
_PARTIAL = replace(_USERS, own_features=("active",), history_length=3,
                   history_features=("taken", "response", "topic_0"))
_PLATFORM = replace(_USERS, side="platform", num_options=4)
_RESTING = replace(_ITEMS, num_options=1, num_levels=0, num_ids=1, num_states=1)

Cases = dict[str, dict[Side, SideSpec]]
ONE_SIDE: Cases = {"users": {"users": _USERS}, "one user with an exact state": {"users": _ONE_USER},
                   "users with a history": {"users": _PARTIAL}, "items": {"items": _ITEMS},
                   "items that can only rest": {"items": _RESTING}, "a platform": {"platform": _PLATFORM}}
"""Sides for an ``Agent``, by what they are like."""
ANY_SIDES: Cases = {"users with a history, and items": {"users": _PARTIAL, "items": _ITEMS},
                    "one user, and items that can only rest": {"users": _ONE_USER, "items": _RESTING},
                    "users": {"users": _USERS}, "items": {"items": _ITEMS},
                    "items that can only rest": {"items": _RESTING}}
"""Sides for a ``JointAgent``: both, and one alone."""


def observation(spec: SideSpec, num_worlds: int, seed: int, expected: bool) -> Observation:
    """Features in [-4, 4], ids, and masks that always allow action 0.

    Args:
        spec: the side.
        num_worlds: B.
        seed: of what is seen.
        expected: whether ``expected`` is seen.
    """
    return _observation(spec, num_worlds, torch.Generator().manual_seed(seed), expected)


def trajectory(specs: Mapping[Side, SideSpec], num_steps: int, expected: bool, empty: bool = False) -> Trajectory:
    """Steps in a row of three worlds: agents end at random, episodes are cut off, and then all are back.

    Args:
        specs: the sides.
        num_steps: how many.
        expected: whether ``expected`` is seen.
        empty: whether no agent is there in the first episode.
    """
    sides = {side: _steps(spec, num_steps, torch.Generator().manual_seed(number), expected, empty)
             for number, (side, spec) in enumerate(specs.items())}
    return [{side: steps[t] for side, steps in sides.items()} for t in range(num_steps)]


def _observation(spec: SideSpec, num_worlds: int, generator: torch.Generator, expected: bool) -> Observation:
    def features(*shape: int) -> Tensor:
        return 8.0 * torch.rand(num_worlds, spec.num_agents, *shape, generator=generator) - 4.0

    def numbers(end: int, *shape: int) -> Tensor:
        return torch.randint(end, (num_worlds, spec.num_agents, *shape), generator=generator)

    mask = features(spec.num_actions) < 1.0
    mask[..., 0] = True
    steps = spec.history_length
    return Observation(
        features(len(spec.own_features)), features(spec.num_options, len(spec.option_features)), mask,
        numbers(spec.num_ids, spec.num_options), None if spec.num_states is None else numbers(spec.num_states),
        features(steps, len(spec.history_features)) if steps else None,
        numbers(1 + spec.num_ids, steps) if steps else None, features(spec.num_actions) if expected else None)


def _steps(spec: SideSpec, num_steps: int, generator: torch.Generator, expected: bool,
           empty: bool) -> list[Transition]:
    seen = _observation(spec, _NUM_WORLDS, generator, expected)
    shape = seen.mask.shape[:2]
    there, steps = torch.full(shape, not empty), []
    for t in range(num_steps):
        after = _observation(spec, _NUM_WORLDS, generator, expected)
        ends, cut = there & (torch.rand(shape, generator=generator) < _ENDS), t % _EPISODE == _EPISODE - 1
        # A response lies in [0, 1] for users, before a reward blends or charges.
        reward, response = 2.0 * torch.rand(shape, generator=generator) - 1.0, torch.rand(shape, generator=generator)
        steps.append(Transition(seen, torch.zeros(shape, dtype=torch.int64), reward, after, response, ends,
                                torch.full(shape, cut), there))
        there = (there & ~ends) | cut
        seen = _observation(spec, _NUM_WORLDS, generator, expected) if cut else after
    return steps
