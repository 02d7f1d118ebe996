"""What the speed benchmark found: rates, targets and a picture."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch

from interplay.envs import kernels
from interplay.experiments.common.reports import publish
from interplay.experiments.common.tables import table
from interplay.experiments.studies.speed.measured import AGENTS, USERS, Measured
from interplay.experiments.studies.speed.picture import draw


class Target(NamedTuple):
    """What a rate should be: at least ``factor`` times that of another."""

    case: str
    unit: str
    factor: float
    other: str


TARGETS = (
    Target("core-2000", USERS, 3.0, "recsim_ng"),
    Target("core-16x2000", USERS, 3.0, "recsim_ng"),
    Target("core-kale", AGENTS, 2.0, "vmas"),
    Target("core-12800", AGENTS, 3.0, "magent2"),
    Target("pettingzoo-1000", AGENTS, 2.0, "magent2_pettingzoo"),
    Target("pettingzoo-10000", AGENTS, 2.0, "magent2_pettingzoo"),
    Target("core-100000", USERS, 0.5, "core-2000"),
    Target("core-100000", USERS, 1 / 1.5, "fused-100000"),
    Target("train-dqn-town", USERS, 20.0, "single-dqn-town"),
    Target("train-pqn-town", USERS, 20.0, "single-pqn-town"),
)

_CPU = " Seconds are those that the process used the CPU for, all its threads together."


def write_bench(out: Path, found: Sequence[Measured], problems: Mapping[str, str], command: str,
                busy: int = 0, clock: str = "wall") -> None:
    """Write the report, its rows and ``bench.png`` into ``out``."""
    made = {"command": command, "machine": _machine()}
    publish(out, bench_text, made, {"problems": dict(problems), "busy": busy, "clock": clock,
                                    "measured": [asdict(one) for one in found]})
    draw(found, out / "bench.png")


def bench_text(folder: Path, source: Mapping[str, Any]) -> str:
    """The text of the report, from the rates of all repeats."""
    made, data = source["made"], source["data"]
    found = [Measured(**{**one, "rates": tuple(one["rates"])}) for one in data["measured"]]
    lost = "".join(f"\n- {problem}" for problem in data["problems"].values())
    parts = [f"Made by `{made['command']}` on {made['machine']}. Medians of repeats; warm-up is left out; random "
             "actions are drawn within what is timed. The machine is shared, so compare rates of one report only."
             f"{_CPU if data.get('clock') == 'cpu' else ''}",
             "## Rates", _rates(found), "## Targets", _targets(found),
             *([_beside(found, data["busy"])] if data.get("busy") else []),
             *([f"## Not measured\n{lost}"] if lost else [])]
    return "\n\n".join(parts) + "\n"


def _rates(found: Sequence[Measured]) -> str:
    rows = [[one.name, str(one.threads), _number(one.per_second(USERS)), _number(one.per_second(AGENTS)),
             f"{min(one.rates) / one.rate:.2f} to {max(one.rates) / one.rate:.2f}",
             f"{one.peak_bytes / 2**20:,.0f}",
             "" if one.bytes_per_agent is None else f"{one.bytes_per_agent:,.0f}", f"{one.what} ({one.version})"]
            for one in found]
    return table(["case", "threads", USERS, AGENTS, "repeats / median", "peak MiB", "bytes an agent", "what"], rows)


def _beside(found: Sequence[Measured], busy: int) -> str:
    """Each number of threads beside one thread, while other processes use the CPU."""
    one_thread = {one.name: one for one in found if one.threads == 1}
    rows = [[one.name, str(one.threads), _number(one.rate), f"{one.rate / one_thread[one.name].rate:.2f}"]
            for one in found if one.threads > 1 and one.name in one_thread]
    return (f"## Beside busy processes\n\nProcesses that used a core each meanwhile: {busy}. Rates as parts of those "
            "on one thread in the same run.\n\n" + table(["case", "threads", "rate", "of one thread"], rows))


def _targets(found: Sequence[Measured]) -> str:
    rows = [row for threads in sorted({one.threads for one in found}) for row in _targets_with(found, threads)]
    return table(["case", "threads", "unit", "is", "of", "wanted", "met"], rows) if rows else "None could be compared."


def _targets_with(found: Sequence[Measured], threads: int) -> Iterator[list[str]]:
    here = {one.name: one for one in found if one.threads == threads}
    for target in TARGETS:
        own = here[target.case].per_second(target.unit) if target.case in here else None
        base = here[target.other].per_second(target.unit) if target.other in here else None
        if own is None or base is None:
            continue
        yield [target.case, str(threads), target.unit, f"{own / base:,.2f}", target.other, f"{target.factor:,.2f}",
               "yes" if own / base >= target.factor else "no"]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _machine() -> str:
    with_kernels = "with kernels" if kernels.available() else "without kernels"
    return (f"{os.cpu_count()} cores of {platform.machine()}, Python {platform.python_version()}, torch "
            f"{torch.__version__.split('+')[0]}, {with_kernels}")
