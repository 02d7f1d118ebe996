"""What games of built-in mechanisms are recognised by: their population, and whole numbers."""

from __future__ import annotations

import numpy as np
import torch

from interplay.envs.behaviour.synthetic import SyntheticBehaviour
from interplay.envs.market import Market
from interplay.envs.population import Population
from interplay.experiments.exact.base import Array


def known_population(market: Market) -> Population | None:
    """One world's people, where they respond by the formula, are the same in all worlds; None with other mechanisms."""
    behaviour = market.behaviour
    known = (isinstance(behaviour, SyntheticBehaviour) and behaviour.same_population
             and behaviour.formula == "preference" and not market.config.further)
    return market.reset([0]).population if known else None


def is_whole(amounts: Array | float) -> bool:
    """Whether all are integers but for rounding."""
    return bool((np.abs(amounts - np.rint(amounts)) < 1e-4).all())


def as_array(tensor: torch.Tensor) -> Array:
    """The tensor in NumPy, as float64."""
    return tensor.cpu().numpy().astype(np.float64)
