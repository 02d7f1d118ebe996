"""From the values of single agents to the value of all: centralised training, decentralised execution."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from interplay.agents.parts.networks import linear_layer
from interplay.envs.messages import choice
from interplay.envs.types import InterplayError

Mixing = Literal["none", "vdn", "qmix"]

_WIDTH = 16  # of the mixing layer


class VDN(nn.Module):
    """The mean of the values (Sunehag et al., "Value-decomposition networks", AAMAS 2018, equation 1, over N).

    A mean and not a sum, so that the loss has one scale for any number of agents.
    """

    def forward(self, values: Tensor, agents: Tensor) -> Tensor:
        """``values [S, N]`` and embeddings ``agents [S, N, E]``, which are not read, to ``[S]``."""
        return values.mean(1)


class QMIX(nn.Module):
    """Monotonic mixing (Rashid et al., "QMIX", ICML 2018, equation 5), with a cost that is linear in agents.

    The paper's first layer has weights for each agent by number. Here an agent's weights come from its embedding and
    the pooled one, by one hypernetwork for all: any number of agents, in any order. Where the paper's hypernetworks
    read the global state, these read the mean of the agents' embeddings, each in view of all its options.

    Args:
        size: E.
        device: where they live.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        super().__init__()
        self._first = linear_layer(2 * size, _WIDTH, device)
        self._first_bias, self._second = (linear_layer(size, _WIDTH, device) for _ in range(2))
        self._second_bias = nn.Sequential(linear_layer(size, _WIDTH, device), nn.ReLU(),
                                          linear_layer(_WIDTH, 1, device))

    def forward(self, values: Tensor, agents: Tensor) -> Tensor:
        """``values [S, N]`` and embeddings ``agents [S, N, E]`` to ``[S]``, which rises with each value."""
        pooled = agents.mean(1)
        each = torch.cat([agents, pooled.unsqueeze(1).expand_as(agents)], dim=2)
        weight = self._first(each).abs()
        hidden = nn.functional.elu((weight * values.unsqueeze(2)).mean(1) + self._first_bias(pooled))
        mixed = (self._second(pooled).abs() * hidden).sum(1)
        total: Tensor = mixed + self._second_bias(pooled).squeeze(1)
        return total


def make_mixer(mixing: Mixing, size: int, device: torch.device) -> VDN | QMIX | None:
    """The mixer of this name; None for none.

    Raises:
        InterplayError: it does not exist.
    """
    if mixing == "none":
        return None
    if mixing == "vdn":
        return VDN()
    if mixing == "qmix":
        return QMIX(size, device)
    raise InterplayError(f"mixing={mixing!r} is unknown: {choice(get_args(Mixing), mixing)}")
