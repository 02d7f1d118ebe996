"""``scripts/estimators.py``: how right off-policy estimators are on logs whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch

from interplay.envs.checking import Bounds, Positive
from interplay.envs.presets import find_preset
from interplay.experiments.common.flags import Many, Need, Seed, check_flags, when
from interplay.experiments.common.reports import made_line
from interplay.experiments.studies.command_lines import reported
from interplay.experiments.studies.estimators.accuracy import Accuracy, accuracy_table
from interplay.experiments.studies.estimators.market import LoggedMarket
from interplay.experiments.studies.estimators.market_judging import FRESH_WORLDS, judge_market
from interplay.experiments.studies.estimators.synthetic import SyntheticBandit, judge

_PRESET = Need(lambda s: s.preset is not None, "it is about --preset: leave it out")


@dataclass(frozen=True)
class EstimatorSettings:
    """Judge off-policy estimators on logs whose truth is known: of a synthetic bandit, or of a market."""

    preset: str | None = None
    """Market, such as town, whose truth is found by playing; by default a synthetic bandit of 30 actions."""
    repeats: Many = 100
    """Number of logs."""
    rounds: Annotated[int, Bounds(1, 100_000_000)] = 10_000
    """Rounds of each log. In a market a round is a user in its last step, and the number of worlds is rounded up."""
    steps: Many = when(_PRESET, 10)
    """Steps of each log of a market."""
    temperature: Positive = 1.0
    """Temperature of the logging and the target policy: smaller means greedier, and less overlap."""
    folds: Annotated[int, Bounds(2, 1000)] = 3
    """Folds of each log that reward models are cross-fitted on."""
    seed: Seed = 0
    """Seed of the bandit, or of the market's worlds."""
    out: Path | None = None
    """Folder of report.md and its rows; by default nothing is written."""


class Section(NamedTuple):
    """A question, and how well each estimator answers it; no table where it was not asked."""

    text: str
    accuracies: list[Accuracy]


def estimators(settings: EstimatorSettings) -> None:
    """Judge, print and write the report.

    Raises:
        InterplayError: there is no such market, or a number is out of range.
    """
    check_flags(settings)
    torch.set_num_threads(1)
    sections = _bandit(settings) if settings.preset is None else _market(settings, settings.preset)
    data = {"sections": [{"text": text, "accuracies": [a._asdict() for a in found]} for text, found in sections]}
    reported(settings.out, estimators_text, "estimators", data)


def estimators_text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    parts = [made_line(source["made"])]
    for section in source["data"]["sections"]:
        parts.append(section["text"])
        if section["accuracies"]:
            parts.append(accuracy_table([Accuracy(**row) for row in section["accuracies"]]))
    return "\n\n".join(parts) + "\n"


def _bandit(settings: EstimatorSettings) -> list[Section]:
    bandit = SyntheticBandit(temperature=settings.temperature, seed=settings.seed)
    found = judge(bandit, settings.rounds, settings.repeats, settings.folds)
    return [Section(f"{bandit}: truth {bandit.truth():.5f}; {settings.repeats} logs of {settings.rounds:,} rounds by a "
                    f"policy that earns {bandit.truth(bandit.logger):.5f}", found)]


def _market(settings: EstimatorSettings, preset: str) -> list[Section]:
    market = LoggedMarket(find_preset(preset), settings.steps, settings.temperature, settings.seed)
    num_users = market.preset.config.num_users
    worlds = -(-settings.rounds // num_users)
    found = judge_market(market, worlds, settings.repeats, settings.folds)
    sections = [Section(f"{preset}: {settings.repeats} logs of {worlds:,} worlds with {num_users} users and "
                        f"{settings.steps} steps; temperature {settings.temperature:g}, truth from {FRESH_WORLDS:,} "
                        "other worlds", [])]
    sections += [Section(f"{question}: truth {truth.value:.4f} (standard error {truth.error:.4f}), the logger earns "
                         f"{truth.logged:.4f}", accuracy) for question, (truth, accuracy) in found.items()]
    if not market.draws_slates:
        sections.append(Section(f"slate: not asked, since {preset} shows items in a fixed order or retrieves them "
                                "first", []))
    return sections
