"""All reproductions in one table and one picture: what was published, what is found here, and the verdict.

Run as ``python -m interplay.experiments.studies.reproductions.summary --out experiments/results/reproductions``, after
the studies whose reports it reads.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from interplay.envs.types import InterplayError
from interplay.experiments.cli.main import main
from interplay.experiments.common.pictures import Picture
from interplay.experiments.common.reports import SOURCE, made_by, made_line, publish
from interplay.experiments.common.statistics import mean_estimate
from interplay.experiments.studies.command_lines import typed
from interplay.experiments.studies.reproductions import arena, coaching, coat, pricing
from interplay.experiments.studies.reproductions.findings import READING, Row, findings_table, reached

_VARIANT = "influence by the mean vector"  # which shows what another choice would do, and is no reproduction
_COLOURS = {True: "#0072b2", False: "#d55e00"}
_WIDEST = 2.0  # times what was published; what is further out is drawn at the edge


def _listed(data: Mapping[str, Any]) -> list[Row]:
    """Rows of a report that consists of findings."""
    return [row for row in data["rows"] if row["published"] is not None and _VARIANT not in row["figure"]]


class Study(NamedTuple):
    """A study: what it repeats, its folder beside this report, and its findings by the data of its ``report.json``."""

    name: str
    folder: str
    findings: Callable[[Mapping[str, Any]], Sequence[Row]]


STUDIES = (
    Study("Calvano et al. 2020, Johnson et al. 2023", "../pricing", pricing.published_rows),
    Study("StepCountJITAI", "coaching", coaching.published_rows),
    Study("RecSim's LTS", "satisfaction", _listed),
    Study("recsim-arena", "arena", arena.published_rows),
    Study("SARDINE", "boredom", _listed),
    Study("Schnabel et al. 2016", "coat", coat.published_rows))


@dataclass(frozen=True)
class SummarySettings:
    """Put all reproductions into one table and one picture."""

    out: Path = Path("experiments/results/reproductions")
    """Folder of the report, which holds the folders of the studies."""


def study(settings: SummarySettings) -> str:
    """Write ``report.md``, ``report.json`` and ``verdicts.png``; gives the report's text."""
    missing = [each.folder for each in STUDIES if not (settings.out / each.folder / SOURCE).is_file()]
    if missing:
        raise InterplayError(f"{str(settings.out)!r} has no report in {', '.join(missing)}: make these studies first")
    report = publish(settings.out, text, made_by(typed(__name__)), {})
    draw(findings(settings.out)).write(settings.out / "verdicts.png")
    print(report)
    return report


def findings(folder: Path) -> list[Row]:
    """Findings of all studies, from their committed reports, each with the name of its study."""
    found: list[Row] = []
    for each in STUDIES:
        data = json.loads((folder / each.folder / SOURCE).read_text(encoding="utf-8"))["data"]
        found += [{**row, "study": each.name} for row in each.findings(data)]
    return found


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from those of the studies."""
    rows = findings(folder)
    counts = [f"{sum(bool(reached(row)) for row in of)} of {len(of)} of {each.name}" for each in STUDIES
              if (of := [row for row in rows if row["study"] == each.name])]
    return "\n\n".join([
        made_line(source["made"]),
        f"Figures that are reached: {'; '.join(counts)}. Tolerances are explained in the report of each study: "
        + ", ".join(f"[{each.name}]({each.folder}/report.md)" for each in STUDIES)
        + f". {READING} NOTES.md says where differences come from.",
        findings_table(rows), "![what is found, as a multiple of what was published](verdicts.png)"]) + "\n"


def draw(rows: Sequence[Row]) -> Picture:
    """Each finding with its interval and the tolerance, all as multiples of what was published."""
    figure = Picture(figsize=(10.0, 1.2 + 0.17 * len(rows)), layout="constrained")
    axis = figure.add_subplot()
    for place, row in enumerate(rows):
        published, colour = row["published"], _COLOURS[bool(reached(row))]
        width = row["tolerance"] / abs(published)
        axis.plot([1.0 - width, _WIDEST if row.get("at_least") else min(_WIDEST, 1.0 + width)], [place, place],
                  color="#d0d4da", linewidth=6, solid_capstyle="butt")
        estimate = mean_estimate(row["values"])
        ends = [min(_WIDEST, end / published) for end in estimate.ci95 or estimate.range or ()]
        axis.plot(ends, [place] * len(ends), color=colour, linewidth=1.5)
        axis.plot(min(_WIDEST, estimate.mean / published), place, "o", color=colour, markersize=4)
    axis.axvline(1.0, color="#3b4252", linewidth=0.8)
    axis.set_xlim(0.0, _WIDEST)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_yticks(range(len(rows)), [f"{row['where']}: {row['figure']}" for row in rows], fontsize=7)
    axis.set_xlabel("found / published (grey: tolerance; blue: reached, orange: not reached)")
    return figure


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.reproductions.summary:study"))
