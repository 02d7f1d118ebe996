"""Off-policy evaluation from Python: what a policy would have earned where another one chose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, Unpack, get_args

import numpy as np
import polars as pl

from interplay.envs.checking import Index, check_names, check_value, hints_of, shown
from interplay.envs.types import InterplayError
from interplay.experiments.api.border import public
from interplay.experiments.api.markets import setting
from interplay.experiments.api.run import Run
from interplay.experiments.common.flags import check_flags
from interplay.experiments.offpolicy.command import (
    COLUMNS,
    Answer,
    Folds,
    NamedPolicy,
    OpeSettings,
    answer_of,
    answered,
    columns_of,
)
from interplay.experiments.offpolicy.evaluation import Evaluation, evaluation_table
from interplay.experiments.offpolicy.feedback import Floats
from interplay.experiments.offpolicy.table import BanditColumns, BanditTable, bandit_of, read_bandit

__all__ = ["Estimates", "Evaluation", "evaluate"]

_NAMED: tuple[str, ...] = get_args(NamedPolicy)


class Estimates:
    """What ``evaluate`` found.

    Attributes:
        what: a line that says what was evaluated.
    """

    def __init__(self, answer: Answer) -> None:
        self.what, self._answer = answer.what, answer

    def __getitem__(self, estimator: str) -> Evaluation:
        """What one estimator says, such as ``estimates["SNIPS"].estimate.mean``."""
        known = {one.name: one for one in self._answer.evaluations}
        if estimator not in known:
            raise InterplayError(f"no estimator {shown(estimator)} was used: choose from {', '.join(known)}")
        return known[estimator]

    @property
    def frame(self) -> pl.DataFrame:
        """Columns estimator, value, low and high of the 95 % interval, effective_size, clipped, note, warning."""
        return self._answer.frame

    def markdown(self) -> str:
        """The same as a table."""
        return evaluation_table(self._answer.evaluations)

    def __repr__(self) -> str:
        return f"{self.what}\n\n{self.markdown()}"


class OpeOptions(TypedDict, total=False):
    """How ``evaluate`` reads a log; the defaults are those of ``interplay ope``."""

    action: str
    """Column with the chosen action; by default item."""
    reward: str
    """Column with its reward; by default reward."""
    propensity: str
    """Column with its probability under the logging policy; by default propensity."""
    target_column: str
    """Column with its probability under the target, in place of ``target``."""
    context: tuple[str, ...]
    """Columns that reward models may use."""
    time: str
    """Column with the time; by default the first rows are the oldest."""
    unit: str
    """Column with what was drawn independently, such as the user; by default each row was."""
    folds: Folds
    """Of the log, for cross-fitting reward models; by default 3."""
    seed: Index
    """Of folds and bootstrap."""
    allow_code: bool
    """Import the code that a run's folder names. Allow it only if you trust both."""


@public
def evaluate(log: str | Path | pl.DataFrame | Mapping[str, Any], target: object = "uniform",
             **options: Unpack[OpeOptions]) -> Estimates:
    """Estimates of the mean reward of a policy, from the choices of another one.

    Args:
        log: a frame, or columns by name, with a row for each choice that was logged; a file with such a table; a
            campaign of the Open Bandit data set; or the slates of a market, ``NAME.market.parquet``.
        target: the policy. ``"uniform"``: all items or slates are as likely. ``"most-clicked"``: always the item that
            is best in the older half of the log, evaluated on the newer half. Of a table also the policy's
            probabilities ``[N, A]`` of each action in each row, with actions in the order of their ids. Of slates also
            a run or its folder.
        options: see ``OpeOptions``.

    Raises:
        InterplayError: the log, the target or an option is wrong.
    """
    hints = hints_of(OpeOptions)
    check_names("ope.evaluate", options, hints)
    given = {name: setting(name, value) for name, value in options.items()}
    for name, value in given.items():
        check_value(name, value, hints[name])
    policy = target.folder if isinstance(target, Run) else target
    named: dict[str, Any] = {COLUMNS.get(name, name): value for name, value in given.items()}
    if isinstance(policy, str | Path):
        named["policy"] = policy if policy in _NAMED else Path(policy)
    elif "target_column" in options:
        raise InterplayError("target and target_column both say what the target does: leave one of the two out")
    settings = OpeSettings(path=Path(log if isinstance(log, str | Path) else "log"), **named)
    if isinstance(log, str | Path) and isinstance(policy, str | Path):
        return Estimates(answered(settings))
    check_flags(settings)
    return Estimates(answer_of(*_table(log, columns_of(settings)), _policy(policy), settings.folds, settings.seed))


def _table(log: object, columns: BanditColumns) -> tuple[BanditTable, str]:
    """What is in a table, and its name."""
    if isinstance(log, str | Path):
        return read_bandit(Path(log), columns), Path(log).name
    return bandit_of(_frame(log), columns, "log"), "log"


def _frame(log: Any) -> pl.DataFrame:
    problem = InterplayError(f"log={shown(log)} must be a file, a frame, or columns of one length by name")
    if log is None:
        raise problem
    try:
        return log if isinstance(log, pl.DataFrame) else pl.DataFrame(log)
    except Exception as error:
        raise problem from error


def _policy(target: object) -> str | Floats:
    """A policy for choices of a table: its name or its probabilities."""
    if isinstance(target, str) and target in _NAMED:
        return target
    try:
        return np.asarray(target, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InterplayError(f"target={shown(target)} must be {', '.join(_NAMED)}, probabilities [N, A], or a run if "
                             "the log is of a market's slates") from error
