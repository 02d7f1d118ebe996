"""Part "disks": disks that are full and folders that cannot be written, before a run and in the middle of it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from interplay.experiments.studies.faults.processes import Ended, forked
from interplay.experiments.studies.faults.rows import Row, judged, refusal_problems
from interplay.experiments.studies.faults.same import differences
from interplay.experiments.studies.faults.subjects import CONFIG, Subject, pretrained, trained, write_log

PART = "disks"

_FULL, _ROOM = "size=24k", "size=64m"


def bad_disks(place: Path) -> list[Row]:
    """Six commands that cannot write all that they want to; with room again, each must come to the right end."""
    write_log(place / "log.csv")
    cases: dict[str, Callable[[Path], list[str]]] = {
        "train on a full disk": _train_full, "pretrain on a full disk": _pretrain_full,
        "benchmark on a full disk": _benchmark_full, "train in a folder that cannot be written": _train_read_only,
        "benchmark in a folder that cannot be written": _benchmark_read_only, "output to a full disk": _full_output}
    return [_tried(case, tried, place / f"disk{number}") for number, (case, tried) in enumerate(cases.items())]


def _tried(case: str, tried: Callable[[Path], list[str]], folder: Path) -> Row:
    folder.mkdir()
    if "full disk" in case and "output" not in case and not _can_mount(folder):
        return Row(PART, case, "skipped: no right to mount a small disk")
    if "cannot be written" in case and not _can_mount(folder):
        return Row(PART, case, "skipped: no right to mount a read-only disk")
    return judged(PART, case, tried(folder))


def _can_mount(folder: Path) -> bool:
    try:
        with _disk(folder, _ROOM):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def _disk(folder: Path, options: str) -> Iterator[Path]:
    """A small disk of its own in ``folder``."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _remounted(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True, capture_output=True)


def _train_full(folder: Path) -> list[str]:
    return _filled(folder, trained()[0])


def _pretrain_full(folder: Path) -> list[str]:
    return _filled(folder, pretrained(folder.parent / "log.csv")[0])


def _filled(folder: Path, subject: Subject) -> list[str]:
    """Once there is room, the run must continue from what was saved, or start again."""
    whole = folder.with_name(f"{folder.name}-whole")
    forked(subject.fresh(whole), whole.with_suffix(".out"))
    with _disk(folder, _FULL):
        run = folder / "run"
        problems = _problems(forked(subject.fresh(run), whole.with_suffix(".err1")))
        _remounted(folder, _ROOM)
        problems += _succeeds(forked(subject.resumed(run), whole.with_suffix(".out")))
        return problems + differences(whole, run, *subject.kept)[:2]


def _benchmark(out: Path) -> list[str]:
    return ["benchmark", "--presets", "contest", "--agents", "linucb", "q-learning", "--seeds", "1", "--scale",
            "0.005", "--out", str(out)]


def _benchmark_full(folder: Path) -> list[str]:
    """Its runs fail, with a line for each, and perhaps its report."""
    with _disk(folder, _FULL):
        output = folder.with_name(f"{folder.name}.out")
        end = forked(_benchmark(folder / "out"), output)
        problems = _without_traceback(end) + ([] if end.status in (1, 2) else [f"status {end.status}, not 1 or 2"])
        _remounted(folder, _ROOM)
        return problems + _succeeds(forked(_benchmark(folder / "out"), output))


def _train_read_only(folder: Path) -> list[str]:
    """Also the run that is in there must stay as it is."""
    subject = trained()[0]
    with _disk(folder, _ROOM):
        run, output = folder / "run", folder.with_name(f"{folder.name}.out")
        forked(subject.fresh(run), output)
        before = (run / CONFIG).read_bytes()
        _remounted(folder, "ro")
        problems = _problems(forked(subject.fresh(folder / "new"), output))
        problems += _problems(forked([subject.command, "--resume", str(run)], output))
        return problems + ([] if (run / CONFIG).read_bytes() == before else ["the old run has changed"])


def _benchmark_read_only(folder: Path) -> list[str]:
    with _disk(folder, "ro"):
        return _problems(forked(_benchmark(folder / "out"), folder.with_name(f"{folder.name}.out")))


def _full_output(folder: Path) -> list[str]:
    """A full disk takes what is printed; the run itself must be kept."""
    if not os.path.exists("/dev/full"):
        return []
    subject = trained()[0]
    whole, run = folder / "whole", folder / "run"
    forked(subject.fresh(whole), folder / "out")
    end = forked(subject.fresh(run), Path("/dev/full"), error=folder / "error")
    problems = _without_traceback(end) + ([] if end.status else ["status 0, though nothing was printed"])
    if not (run / "results.json").is_file():
        problems += _succeeds(forked(subject.resumed(run), folder / "out"))
    return problems + differences(whole, run, *subject.kept)[:2]


def _problems(end: Ended) -> list[str]:
    return refusal_problems(end.status, _without_progress(end.error))


def _without_traceback(end: Ended) -> list[str]:
    return [f"traceback: {end.error.strip().splitlines()[-1]}"] if "Traceback" in end.error else []


def _succeeds(end: Ended) -> list[str]:
    error = end.error.strip()[-200:]
    return [] if end.status == 0 else [f"with room again: status {end.status}, {error}"]


def _without_progress(error: str) -> str:
    """The output without the bars that show how far a training has come."""
    lines = [line.rpartition("\r")[2] for line in error.splitlines()]
    return "\n".join(line for line in lines if line and not re.search(r"\d+%\|", line))
