"""The process of one section: ``python -m interplay.experiments.studies.gpu.child SECTION ...``.

A section has a process of its own because an error on a GPU may leave the process unusable.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import torch

from interplay.experiments.studies.gpu.bench import Bench, Case, Row
from interplay.experiments.studies.gpu.rows import write_row
from interplay.experiments.studies.gpu.sections import SECTIONS

LOST = 3
"""Exit status of a process whose device no longer works: what is left needs another process."""

_GRACE = 15  # seconds that the last case may take longer
_TRACE = 12  # lines


def main() -> int:
    """Measure the cases of a section one after the other; gives the exit status."""
    options = _options()
    faulthandler.dump_traceback_later(max(1.0, options.until - time.time()) + _GRACE, exit=True)
    bench = Bench(torch.device(options.device), options.quick, options.seconds)
    for number, case in _cases(bench, options):
        row = {"section": options.section, "case": number, **case.what}
        if time.time() > options.until:
            write_row(options.out, {**row, "skipped": "the time of its section is over"})
            continue
        started = time.perf_counter()
        measured = _measured(case)
        write_row(options.out, {**row, **measured, "took_s": time.perf_counter() - started})
        try:
            bench.free()
        except RuntimeError:
            return LOST
    return 0


def _cases(bench: Bench, options: argparse.Namespace) -> Iterator[tuple[int, Case]]:
    """Those of this part of the section, from the one to begin with."""
    for number, case in enumerate(SECTIONS[options.section].cases(bench)):
        if number >= options.first and number % options.parts == options.part:
            yield number, case


def _measured(case: Case) -> Row:
    """What the case measures, or its error."""
    try:
        return dict(case.measure())
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:300],
                "trace": traceback.format_exc().splitlines()[-_TRACE:]}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("section", choices=SECTIONS)
    parser.add_argument("--device", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--until", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
