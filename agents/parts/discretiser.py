"""From features to one of a few clusters, fitted on random play."""

from __future__ import annotations

import warnings
from collections import deque

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor
from torch.nn.functional import pad

from interplay.agents.parts.stateful import Stateful
from interplay.envs.kernels import compiled, usable
from interplay.envs.stacking import at_once, is_stacked, one_by_one, table_of
from interplay.envs.types import InterplayError

TABLE_LOOP = "interplay.agents.loops.table_loop"
_MAX_ROWS = 20_000  # enough for k-means with some hundred clusters


class _Known:
    """What follows from a fit, and what is nearest to the last rows: agents ask for these again. It is no state.

    Args:
        centre: ``[C, F]``, or of all copies, ``[S, C, F]``; so are all other tables.
        scale: ``[F]``.
    """

    def __init__(self, centre: Tensor, scale: Tensor) -> None:
        self.centre = centre
        centres, half = centre.view(-1, *centre.shape[-2:]), scale.view(-1, scale.shape[-1]) * 0.5
        more = -centres.shape[1] % compiled(TABLE_LOOP).CENTRES  # centres that are nearest to nothing
        norms = pad(centres.square().sum(2), (0, more), value=torch.inf)
        # To divide by half the scale has the bits of twice the quotient.
        self._fits = [part.numpy() for part in (half, pad(centres, (0, 0, 0, more)), norms)]
        self._last: deque[tuple[Tensor, int, Tensor]] = deque(maxlen=2)  # what was seen, and what was seen next

    def nearest(self, rows: Tensor) -> Tensor:
        """See ``Discretiser``."""
        for known, version, place in self._last:
            if known is rows and version == rows._version:
                return place
        place = torch.empty(rows.shape[:-1], dtype=torch.int64)
        shape = len(self._fits[0]), -1
        compiled(TABLE_LOOP).nearest(rows.reshape(*shape, rows.shape[-1]).numpy(), *self._fits,
                                     place.view(shape).numpy())
        self._last.append((rows, rows._version, place))
        return place


class Discretiser(Stateful):
    """k-means over standardised rows of features.

    Args:
        num_clusters: at most; fewer where the rows of the fit differ less.
        fit_steps: calls of ``add`` before the fit.
        seed: of the fit.
    """

    _known: _Known | None = None

    def __init__(self, num_clusters: int, fit_steps: int, seed: int) -> None:
        self._num_clusters, self._fit_steps = num_clusters, fit_steps
        # As a tensor, because copies with other seeds may be stacked: words of 32 bits, the lowest first.
        num_words = max(2, -(-seed.bit_length() // 32))
        self._seed = torch.tensor([seed >> 32 * place & 0xFFFFFFFF for place in range(num_words)])
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
            rows = torch.cat(self._rows)
            fit = self._fit_of_copy if is_stacked(rows) else self._fit
            self._centre, self._scale = one_by_one(fit, rows, self._seed)
            self._rows = []

    def __call__(self, rows: Tensor) -> Tensor:
        """The nearest centre of each row: ``[..., F]`` to int64 ``[...]``."""
        assert self._centre is not None
        assert self._scale is not None
        if usable(table_of(rows)):
            known, centre = self._known, table_of(self._centre)
            if known is None or known.centre is not centre:
                known = self._known = _Known(centre, table_of(self._scale))
            return at_once(known.nearest, rows) if is_stacked(rows) else known.nearest(rows)
        # |x - c|^2 without |x|^2, which is the same for every centre.
        return (self._centre.square().sum(1) - 2.0 * (rows / self._scale) @ self._centre.T).argmin(-1)

    def _fit_of_copy(self, rows: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        """Always as many centres, the first again in place of missing ones: of equals, the first is the nearest."""
        centre, scale = self._fit(rows, seed)
        return torch.cat([centre, centre[:1].expand(self._num_clusters - len(centre), -1)]), scale

    def _fit(self, rows: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        """Centres, and the scale of features."""
        rng = np.random.default_rng(sum(word << 32 * place for place, word in enumerate(seed.tolist())))
        sample = rows[torch.from_numpy(rng.permutation(len(rows))[:_MAX_ROWS]).to(rows.device)]
        scale = sample.std(0).clamp(min=1e-3)
        data = (sample / scale).cpu().numpy()
        if not np.isfinite(data).all():
            raise InterplayError("features that agents see are not finite, so that they have no nearest cluster: let "
                                 "interplay check look at the mechanism that shows them")
        # Random play may show fewer different rows than clusters were asked for.
        distinct = min(self._num_clusters, len(np.unique(data, axis=0)))
        with warnings.catch_warnings():
            # Such a cluster keeps the centre that it had, and nothing is nearest to it: no row is lost.
            warnings.filterwarnings("ignore", message="One of the clusters is empty")
            centre, _ = kmeans2(data, distinct, iter=20, minit="++", rng=rng)
        return torch.from_numpy(np.asarray(centre, dtype=np.float32)).to(rows.device), scale
