"""Signs that a run was too short."""

from __future__ import annotations

import numpy as np
import pytest

from interplay.experiments.evaluate.learnt import late_rise

NOISE = np.random.default_rng(0).normal(size=80)


def test_a_rise_at_the_end_is_measured() -> None:
    rising = np.concatenate([np.zeros(60), np.linspace(0.0, 19.0, 20)])
    assert late_rise((rising + 0.1 * NOISE).tolist()) == pytest.approx(20.0, rel=0.05)


@pytest.mark.parametrize("returns", [
    NOISE, np.concatenate([np.linspace(0.0, 9.0, 60), np.full(20, 9.0)]) + 0.1 * NOISE, -np.arange(80.0) + NOISE,
    np.arange(31.0), np.full(80, 3.0), np.append(np.arange(79.0), np.inf), np.zeros(0)])
def test_noise_and_what_has_levelled_off_or_is_too_short_is_no_rise(returns: np.ndarray) -> None:
    assert late_rise(returns.tolist()) == 0.0
