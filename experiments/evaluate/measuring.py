"""What mechanisms measure of an episode, beside returns."""

from __future__ import annotations

import torch
from torch import Tensor

from interplay.envs.market import Market
from interplay.envs.world import State
from interplay.experiments.common.statistics import Estimate, mean_estimate

AT_END = " at the end"


class Measures:
    """Figures of the mechanisms of a market over the states after each step.

    Args:
        market: whose mechanisms measure.
    """

    def __init__(self, market: Market) -> None:
        self._measure = market.constants.mechanisms.measures
        self._steps: dict[str, list[Tensor]] = {}

    def add(self, state: State) -> None:
        """One step more."""
        for name, value in self._measure(state).items():
            self._steps.setdefault(name, []).append(value)

    def estimates(self) -> dict[str, Estimate]:
        """By name, the mean over steps, and the last value; each as a mean over worlds."""
        found: dict[str, Estimate] = {}
        for name, values in self._steps.items():
            found |= {name: _mean(torch.stack(values).double().mean(0)), name + AT_END: _mean(values[-1].double())}
        return found


def _mean(values: Tensor) -> Estimate:
    return mean_estimate(values.cpu().numpy())
