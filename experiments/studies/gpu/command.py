"""``scripts/gpu.sh``: measure everything about one GPU, and write rows and a report."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from interplay.envs.checking import Positive
from interplay.envs.messages import listed
from interplay.envs.types import InterplayError
from interplay.experiments.common.flags import check_flags
from interplay.experiments.common.reports import SOURCE, made_by, publish
from interplay.experiments.common.settings import find_device
from interplay.experiments.studies.command_lines import typed
from interplay.experiments.studies.gpu.jobs import Runner
from interplay.experiments.studies.gpu.report import gpu_text
from interplay.experiments.studies.gpu.rows import ROWS, read_rows
from interplay.experiments.studies.gpu.sections import SECTIONS

_SECONDS, _QUICK_SECONDS = 0.5, 0.02


@dataclass(frozen=True)
class GpuSettings:
    """Measure one GPU in at most six minutes: is everything right there, how fast is it, how soon does it learn."""

    device: Literal["cuda", "cpu"] = "cuda"
    """Where to measure; cpu shows that the study runs, without a GPU."""
    quick: bool = False
    """Tiny sizes, which show that everything runs."""
    only: tuple[str, ...] = ()
    """Sections to run; by default all (a wrong name lists them)."""
    seconds: Positive | None = None
    """Of each measurement; by default 0.5, in a quick run 0.02."""
    report: bool = False
    """Measure nothing: write report.md from the rows in the folder."""
    out: Path = Path("bench/gpu")
    """Folder of rows.jsonl and report.md."""

    def check(self) -> None:
        """Check the numbers and names.

        Raises:
            InterplayError: one is out of range, a section does not exist, or there is no such device.
        """
        check_flags(self)
        for name in self.only:
            if name not in SECTIONS:
                raise InterplayError(f"section {name!r} does not exist: choose from {listed(SECTIONS, name)}")
        if not self.report:
            find_device(self.device)


def gpu(settings: GpuSettings) -> int:
    """Measure and report.

    Returns:
        The exit status: 1 if a case failed.

    Raises:
        InterplayError: wrong settings, or a folder that cannot be used.
    """
    settings.check()
    if not settings.report:
        _measure(settings)
    rows = read_rows(settings.out)
    if not rows:
        raise InterplayError(f"{str(settings.out)!r} has no {ROWS}: leave out --report to measure")
    print(_publish(settings))
    failed = sum("error" in row for row in rows)
    print(f"{len(rows)} rows, {failed} failed: {settings.out / 'report.md'}", flush=True)
    return 1 if failed else 0


def _measure(settings: GpuSettings) -> None:
    try:
        settings.out.mkdir(parents=True, exist_ok=True)
        (settings.out / ROWS).write_text("", encoding="utf-8")
    except OSError as error:
        raise InterplayError(f"out={str(settings.out)!r} cannot be written ({error.strerror or error}): choose "
                             "another with --out") from error
    _publish(settings)  # so that a run that is killed has what makes a report of its rows
    seconds = settings.seconds or (_QUICK_SECONDS if settings.quick else _SECONDS)
    Runner.starting(settings.device, settings.quick, seconds, settings.out).run(settings.only or tuple(SECTIONS))


def _publish(settings: GpuSettings) -> str:
    """Write the report. One that is made again keeps what it says of the command that measured."""
    source = settings.out / SOURCE
    if settings.report and source.is_file():
        made = json.loads(source.read_text(encoding="utf-8"))["made"]
    else:
        made = made_by(re.sub(r"(--out[ =])\S*/", r"\1", typed("interplay.experiments.studies.gpu")))
    return publish(settings.out, gpu_text, made, {"rows": ROWS, "device": settings.device})
