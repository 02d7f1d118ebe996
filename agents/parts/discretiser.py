"""From features to one of a few states, fitted on random play."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor

from interplay.agents.base import Setting
from interplay.envs.types import Observation

_MAX_ROWS = 20_000  # enough for k-means with some hundred clusters


class Discretiser:
    """k-means over standardised observations (own features and all options) of all agents of a side.

    Args:
        num_clusters: states.
        fit_steps: steps of random play to collect before the fit.
        setting: seed and device.
    """

    def __init__(self, num_clusters: int, fit_steps: int, setting: Setting) -> None:
        self._num_clusters, self._fit_steps, self._setting = num_clusters, fit_steps, setting
        self._rows: list[Tensor] = []
        self._centre: Tensor | None = None
        self._scale: Tensor | None = None

    @property
    def fitted(self) -> bool:
        """Whether it can be called."""
        return self._centre is not None

    def add(self, observation: Observation) -> None:
        """Collect one step; the last of ``fit_steps`` fits."""
        self._rows.append(_rows(observation).flatten(0, 1))
        if len(self._rows) == self._fit_steps:
            self._fit(torch.cat(self._rows))
            self._rows = []

    def __call__(self, observation: Observation) -> Tensor:
        """The nearest centre of each agent, int64 ``[B, N]``."""
        assert self._centre is not None
        assert self._scale is not None
        rows = _rows(observation) / self._scale
        # |x - c|^2 without |x|^2, which is the same for every centre.
        return (self._centre.square().sum(1) - 2.0 * rows @ self._centre.T).argmin(-1)

    def _fit(self, rows: Tensor) -> None:
        rng = np.random.default_rng(self._setting.seed)
        sample = rows[torch.from_numpy(rng.permutation(len(rows))[:_MAX_ROWS]).to(rows.device)]
        scale = sample.std(0).clamp(min=1e-3)
        data = (sample / scale).cpu().numpy()
        # Random play may show fewer different rows than clusters were asked for.
        distinct = min(self._num_clusters, len(np.unique(data, axis=0)))
        centre, _ = kmeans2(data, distinct, iter=20, minit="++", rng=rng)
        self._centre = torch.from_numpy(np.asarray(centre, dtype=np.float32)).to(rows.device)
        self._scale = scale

    def state_dict(self) -> dict[str, Any]:
        """What was collected and fitted."""
        return {"rows": self._rows, "centre": self._centre, "scale": self._scale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        device = self._setting.device
        self._rows = [row.to(device) for row in state["rows"]]
        self._centre = None if state["centre"] is None else state["centre"].to(device)
        self._scale = None if state["scale"] is None else state["scale"].to(device)


def _rows(observation: Observation) -> Tensor:
    """``[B, N, F_own + M * F_option]``."""
    return torch.cat([observation.own, observation.options.flatten(2)], dim=2)
