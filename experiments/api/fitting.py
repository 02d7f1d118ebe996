"""Fitting a market to a log from Python."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from interplay.envs.checking import check_names
from interplay.envs.presets.folders import FittedPreset
from interplay.experiments.api.border import public
from interplay.experiments.api.markets import Log, setting
from interplay.experiments.api.names import check_path
from interplay.experiments.fit.command import fit as run
from interplay.experiments.fit.settings import FitSettings


@public
def fit(log: str | Path | Log, out: str | Path = "fitted", **options: Any) -> FittedPreset:
    """Fit a market to the training part of a log, and write it into a folder.

    ``train`` and everything else that takes a preset takes what this gives, or the folder's name.

    Args:
        log: a file, a folder, the name of a data set, or what ``interplay.log`` gives.
        out: the folder for the preset and its report.
        options: what else ``interplay fit --help`` says, such as ``split``, ``held_out``, ``seed`` and ``gap``.

    Raises:
        InterplayError: an unknown option, or a fault of the log.
    """
    check_names("fit", options, [f.name for f in fields(FitSettings)])
    check_path("out", out)
    of_log = log.settings if isinstance(log, Log) else Log(log, {}, {}).settings
    own = {name: setting(name, value) for name, value in options.items()}
    return run(FitSettings(**{**of_log, **own, "out": Path(out)}))
