"""The findings as a table, for people (Markdown) and for programs (CSV)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from interplay.experiments.fidelity.judging import Finding
from interplay.experiments.tables import table

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


def markdown(findings: Sequence[Finding], left_out: Mapping[str, str]) -> str:
    """The overall table."""
    header = ["aspect", "figure", "log", "market", "distance", "", "log against itself [95 %]", "verdict"]
    cells = []
    for row in rows(findings, left_out):
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


def summary(findings: Sequence[Finding]) -> str:
    """One line."""
    inside = sum(finding.within for finding in findings)
    return f"{inside} of {len(findings)} aspects are within the log's own noise"
