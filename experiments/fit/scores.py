"""How likely held-out rows are under a fitted part, beside a simpler model."""

from __future__ import annotations

from typing import NamedTuple


class Score(NamedTuple):
    """Held-out log-likelihoods, in nats for each case.

    Attributes:
        part: what the market has it for.
        model: that was fitted.
        simpler: what it is compared with.
        cases: held-out rows, sessions or users.
        fitted, baseline: mean log-likelihoods of the two.
        used: whether the market has it.
    """

    part: str
    model: str
    simpler: str
    cases: int
    fitted: float
    baseline: float
    used: bool = True
