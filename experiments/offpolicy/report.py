"""What ``ope`` found, as rows and as the report that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interplay.experiments.common.reports import made_line
from interplay.experiments.common.statistics import Estimate
from interplay.experiments.offpolicy.evaluation import Evaluation, evaluation_table


def ope_rows(found: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """The evaluations, ready for JSON."""
    return [one._asdict() | {"estimate": one.estimate._asdict()} for one in found]


def ope_text(folder: Path, source: Mapping[str, Any]) -> str:
    """The text of the report, from its rows."""
    data = source["data"]
    found = [Evaluation(**{**row, "estimate": Estimate(**row["estimate"])}) for row in data["evaluations"]]
    return "\n\n".join([made_line(source["made"]), data["text"], evaluation_table(found)]) + "\n"
