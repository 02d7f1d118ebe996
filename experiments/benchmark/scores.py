"""From finished runs to rows: what each agent scored in each market with each seed. Reports and pictures read these."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from interplay.envs.types import InterplayError, Side
from interplay.experiments.common.settings import OPTION_OF
from interplay.experiments.common.statistics import check_finite
from interplay.experiments.loop.players import PLACKETT_LUCE
from interplay.experiments.loop.run import RESULTS

SCORES = "scores.csv"

METRICS = ("user_return", "item_return", "welfare", "click_through", "session_length", "users_stay", "users_return",
           "coverage", "exposure_gini", "items_alive", "mean_boost", "rent_dissipation")
"""Figures of an evaluation, in the order in which they are reported."""

OF_FIELD = "measure: "
"""Before the names of what mechanisms measure, such as mean recall, among figures and columns."""

Kind = Literal["baseline", "learner", "exact", "reference"]
_NUMBERS = ("score", "normalised", "best_response_gap", "agent_steps_per_second", "wall_seconds", *METRICS)
_AGAIN = "delete the run, and make it again"
_WORDS = ("market", "agent", "kind", "seed", "measure", "others")


@dataclass(frozen=True)
class Row:
    """One agent in one market with one seed.

    Attributes:
        market: the preset or log.
        agent: whose score it is.
        kind: a ``learner`` that was trained, a ``baseline`` beside it, what is known as ``exact``, or a ``reference``:
            the two scores of a market, in this order, that are 0 and 1 after normalisation.
        seed: of the run; -1 for what is exact, and for references.
        measure: the figure by which the market compares agents.
        others: the agent of the other side.
        figures: ``score`` (the measure's value), ``normalised``, speed, and every metric that is known; after
            ``OF_FIELD``, what mechanisms measure.
    """

    market: str
    agent: str
    kind: Kind
    seed: int
    measure: str
    others: str
    figures: dict[str, float]


def collect(runs: Path, names: Sequence[str]) -> list[Row]:
    """Rows of the runs in these folders; baselines, exact values and references once for each market (and seed).

    Raises:
        InterplayError: a score is not finite.
    """
    found = [json.loads((runs / name / RESULTS).read_text(encoding="utf-8")) for name in names
             if (runs / name / RESULTS).is_file()]
    rows: list[Row] = []
    for result in found:
        rows.append(_learner(result))
        # Every run evaluates the baselines, against its own opponents: those of the market's first agent stand.
        first = next(other for other in found if other["preset"] == result["preset"])
        if agent_of(result) == agent_of(first):
            rows += _baselines(result)
        if result is first:
            rows += _exact(result)
            rows += _references([r for r in found if (r["preset"], agent_of(r)) == (first["preset"], agent_of(first))])
    return normalised(rows)


def normalised(rows: Sequence[Row]) -> list[Row]:
    """The rows, each with the normalised score that follows from its score and the references of its market.

    One pair of references for all runs of a market keeps their order.
    """
    ends = {market: references(rows, market) for market in dict.fromkeys(row.market for row in rows)}
    return [_normalised(row, ends[row.market]) for row in rows]


def references(rows: Sequence[Row], market: str) -> tuple[Row, Row] | None:
    """What is 0 and what is 1 after normalisation; None where users' choices earn nothing more, or others compare."""
    found = [row for row in rows if row.market == market and row.kind == "reference"]
    return (found[0], found[1]) if found else None


def _normalised(row: Row, ends: tuple[Row, Row] | None) -> Row:
    figures = {name: value for name, value in row.figures.items() if name != "normalised"}
    if ends is not None and row.kind in ("learner", "baseline"):
        low, high = (end.figures["score"] for end in ends)
        figures["normalised"] = (figures["score"] - low) / (high - low)
    return replace(row, figures=figures)


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """As CSV, one line for each row; what is not known is empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        numbers = [*_NUMBERS, *measured(rows)]
        writer.writerow([*_WORDS, *numbers])
        for row in rows:
            writer.writerow([*(getattr(row, word) for word in _WORDS),
                             *(f"{row.figures[n]:.7g}" if n in row.figures else "" for n in numbers)])


def measured(rows: Sequence[Row]) -> list[str]:
    """Figures that mechanisms measure, in the order of the rows."""
    return list(dict.fromkeys(name for row in rows for name in row.figures if name.startswith(OF_FIELD)))


def read_rows(path: Path) -> list[Row]:
    """What ``write_rows`` wrote.

    Raises:
        InterplayError: there is no such file, or it is another one.
    """
    if not path.is_file():
        raise InterplayError(f"{str(path)!r} does not exist: give folders that benchmark wrote")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames is None or not {*_WORDS, "score"} <= set(reader.fieldnames):
            raise InterplayError(f"{str(path)!r} has columns {reader.fieldnames}: give folders that benchmark wrote")
        numbers = [name for name in reader.fieldnames if name in _NUMBERS or name.startswith(OF_FIELD)]
        rows = [Row(r["market"], r["agent"], _kind(r["kind"]), int(r["seed"]), r["measure"], r["others"],
                    {name: float(r[name]) for name in numbers if r.get(name)}) for r in reader]
    for row in rows:
        check_finite(list(row.figures.values()), f"{str(path)!r}: figures of {row.agent} in {row.market}",
                     _AGAIN)
    return rows


def scores(rows: Sequence[Row], market: str, agent: str, figure: str = "score") -> list[float]:
    """An agent's figures, seed by seed, where they are known."""
    return [row.figures[figure] for row in rows_of(rows, market, agent) if figure in row.figures]


def rows_of(rows: Sequence[Row], market: str, agent: str) -> list[Row]:
    """An agent's rows, one for each seed: those of a baseline do not count again beside its own runs."""
    found = [row for row in rows if row.market == market and row.agent == agent and row.kind != "reference"]
    return [row for row in found if row.kind == "learner"] or found


def agents_of(rows: Sequence[Row], market: str, *kinds: Kind) -> list[str]:
    """The agents of a market of these kinds, in the order of the rows, without those that are a better known kind."""
    learners = {row.agent for row in rows if row.market == market and row.kind == "learner"}
    names = [row.agent for row in rows if row.market == market and row.kind in kinds
             and (row.kind == "learner" or row.agent not in learners)]
    return list(dict.fromkeys(names))


def _kind(word: str) -> Kind:
    kinds: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
    return kinds[word]


def agent_of(result: dict[str, Any]) -> str:
    """The agent that was compared, with the options that it was given: ``dqn`` or ``dqn,double=False``."""
    side: Side = result["training"]["side"]
    name: str = result["evaluation"][side]
    return ",".join([name, *result[OPTION_OF[side]]])


def _others(played: dict[str, str], side: Side) -> dict[str, str]:
    """The agents of the other sides, by side; a market that draws its own slates has no platform."""
    names: dict[str, str] = {other: played[other] for other in OPTION_OF if other != side}
    if names.get("platform") == PLACKETT_LUCE:
        names.pop("platform")
    return names


def _learner(result: dict[str, Any]) -> Row:
    figures = _figures(result["evaluation"], result)
    figures |= {"wall_seconds": result["wall_seconds"],
                "agent_steps_per_second": result["agent_steps"] / max(1e-9, result["wall_seconds"])}
    if result["best_response_gap"] is not None:
        figures["best_response_gap"] = result["best_response_gap"]
    return _row(result, agent_of(result), "learner", result["seed"], figures)


def _baselines(result: dict[str, Any]) -> list[Row]:
    """Stand-ins on the side that is compared."""
    side, played = result["training"]["side"], result["evaluation"]
    own = [b for b in result["baselines"] if _others(b, side) == _others(played, side) and b[side] != played[side]]
    return [_row(result, b[side], "baseline", result["seed"], _figures(b, result)) for b in own]


def _exact(result: dict[str, Any]) -> list[Row]:
    oracle = result["oracle"]
    if not oracle["exact"]:
        return []
    figures = {name: oracle[name] for name in METRICS if name in oracle}
    figures["score"] = figures[result["training"]["measure"]]
    return [_row(result, oracle["name"], "exact", -1, figures)]


def _references(results: Sequence[dict[str, Any]]) -> list[Row]:
    """Means over the runs of the market's first agent, so that they are those of the baselines that stand."""
    first = results[0]
    if first["normalised_score"] is None or first["training"]["measure"] != "user_return":
        return []
    return [_row(first, agent, "reference", -1, {"score": sum(r["oracle"][name] for r in results) / len(results)})
            for agent, name in (("random", "random"), (first["oracle"]["name"], "user_return"))]


def _figures(evaluation: dict[str, Any], result: dict[str, Any]) -> dict[str, float]:
    figures = {name: evaluation[name]["mean"] for name in METRICS if evaluation[name] is not None}
    figures["score"] = figures[result["training"]["measure"]]
    check_finite([math.nan if value is None else value for value in figures.values()],
                 f"figures of {result['preset']} with {agent_of(result)}, seed {result['seed']}", _AGAIN)
    of_field = {OF_FIELD + name: estimate["mean"] for name, estimate in evaluation.get("measures", {}).items()}
    return figures | {name: value for name, value in of_field.items() if value is not None and math.isfinite(value)}


def _row(result: dict[str, Any], agent: str, kind: Kind, seed: int, figures: dict[str, float]) -> Row:
    return Row(result["preset"], agent, kind, seed, result["training"]["measure"],
               " and ".join(f"{other} {name}" for other, name in
                            _others(result["evaluation"], result["training"]["side"]).items()), figures)
