"""What every reproduction is given, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from interplay.experiments.common.pictures import Picture


@dataclass(frozen=True)
class ReproductionSettings:
    """Settings of all reproductions."""

    out: Path | None = None
    """Folder of the report and the picture."""

    def ended(self, report: str, picture: str, draw: Callable[[], Picture]) -> str:
        """Print the report, whose text it gives again; where there is a folder, draw the picture into it first."""
        if self.out is not None:
            draw().write(self.out / picture)
        print(report)
        return report
