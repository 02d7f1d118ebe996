"""Run the recipes of ``examples/clients``, each in a fresh virtual environment with the versions that it pins.

Run as ``python -m interplay.experiments.studies.clients --out experiments/results/clients [--names rllib_ppo ...]``. A
recipe begins with inline script metadata (PEP 723), which says what it needs. Rows of other recipes are kept.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from interplay.envs.types import InterplayError
from interplay.experiments.cli.entry import main
from interplay.experiments.common.flags import check_flags
from interplay.experiments.common.reports import known_rows, made_by, made_line, publish
from interplay.experiments.common.tables import table

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "examples" / "clients"
_METADATA = re.compile(r"^# /// script\n(.*?)^# ///$", re.DOTALL | re.MULTILINE)
_LONGEST = 200  # letters of an output
_DONE = "interplay-done"
"""File of a virtual environment that holds all that its recipe needs."""

Command = Sequence[str | Path]


@dataclass(frozen=True)
class ClientSettings:
    """Run recipes for other libraries, each in a virtual environment of its own."""

    out: Path = Path("clients")
    """Folder of the report."""
    names: tuple[str, ...] = ()
    """Recipes to run; by default all."""
    environments: Path | None = None
    """Folder for the virtual environments, which are then kept and used again; by default they are thrown away."""


class Needs(NamedTuple):
    """What a recipe needs.

    Attributes:
        whole: requirements that are installed with what they depend on.
        bare: requirements that are installed alone, since they pin something that cannot be here.
    """

    whole: list[str]
    bare: list[str]

    @property
    def library(self) -> str:
        """The pinned library that the recipe shows."""
        return self.bare[0] if self.bare else self.whole[0]


def needs_of(recipe: Path) -> Needs:
    """What the metadata at the top of a recipe say.

    Raises:
        InterplayError: it has none, or does not pin a version.
    """
    found = _METADATA.search(recipe.read_text(encoding="utf-8"))
    if found is None:
        raise InterplayError(f"{recipe.name} has no lines '# /// script': add them, as in {RECIPES.name}/skrl_ippo.py")
    read = tomllib.loads("".join(line.removeprefix("# ").removeprefix("#") for line in found[1].splitlines(True)))
    whole = [each for each in read["dependencies"] if each != "interplay"]
    bare = read.get("tool", {}).get("interplay", {}).get("without-dependencies", [])
    for requirement in (*whole, *bare):
        if "==" not in requirement:
            raise InterplayError(f"{recipe.name} needs {requirement!r} without a version: pin it with ==")
    return Needs(whole, bare)


def study(settings: ClientSettings) -> str:
    """Run recipes one after another; gives the report."""
    check_flags(settings)
    recipes = {path.stem: path for path in sorted(RECIPES.glob("*.py"))}
    for name in settings.names:
        if name not in recipes:
            raise InterplayError(f"no recipe {name!r}: choose from {', '.join(recipes)}")
    made = made_by(f"python -m interplay.experiments.studies.clients --out {settings.out}")
    rows: dict[str, Mapping[str, Any]] = {row["recipe"]: row for row in known_rows(settings.out)}
    for name in settings.names or recipes:
        rows[name] = run_recipe(recipes[name], settings.environments)
        kept = [rows[each] for each in recipes if each in rows]
        report = publish(settings.out, text, made, {"rows": kept})
    print(report)
    return report


def run_recipe(recipe: Path, environments: Path | None) -> dict[str, Any]:
    """Install what a recipe needs, and run it in an empty folder."""
    needs = needs_of(recipe)
    with TemporaryDirectory(prefix="interplay-") as temporary:
        folder = Path(temporary)
        home = (environments or folder) / recipe.stem
        kept, started = (home / _DONE).exists(), _processor_seconds()
        failed = None if kept else _install(home, needs)
        installed = _processor_seconds()
        work = folder / "work"
        work.mkdir()
        ended = failed or _run([home / "bin" / "python", recipe], work, OMP_NUM_THREADS="1")
        return {"recipe": recipe.stem, "library": needs.library, "alone": needs.bare, "ran": ended.returncode == 0,
                "install_seconds": None if kept else round(installed - started),
                "seconds": round(_processor_seconds() - installed), "output": _last_line(ended)}


def _install(home: Path, needs: Needs) -> subprocess.CompletedProcess[str] | None:
    """Make the environment; gives the command that failed, if one did."""
    pip: Command = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile"]
    pinned: Command = [*pip, "--constraint", ROOT / "constraints.txt"]
    steps: list[Command] = [
        [sys.executable, "-m", "venv", home],
        [*pinned, "torch==2.13.0"],  # by itself, since some resolvers would first fetch another build of it
        [*pinned, "--editable", ROOT, *needs.whole]]
    if needs.bare:
        steps.append([*pip, "--no-deps", "--ignore-requires-python", *needs.bare])
    for step in steps:
        done = _run(step, ROOT)
        if done.returncode:
            return done
    (home / _DONE).touch()
    return None


def _run(command: Command, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(list(map(str, command)), cwd=folder, env=known | environment, text=True, check=False,
                          capture_output=True)


def _processor_seconds() -> float:
    """Of all commands so far; other programs do not change them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _last_line(ended: subprocess.CompletedProcess[str]) -> str:
    """The last line that it wrote: what it found, or why it failed."""
    lines = (ended.stderr if ended.returncode else ended.stdout).strip().splitlines()
    return lines[-1][:_LONGEST] if lines else ""


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    rows = source["data"]["rows"]
    cells = [[row["recipe"], row["library"] + " (without its dependencies)" * bool(row["alone"]),
              "yes" if row["ran"] else "no", _seconds(row["install_seconds"]), _seconds(row["seconds"]), row["output"]]
             for row in rows]
    return "\n\n".join([made_line(source["made"]),
                        "Each recipe of `examples/clients` in a virtual environment of its own, with the versions that "
                        "it pins. Seconds are of the processor. The output is a recipe's last line.",
                        table(["recipe", "library", "ran", "installed in", "ran for", "output"], cells)]) + "\n"


def _seconds(value: int | None) -> str:
    return "earlier" if value is None else f"{value} s"


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.clients:study"))
