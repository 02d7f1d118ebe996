"""From features to one of a few clusters, fitted on random play."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor

from interplay.agents.parts.stateful import Stateful

_MAX_ROWS = 20_000  # enough for k-means with some hundred clusters


class Discretiser(Stateful):
    """k-means over standardised rows of features.

    Args:
        num_clusters: at most; fewer where the rows of the fit differ less.
        fit_steps: calls of ``add`` before the fit.
        seed: of the fit.
    """

    def __init__(self, num_clusters: int, fit_steps: int, seed: int) -> None:
        self._num_clusters, self._fit_steps, self._seed = num_clusters, fit_steps, seed
        self._rows: list[Tensor] = []
        self._centre: Tensor | None = None
        self._scale: Tensor | None = None

    @property
    def fitted(self) -> bool:
        """Whether it can be called."""
        return self._centre is not None

    def add(self, rows: Tensor) -> None:
        """Collect rows ``[..., F]``; the last of ``fit_steps`` calls fits."""
        self._rows.append(rows.flatten(0, -2))
        if len(self._rows) == self._fit_steps:
            self._fit(torch.cat(self._rows))
            self._rows = []

    def __call__(self, rows: Tensor) -> Tensor:
        """The nearest centre of each row: ``[..., F]`` to int64 ``[...]``."""
        assert self._centre is not None
        assert self._scale is not None
        # |x - c|^2 without |x|^2, which is the same for every centre.
        return (self._centre.square().sum(1) - 2.0 * (rows / self._scale) @ self._centre.T).argmin(-1)

    def _fit(self, rows: Tensor) -> None:
        rng = np.random.default_rng(self._seed)
        sample = rows[torch.from_numpy(rng.permutation(len(rows))[:_MAX_ROWS]).to(rows.device)]
        scale = sample.std(0).clamp(min=1e-3)
        data = (sample / scale).cpu().numpy()
        # Random play may show fewer different rows than clusters were asked for.
        distinct = min(self._num_clusters, len(np.unique(data, axis=0)))
        with warnings.catch_warnings():
            # Such a cluster keeps the centre that it had, and nothing is nearest to it: no row is lost.
            warnings.filterwarnings("ignore", message="One of the clusters is empty")
            centre, _ = kmeans2(data, distinct, iter=20, minit="++", rng=rng)
        self._centre = torch.from_numpy(np.asarray(centre, dtype=np.float32)).to(rows.device)
        self._scale = scale
