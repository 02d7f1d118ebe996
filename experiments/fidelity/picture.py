"""One picture: a panel for each aspect, the log with its own noise and the market on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files only: no display is needed

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from interplay.envs.types import InterplayError
from interplay.experiments.fidelity.aspects import Distribution
from interplay.experiments.fidelity.judging import Finding
from interplay.experiments.fidelity.trace import Floats

_LOG, _MARKET = "#4d4d4d", "#d55e00"
_COLUMNS = 4
_POINTS = 300


def draw(findings: Sequence[Finding], title: str, path: Path) -> None:
    """Write the picture as PNG.

    Raises:
        InterplayError: the file cannot be written.
    """
    lines = -(-len(findings) // _COLUMNS)
    figure, axes = plt.subplots(lines, _COLUMNS, figsize=(3.5 * _COLUMNS, 3.0 * lines + 0.7), squeeze=False)
    for axis in axes.flat[len(findings):]:
        axis.set_axis_off()
    for finding, axis in zip(findings, axes.flat, strict=False):
        {"ranked": _ranked, "cumulative": _cumulative, "bars": _bars}[finding.aspect.drawn](axis, finding)
        _label(axis, finding)
    axes.flat[0].legend(fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=11)
    figure.tight_layout()
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise InterplayError(f"{path}: cannot be written ({error.strerror or error}): choose another folder with "
                             "--out") from error
    finally:
        plt.close(figure)


def _label(axis: Axes, finding: Finding) -> None:
    verdict = "within noise" if finding.within else "beyond noise"
    axis.set_title(f"{finding.aspect.name}: {finding.distance:.3f}, {verdict}", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _ranked(axis: Axes, finding: Finding) -> None:
    """Values from the largest down, over the share of those that are at least as large."""
    share = (np.arange(_POINTS) + 0.5) / _POINTS
    _lines(axis, share, lambda d: _quantiles(d, 1.0 - share), finding)
    axis.set_yscale("symlog", linthresh=0.1)
    axis.set_ylim(bottom=0.0)
    axis.set_xlabel("share, largest first", fontsize=8)
    axis.set_ylabel(finding.aspect.unit, fontsize=8)


def _cumulative(axis: Axes, finding: Finding) -> None:
    """The share of values that are no larger."""
    # Beyond what 99.5 % of both stay below, a few long sessions would squeeze all others into a corner.
    ends = [_quantiles(d, np.array([0.0, 0.995])) for d in (finding.log, finding.market)]
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    margin = 0.05 * (high - low) or 0.5
    values = np.linspace(low - margin, high + margin, _POINTS)
    _lines(axis, values, lambda d: _shares_up_to(d, values), finding)
    axis.set_ylim(-0.02, 1.02)
    axis.set_xlabel(finding.aspect.unit, fontsize=8)
    axis.set_ylabel("share up to", fontsize=8)


def _lines(axis: Axes, x: Floats, curve: object, finding: Finding) -> None:
    assert callable(curve)
    band = np.quantile([curve(d) for d in finding.resamples], [0.025, 0.975], axis=0)
    axis.fill_between(x, band[0], band[1], color=_LOG, alpha=0.3, linewidth=0.0, step="mid", label="log, resampled")
    axis.step(x, curve(finding.log), color=_LOG, where="mid", label="log")
    axis.step(x, curve(finding.market), color=_MARKET, where="mid", label="market")


def _bars(axis: Axes, finding: Finding) -> None:
    """A bar for each value, side by side; a single value stands for itself."""
    single = len(finding.log.value) == 1
    for shift, colour, d in ((-0.2, _LOG, finding.log), (0.2, _MARKET, finding.market)):
        x = np.zeros(1) if single else d.value
        axis.bar(x + shift, d.value if single else d.weight / d.weight.sum(), 0.4, color=colour)
    if single:
        values = [d.value[0] for d in finding.resamples]
        low, high = np.quantile(values, [0.025, 0.975])
        axis.vlines(-0.2, low, high, color="black")
        axis.set_ylim(min(0.45, *values, finding.market.value[0]), max(*values, finding.market.value[0]) + 0.05)
        axis.set_xticks([-0.2, 0.2], ["learnt from log", "learnt from market"])
    axis.set_ylabel(finding.aspect.unit if single else "share of all reward", fontsize=8)
    axis.set_xlabel("" if single else finding.aspect.unit, fontsize=8)


def _quantiles(d: Distribution, share: Floats) -> Floats:
    order = np.argsort(d.value)
    reached = np.cumsum(d.weight[order]) / d.weight.sum()
    place = np.searchsorted(reached, share - 1e-12).clip(max=len(order) - 1)
    return np.asarray(d.value[order][place])


def _shares_up_to(d: Distribution, values: Floats) -> Floats:
    order = np.argsort(d.value)
    reached = np.r_[0.0, np.cumsum(d.weight[order]) / d.weight.sum()]
    return np.asarray(reached[np.searchsorted(d.value[order], values, side="right")])
