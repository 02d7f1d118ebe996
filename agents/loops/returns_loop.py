"""Lambda-returns of a rollout as one loop that numba compiles for a CPU: ``parts/returns.py`` is the reference."""

from __future__ import annotations

from typing import Any

import numpy as np

from interplay.envs.kernels.jit import whole


@whole
def lambda_returns(reward: Any, discount: Any, truncated: Any, ahead: Any, weight: float, out: Any) -> None:
    """The returns ``out [T, R]``, the same bits as torch's."""
    now, mixed_share = np.float32(weight), np.float32(1.0 - weight)
    last = len(reward) - 1
    for t in range(last, -1, -1):
        for i in range(reward.shape[1]):
            later = ahead[t, i] if t == last else out[t + 1, i]
            mixed = ahead[t, i] if truncated[t, i] else mixed_share * ahead[t, i] + now * later
            out[t, i] = reward[t, i] + discount[t, i] * mixed
