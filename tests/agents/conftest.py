"""Steps written out by hand: two agents, two options, one level, three states."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from interplay.envs.types import Observation, SideSpec, Transition


@pytest.fixture
def spec() -> SideSpec:
    """Two users with one feature of their own and one for each of two slots."""
    return SideSpec("users", num_agents=2, num_options=2, num_levels=1, own_features=("a",), option_features=("b",),
                    num_states=3, num_ids=4)


def _seen(states: Any, mask: tuple[bool, ...] = (True, True, True)) -> Observation:
    state = torch.tensor(states)
    return Observation(state.float().unsqueeze(-1), torch.zeros(*state.shape, 2, 1),
                       torch.tensor(mask).expand(*state.shape, 3),
                       torch.tensor([1, 3]).expand(*state.shape, 2), state)


@pytest.fixture
def moved() -> Callable[..., Transition]:
    """Makes a transition from states before, actions, rewards and states after, each ``[B][N]``."""

    def make(before: Any, action: Any, reward: Any, after: Any, *, terminated: bool = False, truncated: bool = False,
             valid: bool = True, mask: tuple[bool, ...] = (True, True, True)) -> Transition:
        shape = torch.tensor(before).shape
        return Transition(_seen(before), torch.tensor(action), torch.tensor(reward), _seen(after, mask),
                          torch.tensor(reward), torch.full(shape, terminated), torch.full(shape, truncated),
                          torch.full(shape, valid))

    return make
