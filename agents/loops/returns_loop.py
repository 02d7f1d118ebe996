"""Lambda-returns of a rollout as one loop that numba compiles for a CPU: ``parts/returns.py`` is the reference."""

from __future__ import annotations

from typing import Any

import numpy as np

from interplay.envs.kernels.jit import routine, whole


@routine
def _return(reward: Any, discount: Any, cut: bool, ahead: Any, later: Any, weight: Any, rest: Any) -> Any:
    """``lambda_returns`` of one step: ``later`` is the return of the next one, ``rest`` is 1 - lambda."""
    return reward + discount * (ahead if cut else rest * ahead + weight * later)


@whole
def lambda_returns(reward: Any, discount: Any, truncated: Any, ahead: Any, weight: float, out: Any) -> None:
    """The returns ``out [T, R]``, the same bits as torch's."""
    share, rest = np.float32(weight), np.float32(1.0 - weight)
    last = len(reward) - 1
    for t in range(last, -1, -1):
        for i in range(reward.shape[1]):
            later = ahead[t, i] if t == last else out[t + 1, i]
            out[t, i] = _return(reward[t, i], discount[t, i], truncated[t, i], ahead[t, i], later, share, rest)


@whole
def q_lambda_returns(reward: Any, terminated: Any, truncated: Any, valid: Any, values: Any, mask: Any, discount: float,
                     weight: float, out: Any) -> None:
    """The same of the best allowed ``values [S, T, R, A]`` after each step, of S copies: ``out [S, T, R]``."""
    share, rest, rate = np.float32(weight), np.float32(1.0 - weight), np.float32(discount)
    last = out.shape[1] - 1
    for s in range(len(out)):
        for t in range(last, -1, -1):
            for i in range(out.shape[2]):
                ahead = _highest(values[s, t, i], mask[s, t, i])
                later = ahead if t == last else out[s, t + 1, i]
                cut = truncated[s, t, i] or (t < last and not valid[s, t + 1, i])
                out[s, t, i] = _return(reward[s, t, i], np.float32(0.0) if terminated[s, t, i] else rate, cut, ahead,
                                       later, share, rest)


@routine
def _highest(values: Any, mask: Any) -> Any:
    """The highest allowed value; NaN, if there is one."""
    highest = np.float32(-np.inf)
    for k in range(len(mask)):
        if mask[k] and not values[k] <= highest and highest == highest:
            highest = values[k]
    return highest
