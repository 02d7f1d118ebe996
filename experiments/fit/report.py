"""The report of a fitted market, which follows from its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interplay.experiments.common.reports import made_line
from interplay.experiments.common.tables import table


def table_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """Each part's log-likelihood beside that of a simpler model."""
    header = ["part", "model", "log-likelihood", "simpler model", "log-likelihood", "gain", "held-out cases", "used"]
    return table(header, [[row["part"], row["model"], f"{row['fitted']:.4f}", row["simpler"], f"{row['baseline']:.4f}",
                           f"{row['fitted'] - row['baseline']:+.4f}", f"{row['cases']:,}",
                           "yes" if row["used"] else "no"] for row in rows])


def fit_text(folder: Path, source: Mapping[str, Any]) -> str:
    """The text of the report."""
    return "\n".join(["# Fitted market", "", made_line(source["made"]), "", table_of(source["data"]["rows"]), "",
                      _READING, "", "```", *source["data"]["notes"], "```", ""])


_READING = """\
Log-likelihoods are means over held-out cases (rows, users or sessions), in nats: higher is better. Nothing of the
held-out part was used to fit. Of users who are held out, half of the rows show what they like and the other half is
predicted."""
