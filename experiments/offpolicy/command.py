"""The command ``interplay ope``: estimates of what a policy would have earned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import polars as pl
import tyro

from interplay.envs.checking import Bounds
from interplay.envs.data.market_log import SUFFIX
from interplay.envs.data.open_bandit import read_open_bandit
from interplay.envs.types import InterplayError
from interplay.experiments.common.command_lines import command_line
from interplay.experiments.common.flags import Need, Seed, changed, check_flags, when
from interplay.experiments.common.reports import REPORT, made_by, publish
from interplay.experiments.common.table_settings import FormSettings
from interplay.experiments.common.threads import working_threads
from interplay.experiments.offpolicy.estimators import WEIGHTING, Case
from interplay.experiments.offpolicy.evaluation import Evaluation, evaluate_case, evaluate_policy, evaluation_table
from interplay.experiments.offpolicy.exported import SlateLog, evaluate_slates, read_slates, uniform_slates
from interplay.experiments.offpolicy.feedback import BanditFeedback, Floats, check_policy
from interplay.experiments.offpolicy.open_bandit import open_bandit_feedback
from interplay.experiments.offpolicy.policies import always, most_clicked, uniform
from interplay.experiments.offpolicy.replay import run_slates
from interplay.experiments.offpolicy.report import ope_rows, ope_text
from interplay.experiments.offpolicy.table import BanditColumns, BanditTable, read_bandit

NamedPolicy = Literal["uniform", "most-clicked"]
Folds = Annotated[int, Bounds(2, 1000)]

COLUMNS = {"action": "action_column", "reward": "reward_column", "propensity": "propensity_column",
           "target": "target_column", "context": "context_columns", "unit": "unit_column", "time": "time_column"}
"""Settings that name a column, by what the column holds."""


def _slates(settings: OpeSettings) -> bool:
    """Whether the path is a market's slates, by its name; a file whose columns are named is a table of one's own."""
    return settings.path.name.endswith(SUFFIX) and not (
        set(COLUMNS.values()) - {"unit_column"}) & set(changed(settings))


def _own_table(settings: OpeSettings) -> bool:
    return not _slates(settings) and not settings.path.is_dir()


_TABLE = Need(_own_table, "it is about a table of your own, and of nothing else are the columns a choice: leave it out")
_MODELS = Need(lambda s: not _slates(s) and s.target_column is None,
               "there are no reward models with --target-column or a market's slates: leave it out")
_TABLE_MODELS = Need(lambda s: _TABLE.met(s) and _MODELS.met(s),
                     "it is about the reward models of a table of your own, and with --target-column there are none: "
                     "leave it out")
_UNITS = Need(lambda s: _own_table(s) or _slates(s),
              "it is about a table of your own or a market's slates: leave it out")
_TARGET = Need(lambda s: s.target_column is None, "--target-column has the target: leave one of the two out")
_RUN = Need(lambda s: isinstance(s.policy, Path), "it is about a run's folder as --policy: leave it out")


@dataclass(frozen=True, kw_only=True)
class OpeSettings(FormSettings):
    """Estimate what a policy would have earned from what another policy did (off-policy evaluation)."""

    path: Annotated[Path, tyro.conf.Positional]
    """Table of your own in any form that train --log reads, a row for each logged choice. Or a campaign of the Open
    Bandit data set, such as obd/bts/men: a folder with men.csv and item_context.csv, whose columns are known. Or the
    slates of a market, NAME.market.parquet, as evaluate --export writes them, whose columns are known too."""
    action_column: str = when(_TABLE, "item")
    """Column of the table with the chosen action."""
    reward_column: str = when(_TABLE, "reward")
    """Column with its reward."""
    propensity_column: str = when(_TABLE, "propensity")
    """Column with its probability under the logging policy."""
    target_column: str | None = when(_TABLE, None)
    """Column with its probability under the target policy, in place of --policy. Probabilities of other actions are
    unknown then, so that only estimators without a model are used."""
    time_column: str | None = when(_TABLE, None)
    """Column with the time; by default the first rows are the oldest."""
    context_columns: tuple[str, ...] = when(_TABLE_MODELS, ())
    """Columns that reward models may use: numbers, or text of a few categories."""
    unit_column: str | None = when(_UNITS, None)
    """Column with the unit that was drawn independently, such as the user: its rows stay together in folds and
    intervals. For a market's slates the default is each user of each world; world and other columns are possible."""
    policy: NamedPolicy | Path = when(_TARGET, "uniform")
    """The target policy. uniform: all items, or all slates that could be shown, with equal probability. most-clicked:
    always the item with the highest click rate in the older half of the log, evaluated on the newer half. For a
    market's slates also a folder that train wrote: its platform, without exploration."""
    folds: Folds = when(_MODELS, 3)
    """Folds of the log for cross-fitting the reward models of DM, DR and similar estimators."""
    seed: Seed = 0
    """Seed of folds and bootstrap."""
    csv: Path | None = None
    """File to write the table to as well."""
    out: Path | None = None
    """Folder to write report.md and its rows to; by default nothing is written."""
    allow_code: bool = when(_RUN, False)
    """Import the code that the folder of --policy names as module:Name. Allow it only if you trust both."""

    @property
    def log(self) -> Path | None:
        """The table of one's own, which the flags of a log's form are about."""
        return self.path if _own_table(self) else None


class Answer(NamedTuple):
    """What the estimators say, and a line that says of what."""

    what: str
    evaluations: list[Evaluation]

    @property
    def frame(self) -> pl.DataFrame:
        """A row for each estimator."""
        return pl.DataFrame([_columns(one) for one in self.evaluations])


class Question(NamedTuple):
    """A log, a target and a line that says what they are."""

    feedback: BanditFeedback
    policy: Floats
    what: str

    def answer(self, folds: int, seed: int) -> Answer:
        """What all estimators say."""
        return Answer(self.what, evaluate_policy(self.feedback, self.policy, folds, seed=seed))


def ope(settings: OpeSettings) -> None:
    """Estimate what a policy would have earned from what another policy did (off-policy evaluation).

    Raises:
        InterplayError: the log or a number is wrong.
    """
    found = answered(settings)
    print(found.what, evaluation_table(found.evaluations), sep="\n\n")
    if settings.out is not None:
        made = made_by(command_line("ope", settings))
        publish(settings.out, ope_text, made, {"text": found.what, "evaluations": ope_rows(found.evaluations)})
        print(f"wrote {settings.out / REPORT}")
    _write(settings.csv, found)


def answered(settings: OpeSettings) -> Answer:
    """What the estimators say of the log and the policy that the settings name.

    Raises:
        InterplayError: the log or a number is wrong.
    """
    check_flags(settings)
    path = settings.path
    if isinstance(settings.policy, Path) and not _slates(settings):
        raise InterplayError(f"policy={str(settings.policy)!r}: give uniform or most-clicked, since a run's folder "
                             f"is for the slates of a market, NAME{SUFFIX}")
    if not path.exists():
        raise InterplayError(f"{path}: there is no such file or folder: check the path")
    read = _market_log if _slates(settings) else _campaign if path.is_dir() else _table
    return read(settings, path, columns_of(settings))


def columns_of(settings: OpeSettings) -> BanditColumns:
    """The columns that the settings name."""
    return BanditColumns(**{name: getattr(settings, setting) for name, setting in COLUMNS.items()})


def _market_log(settings: OpeSettings, path: Path, columns: BanditColumns) -> Answer:
    log = read_slates(path, columns.unit)
    target, chances = _platform(log, settings.policy, settings.allow_code)
    found = evaluate_slates(log, chances, settings.seed)
    there = log.active
    return Answer(f"{path.name}: {there.sum():,} slates that users saw, mean reward {log.reward[there].mean():.5f}; "
                  f"target: {target}, for users as the log's own slates left them", found)


@working_threads(1)
def _platform(log: SlateLog, policy: str | Path, allow_code: bool) -> tuple[str, Floats]:
    """A description of a market's target, and the log-probability of each slate under it."""
    if isinstance(policy, Path):
        return f"the platform of {policy}", run_slates(log, policy, allow_code)
    if policy != "uniform":
        raise InterplayError(f"policy={policy!r} is one of single items, but {log.source} holds slates: give uniform "
                             "or a run's folder")
    return "every slate as likely", uniform_slates(log)


def _campaign(settings: OpeSettings, path: Path, columns: BanditColumns) -> Answer:
    return ask(path, str(settings.policy)).answer(settings.folds, settings.seed)


def _table(settings: OpeSettings, path: Path, columns: BanditColumns) -> Answer:
    read = read_bandit(path, columns, settings.form())
    answer = answer_of(read, path.name, str(settings.policy), settings.folds, settings.seed)
    return answer._replace(what="\n".join([*read.notes, answer.what]))


def answer_of(read: BanditTable, name: str, policy: str | Floats, folds: int, seed: int) -> Answer:
    """What the estimators say of a table that is called ``name``.

    Args:
        read: the table. If it holds the target's probabilities, ``policy`` and ``folds`` are not needed.
        name: of the table.
        policy: the target's name, or its probabilities ``[N, A]`` in the table's rows.
        folds: of the reward models.
        seed: of folds and bootstrap.
    """
    feedback, what = read.feedback, f"{name}: {{:,}} rounds, {len(read.actions)} actions, mean reward {{:.5f}}"
    if read.target is not None:
        none = np.zeros(len(feedback))
        case = Case(read.target / feedback.propensity, feedback.reward, none, none, none, none)
        return Answer(_described(what, feedback, f"the one in column {read.target_name!r}"),
                      evaluate_case(case, WEIGHTING, seed, unit=feedback.unit))
    if isinstance(policy, str):
        return _asked(feedback, policy, what, read.actions).answer(folds, seed)
    check_policy(policy, feedback)
    policy = policy[read.order]
    text = _described(what, feedback, "the probabilities that were given")
    return Question(feedback, policy, text).answer(folds, seed)


def ask(path: Path, policy: str) -> Question:
    """The log of a campaign and the target that is called ``policy``."""
    log = read_open_bandit(path)
    what = f"{log.campaign} as {log.policy} showed it: {{:,}} rounds, {log.num_items} items, click rate {{:.5f}}"
    return _asked(open_bandit_feedback(log), policy, what, range(log.num_items))


def _asked(feedback: BanditFeedback, policy: str, what: str, names: Sequence[int | str]) -> Question:
    if policy == "uniform":
        return Question(feedback, uniform(feedback), _described(what, feedback, "every item as likely"))
    half = len(feedback) // 2
    if half == 0:
        raise InterplayError(f"policy={policy!r} is chosen on one half of the rounds and evaluated on the other: there "
                             f"are {len(feedback)}, give at least 2")
    older, newer = feedback.take(slice(0, half)), feedback.take(slice(half, None))
    best = most_clicked(older)
    target = f"always item {names[best]}, chosen on the {half:,} rounds before"
    return Question(newer, always(newer, best), _described(what, newer, target))


def _described(what: str, feedback: BanditFeedback, target: str) -> str:
    return f"{what.format(len(feedback), feedback.reward.mean())}; target: {target}"


def _columns(found: Evaluation) -> dict[str, Any]:
    low, high = found.estimate.ci95 or (None, None)
    return {"estimator": found.name, "value": found.estimate.mean, "low": low, "high": high,
            "effective_size": found.effective_size, "clipped": found.clipped, "note": found.note,
            "warning": found.warning}


def _write(path: Path | None, found: Answer) -> None:
    if path is None:
        return
    try:
        found.frame.write_csv(path)
    except OSError as error:
        raise InterplayError(f"csv={str(path)!r} cannot be written ({error}): give a file in a folder that "
                             "exists") from error
    print(f"wrote {path}")
