"""Do two versions of this package play and learn the same, to the bit?

Run as ``python -m interplay.experiments.studies.golden --before COMMIT --out experiments/results/golden``. It checks
the commit out in a folder of its own, plays every preset 60 steps at random in both versions, with and without kernels,
trains every learner for a few episodes, and compares digests. Restructuring changes none of them.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from interplay.envs.presets import presets
from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import made_line
from interplay.experiments.common.tables import table
from interplay.experiments.common.workers import usable_cores
from interplay.experiments.studies.command_lines import reported

ROOT = Path(__file__).resolve().parents[2]

PLAY = """
import hashlib, sys, torch
from interplay.envs.presets import find_preset
torch.set_num_threads(1)

def played(preset):
    market = find_preset(preset).market()
    draws = torch.Generator().manual_seed(0)
    state, digest = market.reset(range(3), 5), hashlib.sha256()
    for _ in range(60):
        actions = []
        for side in ("users", "items"):
            seen = market.observe(state, side)
            for tensor in (seen.own, seen.options, seen.mask, seen.ids):
                digest.update((tensor + 0).numpy().tobytes())  # -0.0 is 0.0
            chance = torch.rand(seen.mask.shape, generator=draws).masked_fill(~seen.mask, -1.0)
            actions.append(chance.argmax(-1))
        state, step = market.step(state, *actions)
        for name in ("user_own", "item_own", "user_reward", "item_reward", "chosen", "response", "cost"):
            digest.update((getattr(step, name) + 0).numpy().tobytes())
    return digest.hexdigest()[:16]

for preset in sys.argv[1:]:
    try:
        print(played(preset))
    except Exception as error:
        print("failed:", str(error).splitlines()[0][:80])
"""
"""What plays presets; it uses only what every version has."""

TRAIN = """
import json, runpy, sys, traceback
script, *given = sys.argv[1:]
for words in given:
    sys.argv = [script, *json.loads(words)]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit:
        pass  # what it has written says whether it worked
    except Exception:
        traceback.print_exc()
"""
"""What trains, one command line after the other."""

_NEW = "failed: unknown preset"
_SMALL = ("--num-worlds", "8", "--eval-worlds", "8")
_KALE = ("--preset", "kale", "--items", "rest", "--episodes", "12", "--users")
_VIABILITY = ("--preset", "viability", "--items", "rest", "--episodes", "4", "--users")
TRAININGS: tuple[tuple[str, ...], ...] = (
    *((*_KALE, users) for users in ("q-learning", "beta-bernoulli", "linucb", "linear-thompson",
                                    "dqn,warm_up=64", "dqn,warm_up=64,sharing=independent", "pqn", "ippo",
                                    "shared-critic,warm_up=64")),
    ("--preset", "kale-partial", "--items", "rest", "--episodes", "4",
     "--users", "shared-critic,warm_up=64,encoder=gru"),
    *((*_VIABILITY, users) for users in ("mappo", "shared-critic,warm_up=64", "shared-critic,warm_up=64,mixing=qmix")),
    ("--preset", "contest", "--users", "first", "--items", "q-learning", "--episodes", "4"),
    ("--preset", "town", "--users", "dqn,warm_up=64", "--items", "q-learning", "--episodes", "1"),
    ("--preset", "feed", "--platform", "slateq,warm_up=20", "--episodes", "1"))
"""What is trained, as the command line says it."""


Group = tuple[list[str], Callable[[Path], list[str]]]
"""Names of cases, and what gives their digests for the package in a folder: one process plays or trains all of them."""


@dataclass(frozen=True)
class GoldenSettings:
    """Compare this version with another one, to the bit."""

    before: str
    """Commit to compare with."""
    out: Path | None = None
    """Folder of the report."""


def study(settings: GoldenSettings) -> str:
    """Play and train in both versions, and write ``report.md`` and ``report.json``; gives the report's text."""
    groups = [_plays(kernels=True), _plays(kernels=False), _trainings()]
    with _checked_out(settings.before) as before, ThreadPoolExecutor(usable_cores()) as pool:
        old, new = (pool.map(lambda group, tree=tree: group[1](tree), groups) for tree in (before, ROOT))
        found = list(zip(groups, old, new, strict=True))
    rows = [{"case": name, "before": a, "now": b} for (names, _), *digests in found
            for name, a, b in zip(names, *digests, strict=True)]
    return reported(settings.out, text, __name__, {"before": settings.before, "rows": rows})


@contextmanager
def _checked_out(commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "before"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def _plays(kernels: bool) -> Group:
    names = list(presets())
    return ([f"{name}, 60 steps, {'kernels' if kernels else 'torch'}" for name in names],
            partial(_played, names, kernels))


def _played(names: list[str], kernels: bool, tree: Path) -> list[str]:
    said = _python(tree, {} if kernels else {"INTERPLAY_KERNELS": "0"}, "-c", PLAY, *names).splitlines()
    return said if len(said) == len(names) else [(said or ["failed"])[-1]] * len(names)


def _trainings() -> Group:
    return [f"train {' '.join(words)}" for words in TRAININGS], _trained


def _trained(tree: Path) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        given = [json.dumps([*words, *_SMALL, "--device", "cpu", "--seed", "3", "--log-dir", folder, "--name",
                             f"run{number}"]) for number, words in enumerate(TRAININGS)]
        _python(tree, {}, "-c", TRAIN, str(tree / "scripts" / "train.py"), *given)
        return [_digest(Path(folder) / f"run{number}") for number in range(len(TRAININGS))]


def _digest(run: Path) -> str:
    """Of the final evaluation and of the curve, without its seconds."""
    if not (run / "results.json").is_file():
        return "failed"
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    with (run / "curve.csv").open(encoding="utf-8", newline="") as file:
        curve = [[row[name] for name in ("user_return", "item_return", "mean_boost")] for row in csv.DictReader(file)]
    kept = [results["evaluation"]["user_return"], results["evaluation"]["item_return"], curve]
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()[:16]


def _python(tree: Path, more: Mapping[str, str], *arguments: str) -> str:
    """What a Python prints that imports the package from ``tree``."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1", **more}
    end = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    return end.stdout if end.returncode == 0 else f"failed: {end.stderr.strip().splitlines()[-1][:80]}"


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    data = source["data"]
    known = [row for row in data["rows"] if not row["before"].startswith(_NEW)]
    same = sum(row["before"] == row["now"] for row in known)
    rows = [[row["case"], row["before"], row["now"], "yes" if row["before"] == row["now"] else "NO"] for row in known]
    new = [row["case"] for row in data["rows"] if row not in known]
    return "\n\n".join([
        made_line(source["made"]),
        f"Digests of all that agents see and get in random play, and of curves and evaluations of trainings, at commit "
        f"{data['before']} and now: {same} of {len(rows)} are the same.",
        table(["case", "before", "now", "same"], rows),
        *([f"Not there before: {'; '.join(new)}."] if new else [])]) + "\n"


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.golden:study"))
