"""The wheel holds everything, and works where there is no checkout."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STUDIES = Path("experiments", "studies")
"""Evidence, which stays in the repository."""

IMPORT_ALL = """
import importlib, pkgutil, sys, interplay
names = [m.name for m in pkgutil.walk_packages(interplay.__path__, "interplay.")]
for name in names:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:  # kernels for a GPU need what torch brings where there is one
        assert error.name == "triton" and name.endswith("_gpu"), name
assert "matplotlib.pyplot" not in sys.modules  # which would choose a backend
print(interplay.__file__)
print(*sorted(names), sep="\\n")
"""


def test_help_comes_without_the_imports_that_take_seconds():
    script = ("import sys; from interplay.experiments.cli.entry import main; status = main(['--help']); "
              "assert not {'torch', 'polars', 'tyro'} & set(sys.modules); sys.exit(status)")
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert said.startswith("usage: interplay COMMAND")
    assert "benchmark" in said


@pytest.mark.slow
def test_the_wheel_is_complete_outside_the_checkout(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    place = tmp_path / "fresh"
    venv.create(place)
    python = place / "bin" / "python"
    # Dependencies come from the environment that runs the tests: to download torch again would prove nothing more.
    (site,) = (place / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--quiet",
               "--disable-pip-version-check", "--ignore-installed", str(wheel)]
    subprocess.run(install, check=True, cwd=tmp_path)
    found = subprocess.run([str(python), "-c", IMPORT_ALL], check=True, cwd=tmp_path, capture_output=True, text=True)
    where, *names = found.stdout.split()
    assert Path(where).is_relative_to(place)
    files = [p.relative_to(ROOT) for top in ("envs", "agents", "experiments") for p in (ROOT / top).rglob("*.py")]
    modules = {"interplay." + ".".join(p.with_suffix("").parts).removesuffix(".__init__")
               for p in files if not p.is_relative_to(STUDIES)}
    assert modules | {"interplay.__main__"} == set(names)
