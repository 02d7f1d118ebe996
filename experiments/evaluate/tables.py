"""An evaluation as a table, aligned in a terminal, and readable as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from interplay.envs.types import SIDES, Side
from interplay.experiments.common.statistics import INTERVALS, Estimate
from interplay.experiments.common.tables import table
from interplay.experiments.evaluate.evaluation import Report, Score
from interplay.experiments.evaluate.measuring import AT_END
from interplay.experiments.exact.base import Oracle
from interplay.experiments.loop.run import Run


def report_table(run: Run, report: Report) -> str:
    """The evaluation of a run beside its baselines and its oracle."""
    # A column for the platform only where an agent fills the slates.
    sides: tuple[Side, ...] = (*SIDES, "platform") if run.players.has_platform else SIDES
    rows = [[*_row(score, sides), "" if score is report.score else str(report.score.less(score))]
            for score in (*report.baselines, report.score)]
    known = exact(report)
    rows += [_exact_row(oracle) for oracle in known]
    header = [*sides, "user return [95 %]", "item return [95 %]", "clicks", "stay", "alive", "boost",
              "run less it [95 %]"]
    score = report.normalised_score
    name, best = report.reference
    last = ("" if score is None else f"\nnormalised score (0 = random {report.random:.3f}, 1 = {name} {best:.3f}): "
            f"{score:.3f}")
    if report.best_response_gap is not None:
        last += f"\nbest-response gap (what one agent could gain by deviating): {report.best_response_gap:.3f}"
    if report.score.measures:
        last += f"\n{table(*measures(report))}"
    worlds = (f"{run.task.training.eval_worlds} held-out worlds, exploration off; the last agents are the run's; "
              "clicks = responses for each item taken, stay = users who never left, alive = items at the end; "
              "run less it = user return of the run less that of the row, paired by world")
    notes = [worlds, INTERVALS, *([run.task.rewards] if run.task.rewards else [])]
    return "\n".join([*notes, table(header, rows)]) + last


def _exact_row(oracle: Oracle) -> list[str]:
    items = "" if oracle.item_return is None else f"{oracle.item_return:.1f}"
    boost = "" if oracle.mean_boost is None else f"{oracle.mean_boost:.2f}"
    return [oracle.name, "", f"{oracle.user_return:.3f}", items, "", "", "", boost, ""]


def exact(report: Report) -> tuple[Oracle, ...]:
    """All that is known exactly, what counts as 1 first."""
    return () if report.oracle is None else (report.oracle, *report.oracle.others)


def measures(report: Report, interval: bool = True) -> tuple[list[str], list[list[str]]]:
    """Header and rows: what mechanisms measure, over steps and at the end, beside what is known exactly."""
    found = report.score.measures
    known = [oracle for oracle in exact(report) if oracle.measures.keys() & found.keys()]
    rows = [[name, *(str(one if interval else Estimate(one.mean)) for one in (found[name], found[name + AT_END])),
             *(f"{oracle.measures[name]:.4f}" if name in oracle.measures else "" for oracle in known)]
            for name in found if not name.endswith(AT_END)]
    means = [f"{name}{' [95 %]' * interval}" for name in ("mean over steps", "at the end")]
    return ["measure", *means, *(oracle.name for oracle in known)], rows


def _row(score: Score, sides: Sequence[Side]) -> list[str]:
    return [*(score.names()[side] for side in sides), str(score.user_return), str(score.item_return),
            f"{score.click_through.mean:.3f}", f"{score.users_stay.mean:.0%}", f"{score.items_alive.mean:.0%}",
            f"{score.mean_boost.mean:.2f}"]
