"""The report: tables that follow from the rows in the folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interplay.experiments.common.tables import table
from interplay.experiments.studies.gpu.bench import Row
from interplay.experiments.studies.gpu.goals import goals
from interplay.experiments.studies.gpu.playing import CAPTURED, COMPILED, EAGER
from interplay.experiments.studies.gpu.rows import read_rows
from interplay.experiments.studies.gpu.tabulated import Found, number, yes


def gpu_text(folder: Path, source: Mapping[str, Any]) -> str:
    """The text of ``report.md``, from the rows beside it."""
    found = Found(read_rows(folder))
    made = source["made"]
    parts = [f"Made by `{made['command']}`.{_machine(found)} Compare figures of one report only.",
             _titled("Goals", goals(found) if source["data"]["device"] == "cuda" else ""),
             _titled("Right", _right(found)), _titled("Core", _core(found)),
             _titled("Training", _training(found)), _titled("Many seeds", _seeds(found)),
             _titled("Time to a score", _score(found)),
             _titled("Not measured", _lost(found))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _titled(title: str, text: str) -> str:
    return f"## {title}\n\n{text}" if text else ""


def _machine(found: Found) -> str:
    machine, copy = found.one("machine", what="machine"), found.one("machine", what="copy")
    if machine is None:
        return ""
    numba = "with" if machine["kernels"] else "without"
    return (f" {machine['device']}, {machine['cores']} CPU cores ({numba} kernels), torch {machine['torch']}, Python "
            f"{machine['python']}; copies within its memory move {number(copy, 'gb_per_s')} GB/s.")


def _right(found: Found) -> str:
    parts = (_networks(found), _parity(found), _synchronisation(found), _contract(found), _with_graphs(found),
             _resume(found))
    return "\n\n".join(part for part in parts if part)


def _networks(found: Found) -> str:
    columns = ("values", "taken", "gradients")
    rows = [[row["preset"], row["side"], yes(row["layer_norm"]), *(f"{row[name]:.2g}" for name in columns)]
            for row in found.measured("networks")]
    return _with("Networks by kernels beside torch's code on the device: length of the difference, in lengths of what "
                 "torch gives.", ["preset", "side", "layer norms", *columns], rows)


def _parity(found: Found) -> str:
    rows = [[row["preset"], row["beside"], yes(row["equal"]), f"{row['largest']:.2g}", str(row["discrete"]),
             row["where"]] for row in found.measured("parity")]
    return _with("Worlds on the device beside the CPU's, with the same actions.",
                 ["preset", "CPU's code", "equal bits", "largest difference", "discrete differences", "where"], rows)


def _synchronisation(found: Found) -> str:
    """Those that wait for the GPU, by name, and how many do not."""
    rows = found.measured("synchronisation")
    if not rows:
        return ""
    checked = [row for row in rows if row["checked"]]
    clean = sum(row["clean"] for row in checked)
    text = (f"{clean} of {len(checked)} market steps, resets and training iterations never wait for the GPU." if checked
            else f"{len(rows)} market steps, resets and training iterations ran; only a GPU shows which of them wait.")
    waiting = [f"- {row['preset']} {row.get('agent', '')} {row['part']}: {row['where']}".replace("  ", " ")
               for row in checked if not row["clean"]]
    return "\n".join([text, *waiting])


def _contract(found: Found) -> str:
    rows = found.measured("contract")
    faults = [f"- {row['agent']}: {row['fault']}" for row in rows if not row["kept"]]
    kept = sum(row["kept"] for row in rows)
    return "\n".join([f"{kept} of {len(rows)} agents keep their contract on the device.", *faults]) if rows else ""


def _with_graphs(found: Found) -> str:
    rows = [[*_kind(row)[:2], *_bits(row), _graphs(row)] for row in found.measured("graphs")]
    return _with("Training with graphs beside training without.", ["preset", "agent", *_BITS, "graphs"], rows)


def _resume(found: Found) -> str:
    rows = [[*_kind(row)[:2], row["capture"], *_bits(row)] for row in found.measured("resume")]
    return _with("Runs that were saved and loaded on the device beside those that were not.",
                 ["preset", "agent", "graphs", *_BITS], rows)


_BITS = ("equal bits", "tensors that differ", "largest difference", "where")


def _bits(row: Row) -> list[str]:
    """Columns of two runs that were compared."""
    return [yes(row["equal"]), f"{row['differ']} of {row['tensors']}", number(row, "largest"),
            row["where"]]


def _core(found: Found) -> str:
    """Sizes by way to run, with VMAS at as many worlds."""
    measured = found.measured("core") + found.measured("compiled")
    sizes = list(dict.fromkeys(map(_size, measured)))
    rows = []
    for size in sizes:
        by_mode, counted = ({row["mode"]: row for row in some if _size(row) == size}
                            for some in (measured, found.measured("kernels-core")))
        peer = found.one("vmas", worlds=size[1]) if size[0] == "kale" else None
        rows.append([size[0], f"{size[1]:,}", size[2],
                     *(number(by_mode.get(mode), "agent_steps_per_s", 1e6) for mode in (EAGER, CAPTURED, COMPILED)),
                     number(peer, "agent_steps_per_s", 1e6),
                     *(number(by_mode.get(mode), "ms") for mode in (EAGER, CAPTURED)), *_kernels(counted),
                     number(by_mode.get(CAPTURED) or by_mode.get(EAGER), "gib")])
    return _with("Millions of agent-steps a second of both sides' observations, random actions and a step.",
                 ["preset", "worlds", "sizes", EAGER, CAPTURED, f"{COMPILED} and {CAPTURED}", "VMAS simple_spread",
                  f"ms {EAGER}", f"ms {CAPTURED}", f"kernels {EAGER}", f"kernels {CAPTURED}", "GPU ms", "GiB"], rows)


def _size(row: Row) -> tuple[str, int, str]:
    """Preset, worlds, and what else was changed, in words."""
    changes = [f"{row[name]:,} {name.removeprefix('num_')}" for name in ("num_users", "num_items", "num_candidates")
               if name in row]
    return row["preset"], row["worlds"], ", ".join(changes)


def _kernels(counted: Mapping[str, Row]) -> list[str]:
    """Kernels eager and captured, and the GPU's own time."""
    return [*(number(counted.get(mode), "kernels") for mode in (EAGER, CAPTURED)),
            number(counted.get(CAPTURED) or counted.get(EAGER), "gpu_ms")]


def _training(found: Found) -> str:
    kinds = list(dict.fromkeys(_kind(row) for row in found.measured("training") + found.measured("training-cpu")))
    rows = [_trained(found, *kind) for kind in kinds]
    return _with("Transitions are steps of worlds. The CPU column is of this machine with one thread or two, which is "
                 "faster, at the sizes that the preset recommends.",
                 ["preset", "agent", "worlds", f"ms {EAGER}", f"ms {CAPTURED}", "transitions/s", "agent-steps/s",
                  "CPU transitions/s", "times the CPU", f"kernels {EAGER}", f"kernels {CAPTURED}", "GPU ms", "GiB",
                  "graphs"], rows)


def _kind(row: Row) -> tuple[str, str, Any]:
    return row["preset"], row["agent"], row["worlds"]


def _trained(found: Found, preset: str, agent: str, worlds: Any) -> list[str]:
    one = dict(preset=preset, agent=agent, worlds=worlds)
    eager, captured = (found.one("training", mode=mode, **one) for mode in (EAGER, CAPTURED))
    cpu = max(found.all("training-cpu", **one), key=lambda row: float(row["transitions_per_s"]), default=None)
    best = captured or eager
    counted = {row["mode"]: row for row in found.measured("kernels-training") if _kind(row) == (preset, agent, worlds)}
    return [preset, agent, f"{(best or cpu or {}).get('num_worlds', 0):,}", number(eager, "ms"), number(captured, "ms"),
            number(best, "transitions_per_s"), number(best, "agent_steps_per_s"), number(cpu, "transitions_per_s"),
            number(best, "transitions_per_s", cpu["transitions_per_s"]) if cpu else "", *_kernels(counted),
            number(best, "gib"), _graphs(captured)]


def _seeds(found: Found) -> str:
    rows = [[*_kind(row)[:2], str(row["seeds"]), number(row, "ms_one"), number(row, "ms"),
             number(row, "ms", row["ms_one"]), _graphs(row)] for row in found.measured("seeds")]
    return _with("An iteration of one seed, and of several that train as one.",
                 ["preset", "agent", "seeds", "one, ms", "all, ms", "times one", "graphs"], rows)


def _graphs(row: Row | None) -> str:
    """How many graphs are replayed, or why none."""
    if row is None:
        return ""
    return f"{row['graphs']}" if row["captured"] else f"no: {row['note']}"


def _score(found: Found) -> str:
    rows = [[row["preset"], row["agent"], f"{row['num_worlds']:,}", "CPU" if section.endswith("cpu") else "device",
             number(row, "wanted"), number(row, "touched"), number(row, "held"), number(row, "trained_s"),
             f"{row['transitions']:,}", number(row, "last"), _graphs(row)]
            for section in ("score", "score-cpu") for row in found.measured(section)]
    return _with("Seconds of training until the user return without exploration in held-out worlds was not below 95 % "
                 "of the optimum, where that is known; held is from the first of three such evaluations in a row.",
                 ["preset", "agent", "worlds", "on", "wanted", "touched", "held", "seconds trained", "transitions",
                  "last score", "graphs"], rows)


def _lost(found: Found) -> str:
    lines = [f"- {row['section']}, {_name(row)}: {row.get('error') or row.get('skipped')}" for row in found.lost()]
    return "\n".join(" ".join(line.split()) for line in lines)


def _name(row: Row) -> str:
    """What a case is called."""
    hidden = ("section", "case", "error", "skipped", "trace", "took_s")
    return ", ".join(f"{name} {value}" for name, value in row.items() if name not in hidden) or "all"


def _with(sentence: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table below its sentence; nothing where there are no rows."""
    return f"{sentence}\n\n{table(header, rows)}" if rows else ""
