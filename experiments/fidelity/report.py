"""The findings as rows, and the report that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interplay.experiments.common.reports import made_line
from interplay.experiments.common.tables import table
from interplay.experiments.fidelity.judging import Finding

PICTURE = "fidelity.png"

WITHIN, BEYOND, LEFT_OUT = "within the log's own noise", "beyond the log's own noise", "left out"


def rows(findings: Sequence[Finding], left_out: Mapping[str, str]) -> list[dict[str, Any]]:
    """One row for each aspect, numbers as they are; of what is left out only the reason."""
    judged = [_row(finding) for finding in findings]
    empty: dict[str, Any] = dict.fromkeys(judged[0]) if judged else {}
    return judged + [{**empty, "aspect": name, "verdict": f"{LEFT_OUT}: {why}"} for name, why in left_out.items()]


def _row(finding: Finding) -> dict[str, Any]:
    aspect = finding.aspect
    name, figure = aspect.figure
    return {"aspect": aspect.name, "unit": aspect.unit, "figure": name, "log": figure(finding.log),
            "market": figure(finding.market), "measure": aspect.measure, "distance": finding.distance,
            "noise_low": finding.noise[0], "noise_high": finding.noise[1],
            "verdict": WITHIN if finding.within else BEYOND}


def markdown(found: Sequence[Mapping[str, Any]]) -> str:
    """The overall table, from ``rows``."""
    header = ["aspect", "figure", "log", "market", "distance", "", "log against itself [95 %]", "verdict"]
    cells = []
    for row in found:
        if row["verdict"].startswith(LEFT_OUT):
            cells.append([row["aspect"], *[""] * 6, row["verdict"]])
            continue
        noise = f"[{row['noise_low']:.4f}, {row['noise_high']:.4f}]"
        cells.append([row["aspect"], row["figure"], f"{row['log']:.3f}", f"{row['market']:.3f}", row["measure"],
                      f"{row['distance']:.4f}", noise, row["verdict"] + _times(row)])
    return table(header, cells)


def _times(row: Mapping[str, Any]) -> str:
    """How many times the noise, where it is more."""
    if row["verdict"] == WITHIN or not row["noise_high"] > 0.0:
        return ""
    return f" ({row['distance'] / row['noise_high']:.1f} times)"


def summary(found: Sequence[Mapping[str, Any]]) -> str:
    """One line, from ``rows``."""
    judged = [row["verdict"] for row in found if not row["verdict"].startswith(LEFT_OUT)]
    return f"{judged.count(WITHIN)} of {len(judged)} aspects are within the log's own noise"


def fidelity_text(folder: Path, source: Mapping[str, Any]) -> str:
    """The text of the report, from its rows."""
    found, notes = source["data"]["rows"], source["data"]["notes"]
    return "\n".join(["# Fidelity", "", made_line(source["made"]), "", f"![{summary(found)}]({PICTURE})", "",
                      markdown(found), "", f"{summary(found)}.", "", _READING, "", "```", *notes, "```", ""])


_READING = """\
A distance of 0 is no difference at all. *Log against itself* is the distance between two resamples of the log, whole
users (or worlds) drawn with replacement: what chance alone does. A market whose distance lies above that interval
differs by more. One verdict in about 40 calls a difference what is chance. *Next response* is the AUC, on half of the
log's users, of a small model that was fitted to the other half or to the market (train on synthetic, test on real)."""
