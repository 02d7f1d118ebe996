"""Every block of code in README, CONTRIBUTING and docs/ runs; links lead somewhere; the site builds without a warning.

A block that needs more than a moment names what it needs in its fence, as ```` ```bash {needs=data} ````.
"""

import functools
import importlib.util
import re
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

import interplay as ip
from interplay.experiments.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(["README.md", "CONTRIBUTING.md", *(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/**/*.md"))])
SLOW = [f"docs/guides/{name}.md" for name in (
    "benchmarks", "evaluation", "fidelity", "films", "fit", "off-policy", "training")]
FENCE = re.compile(r"^```(\w+)(?: \{needs=(\w+)\})?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NOT_RUN = {"install": 1, "server": 1, "minutes": 8, "data": 7, "gpu": 1}
"""How many blocks need what; README's two commands, whose fences GitHub shows as they are, count as none of them."""
SET_UP = ("python3 -m venv .venv", "bash scripts/test.sh")


class Block(NamedTuple):
    language: str
    needs: str
    code: str


def blocks(page):
    """The blocks of a page that are code."""
    found = [Block(*match) for match in FENCE.findall((ROOT / page).read_text(encoding="utf-8"))]
    return [block for block in found
            if block.language in ("python", "bash") and (block.needs or not block.code.startswith(SET_UP))]


def test_every_fence_is_understood():
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert len(re.findall(r"^```", text, re.MULTILINE)) == 2 * len(FENCE.findall(text)), page
        assert set(re.findall(r"^```(\w+)", text, re.MULTILINE)) <= {"python", "bash", "text", "math"}, page


def test_blocks_that_do_not_run_are_counted():
    assert Counter(block.needs for page in PAGES for block in blocks(page) if block.needs) == NOT_RUN


SMALL = {
    "train": {"--episodes": "1", "--num-worlds": "2", "--eval-worlds": "2"},
    "benchmark": {"--seeds": "1", "--scale": "0.01", "--workers": "1"},
    "pretrain": {"--epochs": "1"},
    "fidelity": {"--resamples": "20", "--most-worlds": "2"}}
"""Sizes of commands, in place of those of the page."""


def smaller(words):
    """A command as the page has it, but for its sizes."""
    command, *rest = words
    sizes = {} if "--resume" in words else SMALL.get(command, {})
    for flag, value in sizes.items():
        rest = rest[:rest.index(flag)] + rest[rest.index(flag) + 2:] if flag in rest else rest
        rest = [*rest, flag, value]
    if command == "benchmark" and "--presets" in rest:  # the first alone
        first, rest = rest.index("--presets") + 2, list(rest)
        while first < len(rest) and not rest[first].startswith("--"):
            del rest[first]
    short = command in ("train", "benchmark") and "--resume" not in words and "horizon=" not in " ".join(words)
    return [command, *rest, *(["--market", "horizon=10"] if short else [])]


SHELL = """set -euo pipefail
interplay() { printf '%s\\0' "$@" $'\\n' >> commands; }
python() { interplay "$(basename "$1" .py)" "${@:2}"; }
"""
"""The shell runs all of a block but the commands of Interplay, which it writes down: one process imports torch once."""


def run_bash(code, folder):
    """Run a block of shell commands, then the commands of Interplay in it."""
    (folder / "commands").write_text("", encoding="utf-8")
    subprocess.run(["bash", "-c", SHELL + code], cwd=folder, check=True)
    for line in (folder / "commands").read_text(encoding="utf-8").split("\0\n\0")[:-1]:
        assert main(smaller(line.split("\0"))) == 0, line.replace("\0", " ")


def run_python(code, folder, names):
    """Run a block; one that names its file in its first line is written into that file."""
    file = re.match(r"# (\w+\.py)\n", code)
    if file:
        (folder / file[1]).write_text(code[file.end():], encoding="utf-8")
    else:
        exec(compile(code, "block", "exec"), names)


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """An empty folder, in which what Python trains is small."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sizes = {"episodes": 1, "num_worlds": 2, "eval_worlds": 2}
    for name in ("train", "train_seeds"):
        monkeypatch.setattr(ip, name, smaller_call(getattr(ip, name), sizes))
    monkeypatch.setattr(ip.Run, "resume", smaller_call(ip.Run.resume, {"episodes": 1}))
    monkeypatch.setattr(ip.Run, "evaluate", smaller_call(ip.Run.evaluate, {"worlds": 8}))
    benchmark = smaller_call(ip.benchmark, {"seeds": 1, "scale": 0.01, "workers": 1})
    monkeypatch.setattr(ip, "benchmark", lambda markets, **named: benchmark(markets[:1], **named))
    return tmp_path


def smaller_call(function, sizes):
    """The function with these sizes in place of those that it is given."""
    return functools.wraps(function)(lambda *args, **named: function(*args, **{**named, **sizes}))


@pytest.mark.filterwarnings("ignore:PettingZoo in TorchRL is tested using version:UserWarning")
@pytest.mark.parametrize("page", [
    pytest.param(page, marks=[pytest.mark.slow] if page in SLOW else []) for page in PAGES
    if any(not block.needs for block in blocks(page))])
def test_the_blocks_of_a_page_run_in_their_order(page, outside, capsys):
    names = {"__name__": "page"}
    for block in blocks(page):
        if not block.needs and block.language == "bash":
            run_bash(block.code, outside)
        elif not block.needs:
            run_python(block.code, outside, names)
    assert "Traceback" not in capsys.readouterr().err


LINK = re.compile(r"\]\(([^)\s]+)\)")
GENERATED = ("agents", "presets", "mechanisms", "data-sets", "options", "metrics", "examples")
"""Pages that the site makes from code."""


def anchors(text):
    """The anchors of headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page):
    generated = {(ROOT / "docs" / "reference" / f"{name}.md") for name in GENERATED}
    for link in LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if link.startswith("http") or target.resolve() in generated:
            continue  # the site's build checks generated pages
        assert target.exists(), f"{page}: {link}"
        if anchor and "." not in anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page}: {link}"


def test_the_badges_say_what_the_project_says():
    made = runpy.run_path(str(ROOT / "docs" / "tools" / "badges.py"))["badges"]()
    assert made == {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "badges").glob("*.svg")}
    assert f"\nversion: {ip.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_pages_are_made_from_the_code():
    pages = runpy.run_path(str(ROOT / "docs" / "tools" / "reference.py"))["PAGES"]
    assert set(pages) == set(GENERATED)
    made = {name: write() for name, write in pages.items() if name != "presets"}  # whose exact answers take seconds
    for page, word in (("agents", "## dqn"), ("mechanisms", "## satiation"), ("data-sets", "## movielens-100k"),
                       ("options", "position_bias"), ("options", "--num-worlds"), ("options", "--propensity-column")):
        assert word in made[page]


@pytest.mark.slow  # a fast test tries its links, another the pages that it makes from the code
@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="the extra docs is not installed")
def test_the_site_builds_without_a_warning(tmp_path):
    # Not --quiet: then warnings are not counted, and --strict finds nothing.
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    made = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    options = (tmp_path / "site" / "reference" / "options.html").read_text(encoding="utf-8")
    for word in ("position_bias", "--num-worlds", "--propensity-column"):
        assert word in options
    assert "<math" in (tmp_path / "site" / "guides" / "game.html").read_text(encoding="utf-8")
