"""The command ``interplay ope``: what a policy would have earned, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import polars as pl
import torch
import tyro

from interplay.envs.checking import check_fields
from interplay.envs.data.market_log import SUFFIX
from interplay.envs.data.open_bandit import read_open_bandit
from interplay.envs.presets import find_preset
from interplay.envs.types import InterplayError
from interplay.experiments.ope.accuracy import accuracy_table
from interplay.experiments.ope.estimators import WEIGHTING, Case
from interplay.experiments.ope.evaluation import Evaluation, evaluate_case, evaluate_policy, evaluation_table
from interplay.experiments.ope.exported import SlateLog, evaluate_slates, read_slates, uniform_slates
from interplay.experiments.ope.feedback import BanditFeedback, Floats
from interplay.experiments.ope.market import LoggedMarket
from interplay.experiments.ope.market_judging import FRESH_WORLDS, judge_market
from interplay.experiments.ope.open_bandit import open_bandit_feedback
from interplay.experiments.ope.policies import always, most_clicked, uniform
from interplay.experiments.ope.replay import run_slates
from interplay.experiments.ope.synthetic import SyntheticBandit, judge
from interplay.experiments.ope.table import BanditColumns, read_bandit


@dataclass(frozen=True)
class OpeSettings:
    """Estimate what a policy would have earned from what another policy did (off-policy evaluation)."""

    path: Annotated[Path | None, tyro.conf.Positional] = None
    """Table of your own (.csv, .tsv, .parquet), a row for each choice that was logged. Or a campaign of the Open Bandit
    data set, such as obd/bts/men: a folder with men.csv and item_context.csv, whose columns are known. Or the slates of
    a market, NAME.market.parquet, as evaluate --export writes them, whose columns are known too."""
    action_column: str = "item"
    """Column of the table with what was chosen."""
    reward_column: str = "reward"
    """Column with what came of it."""
    propensity_column: str = "propensity"
    """Column with the probability of that choice under the policy that made it."""
    target_column: str | None = None
    """Column with its probability under the policy that is asked about, in place of --policy. Only that of what was
    chosen is known then, so that the estimators are those that need no model."""
    context_columns: tuple[str, ...] = ()
    """Columns that reward models may use: numbers, or text of a few categories."""
    unit_column: str | None = None
    """Column with what was drawn independently, such as the user: its rows stay together in folds and intervals. Of
    a market's slates it is each user of each world, unless you say world, or another column of the file."""
    policy: Literal["uniform", "most-clicked"] | Path = "uniform"
    """The target: every item as likely, or always the item with the highest click rate in the older half of the log,
    which is then evaluated on the newer half; a table is as old as its rows are high. Of a market's slates: every slate
    of what could be shown as likely, or a folder that train wrote, whose platform is meant, without exploration."""
    folds: int = 3
    """Folds of the log that the reward models of DM, DR and their relatives are cross-fitted on."""
    seed: int = 0
    """Seed of folds and bootstrap, and of the synthetic bandit or the market's worlds."""
    csv: Path | None = None
    """File to write the table to as well."""
    synthetic: bool = False
    """Instead of a log, judge the estimators on a synthetic bandit of 30 actions whose truth is known."""
    preset: str | None = None
    """Instead of a log, judge them in this market, such as town, where playing tells the truth."""
    repeats: int = 100
    """Logs to judge the estimators by."""
    rounds: int = 10_000
    """Rounds of each of these logs. In a market a round is a user in its last step, and worlds are whole."""
    steps: int = 10
    """Steps of each log of a market."""
    temperature: float = 1.0
    """Temperature of the policies of bandit or market: smaller means greedier, and less overlap."""


class Question(NamedTuple):
    """A log, a target and a line that says what they are."""

    feedback: BanditFeedback
    policy: Floats
    what: str


_COLUMNS = {"action": "action_column", "reward": "reward_column", "propensity": "propensity_column",
            "target": "target_column", "context": "context_columns", "unit": "unit_column"}


def ope(settings: OpeSettings) -> None:
    """Print the table, and write it if that is asked for.

    Raises:
        InterplayError: not exactly one of path, ``synthetic`` and ``preset`` is given, or whatever is wrong with the
            log or the numbers.
    """
    check_fields(settings)
    path = settings.path
    if (path is not None) + settings.synthetic + (settings.preset is not None) != 1:
        raise InterplayError(f"path={path and str(path)!r}, synthetic={settings.synthetic} and preset="
                             f"{settings.preset!r}: give either a log, such as my.csv or obd/bts/men, or "
                             "--synthetic, or --preset town")
    if isinstance(settings.policy, Path) and not (path is not None and path.name.endswith(SUFFIX)):
        raise InterplayError(f"policy={str(settings.policy)!r}: give uniform or most-clicked; a run's folder is for "
                             f"the slates of a market, NAME{SUFFIX}")
    if path is not None:
        _estimate(settings, path)
    elif settings.preset is not None:
        _judge_market(settings, settings.preset)
    else:
        _judge(settings)


def _estimate(settings: OpeSettings, path: Path) -> None:
    if not path.exists():
        raise InterplayError(f"{path}: there is no such file or folder: check the path")
    columns = BanditColumns(**{name: getattr(settings, setting) for name, setting in _COLUMNS.items()})
    read = _market_log if path.name.endswith(SUFFIX) else _campaign if path.is_dir() else _table
    what, found = read(settings, path, columns)
    print(what)
    print(evaluation_table(found))
    _write(settings.csv, [_columns(e) for e in found])


def _market_log(settings: OpeSettings, path: Path, columns: BanditColumns) -> tuple[str, list[Evaluation]]:
    if replace(columns, unit=None) != BanditColumns():
        raise InterplayError(f"{path}: the columns of a market's slates are known, but {columns} was given: leave out "
                             "all but --unit-column")
    log = read_slates(path, columns.unit)
    target, chances = _platform(log, settings.policy)
    found = evaluate_slates(log, chances, settings.seed)
    there = log.active
    return (f"{path.name}: {there.sum():,} slates that users saw, mean reward {log.reward[there].mean():.5f}; target: "
            f"{target}, for users as the log's own slates left them", found)


def _platform(log: SlateLog, policy: str | Path) -> tuple[str, Floats]:
    """A market's target in words, and the log-probability of each slate under it."""
    if isinstance(policy, Path):
        torch.set_num_threads(1)
        return f"the platform of {policy}", run_slates(log, policy)
    if policy != "uniform":
        raise InterplayError(f"policy={policy!r} is one of single items, but {log.source} holds slates: give uniform "
                             "or a run's folder")
    return "every slate as likely", uniform_slates(log)


def _campaign(settings: OpeSettings, path: Path, columns: BanditColumns) -> tuple[str, list[Evaluation]]:
    if columns != BanditColumns():
        raise InterplayError(f"{path}: the columns of Open Bandit are known, but {columns} was given: leave it out")
    question = ask(path, str(settings.policy))
    return question.what, evaluate_policy(question.feedback, question.policy, settings.folds, seed=settings.seed)


def _table(settings: OpeSettings, path: Path, columns: BanditColumns) -> tuple[str, list[Evaluation]]:
    read = read_bandit(path, columns)
    feedback, what = read.feedback, f"{path.name}: {{:,}} rounds, {len(read.actions)} actions, mean reward {{:.5f}}"
    if read.target is None:
        question = _asked(feedback, str(settings.policy), what, read.actions)
        return question.what, evaluate_policy(question.feedback, question.policy, settings.folds, seed=settings.seed)
    if settings.policy != "uniform":
        raise InterplayError(f"target_column={columns.target!r} and policy={settings.policy!r} are two targets: leave "
                             "one out")
    told = _told(what, feedback, f"the one in column {columns.target!r}")
    none = np.zeros(len(feedback))
    case = Case(read.target / feedback.propensity, feedback.reward, none, none, none, none)
    return told, evaluate_case(case, WEIGHTING, settings.seed, unit=feedback.unit)


def ask(path: Path, policy: str) -> Question:
    """The log of a campaign and the target that is called ``policy``."""
    log = read_open_bandit(path)
    what = f"{log.campaign} as {log.policy} showed it: {{:,}} rounds, {log.num_items} items, click rate {{:.5f}}"
    return _asked(open_bandit_feedback(log), policy, what, range(log.num_items))


def _asked(feedback: BanditFeedback, policy: str, what: str, names: Sequence[int | str]) -> Question:
    if policy == "uniform":
        return Question(feedback, uniform(feedback), _told(what, feedback, "every item as likely"))
    half = len(feedback) // 2
    if half == 0:
        raise InterplayError(f"policy={policy!r} is chosen on one half of the rounds and evaluated on the other: there "
                             f"are {len(feedback)}, give at least 2")
    older, newer = feedback.take(slice(0, half)), feedback.take(slice(half, None))
    best = most_clicked(older)
    target = f"always item {names[best]}, chosen on the {half:,} rounds before"
    return Question(newer, always(newer, best), _told(what, newer, target))


def _told(what: str, feedback: BanditFeedback, target: str) -> str:
    return f"{what.format(len(feedback), feedback.reward.mean())}; target: {target}"


def _columns(found: Evaluation) -> dict[str, Any]:
    low, high = found.estimate.ci95
    return {"estimator": found.name, "value": found.estimate.mean, "low": low, "high": high,
            "effective_size": found.effective_size, "clipped": found.clipped, "warning": found.warning}


def _judge(settings: OpeSettings) -> None:
    bandit = SyntheticBandit(temperature=settings.temperature, seed=settings.seed)
    found = judge(bandit, settings.rounds, settings.repeats, settings.folds)
    print(f"{bandit}\ntruth {bandit.truth():.5f}; {settings.repeats} logs of {settings.rounds:,} rounds by a policy "
          f"that earns {bandit.truth(bandit.logger):.5f}")
    print(accuracy_table(found))
    _write(settings.csv, [a._asdict() for a in found])


def _judge_market(settings: OpeSettings, preset: str) -> None:
    torch.set_num_threads(1)
    market = LoggedMarket(find_preset(preset), settings.steps, settings.temperature, settings.seed)
    num_users = market.preset.config.num_users
    worlds = -(-settings.rounds // num_users)
    found = judge_market(market, worlds, settings.repeats, settings.folds)
    print(f"{preset}: {settings.repeats} logs of {worlds:,} worlds with {num_users} users and {settings.steps} steps; "
          f"temperature {settings.temperature:g}, truth from {FRESH_WORLDS:,} other worlds")
    for question, (truth, accuracy) in found.items():
        print(f"\n{question}: truth {truth.value:.4f} (standard error {truth.error:.4f}), the logger earns "
              f"{truth.logged:.4f}\n{accuracy_table(accuracy)}")
    if not market.draws_slates:
        print(f"\nslate: not asked, since {preset} shows what it shows in a fixed order or retrieves it first")
    _write(settings.csv, [{"question": question} | a._asdict() for question, answer in found.items()
                          for a in answer.accuracy])


def _write(path: Path | None, rows: list[dict[str, Any]]) -> None:
    if path is None:
        return
    try:
        pl.DataFrame(rows).write_csv(path)
    except OSError as error:
        raise InterplayError(f"csv={str(path)!r} cannot be written ({error}): give a file in a folder that "
                             "exists") from error
    print(f"wrote {path}")
