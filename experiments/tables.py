"""Results as text: aligned in a terminal, and readable as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from interplay.envs.types import SIDES, Side
from interplay.experiments.evaluation import Report, Score
from interplay.experiments.run import Run
from interplay.experiments.statistics import INTERVALS


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns. What Markdown would read as its own or as HTML is escaped."""
    header, rows = _escaped(header), [_escaped(row) for row in rows]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join([line(header), "|" + "|".join("-" * (w + 2) for w in widths) + "|", *map(line, rows)])


def _escaped(cells: Sequence[str]) -> list[str]:
    return [" ".join(cell.splitlines()).replace("|", "\\|").replace("<", "&lt;") for cell in cells]


def formula_safe(cell: str) -> str:
    """The cell with an apostrophe before it where a spreadsheet would read it as a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def report_table(run: Run, report: Report) -> str:
    """The evaluation of a run beside its baselines and its oracle."""
    # Who fills the slates is only worth a column where somebody does.
    sides: tuple[Side, ...] = (*SIDES, "platform") if run.cast.has_platform else SIDES
    rows = [[*_row(score, sides), "" if score is report.score else str(report.score.less(score))]
            for score in (*report.baselines, report.score)]
    oracle = report.oracle
    if oracle is not None:
        items = "" if oracle.item_return is None else f"{oracle.item_return:.1f}"
        boost = "" if oracle.mean_boost is None else f"{oracle.mean_boost:.2f}"
        rows.append([oracle.name, "", f"{oracle.user_return:.3f}", items, "", "", "", boost, ""])
    header = [*sides, "user return [95 %]", "item return [95 %]", "clicks", "stay", "alive", "boost",
              "run less it [95 %]"]
    score = report.normalised_score
    name, best = report.reference
    last = ("" if score is None else f"\nnormalised score (0 = random {report.random:.3f}, 1 = {name} {best:.3f}): "
            f"{score:.3f}")
    if report.best_response_gap is not None:
        last += f"\nbest-response gap (what one agent could gain by deviating): {report.best_response_gap:.3f}"
    worlds = (f"{run.game.training.eval_worlds} held-out worlds, exploration off; the last agents are the run's; "
              "clicks = responses for each item taken, stay = users who never left, alive = items at the end; "
              "run less it = user return of the run less that of the row, paired by world")
    notes = [worlds, INTERVALS, *([run.game.rewards] if run.game.rewards else [])]
    return "\n".join([*notes, table(header, rows)]) + last


def _row(score: Score, sides: Sequence[Side]) -> list[str]:
    return [*(score.names()[side] for side in sides), str(score.user_return), str(score.item_return),
            f"{score.click_through.mean:.3f}", f"{score.users_stay.mean:.0%}", f"{score.items_alive.mean:.0%}",
            f"{score.mean_boost.mean:.2f}"]
