"""Mean tastes of segments, which slates and what items see both ask for."""

from __future__ import annotations

from torch import Tensor

from interplay.envs import kernels
from interplay.envs.constants import MarketConstants
from interplay.envs.kernels.table_operators import products
from interplay.envs.world import State


def segment_means(constants: MarketConstants, state: State) -> Tensor:
    """Mean taste of each segment, float32 ``[B, C, D]``; not to be written to."""
    tastes = state.user_vector
    if not kernels.usable(tastes):
        return _worked_out(constants, state)
    # Kept with the tastes that they are of. A tensor that is written into has another version.
    known: tuple[Tensor, int, Tensor] | None = state.__dict__.get("_means")
    if known is None or known[0] is not tastes or known[1] != tastes._version:
        count = constants.config.num_segments
        means = state.population.segments(count).member.bmm(tastes)
        known = state.__dict__["_means"] = tastes, tastes._version, means
        divided = means.numpy()  # since torch takes longer to divide so few
        divided /= state.population.sizes(count)[0][:, :, None]
    return known[2]


def _worked_out(constants: MarketConstants, state: State) -> Tensor:
    segments = state.population.segments(constants.config.num_segments)
    return products(segments.member, state.user_vector.transpose(1, 2)).div_(segments.divisor.unsqueeze(2))
