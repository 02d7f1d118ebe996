"""The benchmark's report: tables in Markdown, scores and curves as CSV, pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interplay.experiments.benchmark.curves import write_curves
from interplay.experiments.benchmark.scores import (
    METRICS,
    OF_FIELD,
    SCORES,
    Row,
    agents_of,
    collect,
    measured,
    read_rows,
    references,
    rows_of,
    scores,
    write_rows,
)
from interplay.experiments.common.reports import made_by, made_line, publish
from interplay.experiments.common.settings import OPTION_OF
from interplay.experiments.common.statistics import (
    FEWEST,
    INTERVALS,
    interquartile_mean,
    mean_estimate,
    probability_of_improvement,
)
from interplay.experiments.common.tables import table
from interplay.experiments.loop.run import RESULTS


def write_report(out: Path, names: Sequence[str], problems: Mapping[str, str], command: str, scale: float) -> str:
    """Write ``report.md``, ``scores.csv``, ``curves.csv`` and the two pictures; gives the report.

    Args:
        out: the benchmark's folder, whose ``runs`` hold the runs.
        names: the runs' folders.
        problems: why runs failed, by name.
        command: what made them.
        scale: part of the recommended episodes that was trained.
    """
    rows, runs = collect(out / "runs", names), _results(out / "runs", names)
    write_rows(rows, out / SCORES)
    write_curves(out / "runs", rows, names, out)
    found = publish(out, text, made_by(command), {"scale": scale, "rewards": _rewards(runs), "options": _options(runs),
                                                  "problems": dict(problems)})
    if rows:
        from interplay.experiments.benchmark.plots import (
            plot_folders,  # here, because matplotlib takes a second to load
        )

        plot_folders([out], out)
    return found


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from ``scores.csv`` in the folder and from what ``report.json`` holds."""
    rows, data = read_rows(folder / SCORES), source["data"]
    markets = list(dict.fromkeys(row.market for row in rows))
    parts = [made_line(source["made"]),
             "" if data["scale"] >= 1.0 else f"**A short version**: agents trained for {data['scale']:.3g} of the "
             "episodes that are recommended. Do not quote these figures.",
             f"Held-out worlds, exploration off. {INTERVALS} There is one value for each training seed. "
             "`experiments/results/intervals` says how often such intervals hold.",
             "Normalised scores use one pair of references for each market, which is named below it: its 0 is what "
             "random users get, its 1 the optimum, or what greedy users get where no optimum is known. Where platforms "
             "are compared, 0 is a random platform and 1 the market's own slates.",
             *(f"Rewards of the log: {line}." for line in data["rewards"]),
             *(_market(rows, market) for market in markets), _aggregate(rows, markets)]
    if data["options"]:
        parts.append(f"Options that differ from the agents' defaults, as markets recommend: "
                     f"{'; '.join(data['options'])}.")
    if data["problems"]:
        lines = "\n".join(f"- {name}: {problem}" for name, problem in data["problems"].items())
        parts.append(f"## Runs that failed\n\n{lines}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _market(rows: Sequence[Row], market: str) -> str:
    """The tables of one market."""
    first = next(row for row in rows if row.market == market)
    measure = first.measure.replace("_", " ")
    names = agents_of(rows, market, "baseline", "learner")
    score = table(["agent", f"{measure}, IQM [95 %]", "mean [95 %]", "normalised", "best-response gap", "each seed",
                   "agent-steps/s", "seconds"],
                  [_score_row(rows, market, name) for name in names] + _exact_rows(rows, market))
    shown = [m for m in METRICS if m != first.measure and any(scores(rows, market, name, m) for name in names)]
    other = table(["agent", *(m.replace("_", " ") for m in shown)],
                  [[name, *(_mean(scores(rows, market, name, m)) for m in shown)] for name in names])
    return "\n\n".join([f"## {market}", f"Others: {first.others}.{_ends(rows, market)}", score,
                        *_beside_best(rows, market), other, *_of_field(rows, market, names)])


def _beside_best(rows: Sequence[Row], market: str) -> list[str]:
    """Learners' regret to the optimum; where nothing is known exactly, what they earn more than greedy agents."""
    by_seed = {name: _by_seed(rows, market, name) for name in agents_of(rows, market, "learner")}
    optimum, greedy = _by_seed(rows, market, "optimum").values(), _by_seed(rows, market, "greedy")
    if optimum:
        said, (best,) = "Regret to the optimum", optimum
        found = {name: [best - value for value in own.values()] for name, own in by_seed.items()}
    elif agents_of(rows, market, "exact"):
        return []
    else:
        said = "More than greedy agents, paired by training seed"
        found = {name: [value - greedy[seed] for seed, value in own.items() if seed in greedy]
                 for name, own in by_seed.items()}
    each = ", ".join(f"{name} {mean_estimate(values)}" for name, values in found.items() if values)
    return [f"{said}, mean [95 %]: {each}."] if each else []


def _by_seed(rows: Sequence[Row], market: str, name: str) -> dict[int, float]:
    """Scores by seed; what is exact has one of its own."""
    return {row.seed: row.figures["score"] for row in rows_of(rows, market, name)}


def _of_field(rows: Sequence[Row], market: str, names: Sequence[str]) -> list[str]:
    """What the market's mechanisms measure, a line for each figure; nothing where they measure nothing."""
    known = [figure for figure in measured(rows) if any(scores(rows, market, name, figure) for name in names)]
    lines = [[figure.removeprefix(OF_FIELD), *(_mean(scores(rows, market, name, figure)) for name in names)]
             for figure in known]
    return [table(["measure of the field", *names], lines)] if lines else []


def _ends(rows: Sequence[Row], market: str) -> str:
    """What the market's normalised scores refer to."""
    ends = references(rows, market)
    if ends is None:
        return ""
    return " Normalised: " + ", ".join(f"{value} = {end.agent} ({end.figures['score']:.7g})"
                                       for value, end in enumerate(ends)) + "."


def _score_row(rows: Sequence[Row], market: str, name: str) -> list[str]:
    found = scores(rows, market, name)
    rate = scores(rows, market, name, "agent_steps_per_second")
    return [name, str(interquartile_mean(found)), str(mean_estimate(found)),
            _mean(scores(rows, market, name, "normalised")), _mean(scores(rows, market, name, "best_response_gap")),
            " ".join(f"{value:.5g}" for value in found), f"{sum(rate) / len(rate):,.0f}" if rate else "",
            _mean(scores(rows, market, name, "wall_seconds"), 0)]


def _exact_rows(rows: Sequence[Row], market: str) -> list[list[str]]:
    return [[row.agent, f"{row.figures['score']:.3f}", "", "", "", "", "", ""] for row in rows
            if row.market == market and row.kind == "exact"]


def _mean(values: Sequence[float], digits: int = 3) -> str:
    return f"{sum(values) / len(values):.{digits}f}" if values else ""


def _aggregate(rows: Sequence[Row], markets: Sequence[str]) -> str:
    """Normalised scores over all markets with a known optimum, and which agent beats which there."""
    known = [market for market in markets if agents_of(rows, market, "exact")
             and any(row.market == market and "normalised" in row.figures for row in rows)]
    learners = list(dict.fromkeys(row.agent for row in rows if row.kind == "learner"))
    names = [name for name in learners if all(scores(rows, market, name, "normalised") for market in known)]
    if not known or len(names) < 2:
        return ""
    by_task = {name: [scores(rows, market, name, "normalised") for market in known] for name in names}
    total = table(["agent", "normalised, IQM [95 %]"], [[n, str(interquartile_mean(*by_task[n]))] for n in names])
    versus = table(["row beats column", *names],
                   [[one, *("" if one == other else _chance(by_task[one], by_task[other]) for other in names)]
                    for one in names])
    absent = [name for name in learners if name not in names]
    without = f" Without {', '.join(absent)}, which failed in one of them." if absent else ""
    return (f"## Over {', '.join(known)}\n\n{total}\n\nProbability of improvement: the chance that a run of the row's "
            f"agent scores higher than one of the column's, with Newcombe's interval, or without one where fewer than "
            f"{FEWEST} runs are compared.{without}\n\n{versus}")


def _chance(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> str:
    return probability_of_improvement(list(zip(one, other, strict=True))).text(digits=2)


def _results(runs: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """What finished runs hold."""
    paths = (runs / name / RESULTS for name in names)
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]


def _rewards(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """What logs' missing pairs were worth and what was learnt from, once each."""
    return list(dict.fromkeys(result["rewards"] for result in results if "rewards" in result))


def _options(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the markets recommend for agents that were played, once each."""
    said: dict[str, None] = {}
    for result in results:
        for agent, options in result["training"]["options"].items():
            if agent in [result[side] for side in OPTION_OF]:
                values = ", ".join(f"{option}={value}" for option, value in options.items())
                said[f"{result['preset']}: {agent} {values}"] = None
    return list(said)
