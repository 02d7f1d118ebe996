"""From observations to the rows and columns of a table."""

from __future__ import annotations

import torch
from torch import Tensor

from interplay.agents.parts.discretiser import Discretiser
from interplay.agents.parts.stateful import Stateful
from interplay.envs.types import InterplayError, Observation, SideSpec

_NO_KINDS = torch.empty(0, 0, 0, dtype=torch.int64)


class Abstraction(Stateful):
    """Which state an agent is in, and which column of the table each of its actions is.

    Where the market has an exact state, that is the state. Elsewhere own features are clustered into states.

    A column is an action where options keep their places, as segments do. Slots and candidates are other items at every
    step. Their features are clustered into *kinds*, and each kind has one column for every level.

    Args:
        spec: the side's shapes.
        seed: of the clusters.
        num_states: clusters of own features.
        num_kinds: clusters of options.
        fit_steps: steps of random play that both are fitted on.
    """

    def __init__(self, spec: SideSpec, seed: int, num_states: int, num_kinds: int, fit_steps: int) -> None:
        self._spec, self._exact = spec, spec.num_states is not None
        self.num_states = num_states if spec.num_states is None else spec.num_states
        self._fixed = self._exact or spec.side == "items" or spec.num_levels == 0
        self.num_columns = spec.num_actions if self._fixed else 1 + num_kinds * spec.num_levels
        self._state = Discretiser(num_states, fit_steps, seed)
        self._kind = Discretiser(num_kinds, fit_steps, seed)

    @property
    def ready(self) -> bool:
        """Whether ``state`` and ``columns`` can be asked."""
        return self._exact or self._state.fitted

    def add(self, observation: Observation) -> None:
        """Collect one step of random play; the last one fits."""
        self._state.add(observation.own)
        if not self._fixed:
            self._kind.add(observation.options)

    def state(self, observation: Observation) -> Tensor:
        """The state of each agent, int64 ``[B, N]``."""
        if not self._exact:
            return self._state(observation.own)
        if observation.state is None:
            raise InterplayError(f"the market's spec promises {self.num_states} states, but state is None: "
                                 "give Observation.state")
        return observation.state

    def places(self, observation: Observation) -> tuple[Tensor, Tensor]:
        """What loops make columns of: states ``[B, N]``, kinds of options ``[B, N, M]`` unless columns are fixed."""
        return self.state(observation), _NO_KINDS if self._fixed else self._kind(observation.options)

    def columns(self, observation: Observation) -> Tensor:
        """The column of each action, int64 ``[B, N, 1 + M * L]``."""
        mask, levels = observation.mask, self._spec.num_levels
        if self._fixed:
            return torch.arange(mask.shape[2], device=mask.device).expand(mask.shape)
        first = 1 + self._kind(observation.options).unsqueeze(3) * levels
        each = first + torch.arange(levels, device=mask.device)
        return torch.cat([torch.zeros_like(each[:, :, 0, :1]), each.flatten(2)], dim=2)
