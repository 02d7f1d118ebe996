"""RecSim's environment of long-term satisfaction (Ie et al. 2019), exactly and learnt.

Run as ``python -m interplay.experiments.studies.reproductions.satisfaction --out
experiments/results/reproductions/satisfaction``. Exact values are those of ``experiments.exact.satisfaction``; agents
are trained on the presets ``lts``, ``lts-strong`` and ``lts-null`` and judged on held-out worlds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from interplay.envs.presets import find_preset
from interplay.experiments.cli.main import main
from interplay.experiments.common.pictures import Picture
from interplay.experiments.common.reports import known_rows, made_by, made_line, publish
from interplay.experiments.exact.satisfaction import SatisfactionGame, any_item, greedy, optimal
from interplay.experiments.studies.command_lines import typed
from interplay.experiments.studies.reproductions.findings import READING, Row, finding, findings_table
from interplay.experiments.studies.reproductions.settings import ReproductionSettings
from interplay.experiments.studies.reproductions.training import returns_of_seeds

PRESETS = ("lts", "lts-strong", "lts-null")
RANDOM = {"20 candidates, slates of 2": 951.0, "50 candidates, slates of 3": 946.0}
"""Returns of random slates in RecSim as it is by default, which RLlib's tuned example of SlateQ notes."""
EXACT = {("lts", "optimum"): 997.2, ("lts", "greedy"): 800.6, ("lts-strong", "optimum"): 1629.1,
         ("lts-strong", "greedy"): 412.5}
"""What dynamic programming in other code gave for the same parameters."""
_ITEMS = 200  # that stand for items of any clickbait, each as likely
_SHARE = 0.02  # of the optimum: how far from it agents may end; on lts, always to take kale ends further from it


@dataclass(frozen=True)
class SatisfactionSettings(ReproductionSettings):
    """Solve RecSim's environment of long-term satisfaction, and train agents on it."""

    agents: tuple[str, ...] = ("dqn",)
    """Agents of the user, by name or as NAME,OPTION=VALUE."""
    seeds: int = 5
    """Training seeds, from 0."""
    episodes: int | None = None
    """Episodes of training; by default as the presets recommend."""


def study(settings: SatisfactionSettings) -> str:
    """Solve, train, and write ``report.md``, ``report.json`` and ``planning.png``; gives the report's text."""
    torch.set_num_threads(1)
    exact, planning = [*_published_rows(), *_exact_rows()], _planning()
    known = {(row["where"], row["figure"]): row["values"] for row in known_rows(settings.out)}
    made = made_by(typed(__name__))
    for learnt in _learnt_rows(settings, known):  # what is trained is kept, and goes on after a stop
        rows = [*exact, *learnt]
        report = publish(settings.out, text, made, {"rows": rows, "planning": planning})
    return settings.ended(report, "planning.png", lambda: draw(rows, planning))


def _published_rows() -> list[Row]:
    """Random items, drawn again in each step, as RecSim has them by default, and with its agents' limit."""
    rules = _game("lts-null").rules
    every = tuple(((np.arange(_ITEMS) + 0.5) / _ITEMS).tolist())
    found = {limit: SatisfactionGame(replace(rules, limit=limit), every, 60).value(any_item) for limit in (0.0, 100.0)}
    rows = [finding("RecSim by default", f"random, {sizes}", found[0.0], published, 0.01 * published)
            for sizes, published in RANDOM.items()]
    return [*rows, finding("RecSim by default, but 100 at most", "random", found[100.0])]


def _exact_rows() -> list[Row]:
    return [finding(name, figure, value, EXACT.get((name, figure)), 0.1)
            for name in PRESETS for figure, value in _exact(_game(name)).items()]


def _exact(game: SatisfactionGame) -> dict[str, float]:
    oracle = game.oracle()
    assert oracle.greedy is not None  # it always is computed
    return {"optimum": oracle.user_return, "greedy": oracle.greedy,
            **{other.name: other.user_return for other in oracle.others}}


def _learnt_rows(settings: SatisfactionSettings, known: Mapping[tuple[str, str], Sequence[float]]) -> Iterator[
        list[Row]]:
    """Rows of what was learnt, after each training, and at the end."""
    done: list[Row] = []
    for name, agent in product(PRESETS, settings.agents):
        best, episodes = _game(name).value(optimal), settings.episodes or find_preset(name).training.episodes
        figure = f"{agent} after {episodes} episodes, beside the optimum"
        kept = known.get((name, figure), ())
        rows: list[Row] = []
        for found in returns_of_seeds(name, agent, settings.seeds, episodes, kept):
            rows = [finding(name, figure, found, round(best, 1), _SHARE * best)] if found else []
            yield [*done, *rows]
        done += rows


def _game(preset: str) -> SatisfactionGame:
    game = SatisfactionGame.of(find_preset(preset).market())
    assert game is not None  # the preset is made for it
    return game


def _planning() -> dict[str, list[float]]:
    """What planning is worth at other sensitivities than the presets'."""
    game = _game("lts")
    sensitivity = np.linspace(0.0, 0.3, 16).round(3).tolist()
    games = [replace(game, rules=replace(game.rules, sensitivity=value)) for value in sensitivity]
    return {"sensitivity": sensitivity, **{name: [round(each.value(policy), 2) for each in games] for name, policy in (
        ("optimum", optimal), ("greedy", greedy), ("any item", any_item))}}


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    rows = source["data"]["rows"]
    learnt = ("Learnt returns are those on held-out worlds without exploration, one for each training seed; they stand "
              f"beside the optimum, with a tolerance of {_SHARE:.0%} of it. ")
    return "\n\n".join([
        made_line(source["made"]),
        "RecSim's environment of long-term satisfaction. Published: the returns of random slates, as RLlib notes them, "
        "with a tolerance of 1 %; and optima and greedy returns that other code computed, with a tolerance of 0.1. "
        f"{learnt * any(not row['exact'] for row in rows)}{READING}",
        findings_table(rows), "![what planning is worth](planning.png)"]) + "\n"


def draw(rows: Sequence[Mapping[str, Any]], planning: Mapping[str, Sequence[float]]) -> Picture:
    """Exact returns by sensitivity, with what agents have learnt."""
    figure = Picture(figsize=(5.6, 3.6), layout="constrained")
    axis = figure.add_subplot()
    for name, colour in (("optimum", "#009e73"), ("any item", "#8a8f98"), ("greedy", "#d55e00")):
        axis.plot(planning["sensitivity"], planning[name], color=colour, label=f"{name} (exact)")
    at = {name: _game(name).rules.sensitivity for name in PRESETS}
    learnt = [row for row in rows if not row["exact"]]
    for row in learnt:
        axis.plot([at[row["where"]]] * len(row["values"]), row["values"], "o", color="#0072b2", markersize=4,
                  label=row["figure"].partition(" after")[0] if row is learnt[0] else None)
    axis.set_xlabel("sensitivity of satisfaction (RecSim's default: 0.01)")
    axis.set_ylabel("return of 60 steps")
    axis.legend()
    return figure


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.reproductions.satisfaction:study"))
