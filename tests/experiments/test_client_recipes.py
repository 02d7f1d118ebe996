"""Recipes for other libraries: what they need is pinned, documented and was run; the study that runs them."""

import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from interplay.experiments.common.reports import known_rows
from interplay.experiments.studies import clients
from interplay.experiments.studies.clients import RECIPES, ROOT, ClientSettings, needs_of, study
from refusals import refused

FILES = sorted(RECIPES.glob("*.py"))
LIBRARIES = {"agilerl", "benchmarl", "d3rlpy", "obp", "pufferlib", "ray[rllib]", "recbole", "skrl", "tianshou"}
HEADER = '# /// script\n# dependencies = ["interplay", "whole==1.0"]\n# [tool.interplay]\n' \
         '# without-dependencies = [\n#   "bare==2.0"]\n# ///\n'


def library_of(recipe: Path) -> str:
    needs = needs_of(recipe)
    (name,) = LIBRARIES & {requirement.partition("==")[0] for requirement in (*needs.whole, *needs.bare)}
    return name


def test_each_library_has_a_recipe_of_about_thirty_lines_in_the_guide() -> None:
    guide = (ROOT / "docs" / "guides" / "clients.md").read_text(encoding="utf-8")
    assert sorted(library_of(recipe) for recipe in FILES) == sorted(LIBRARIES)
    for recipe in FILES:
        code = recipe.read_text(encoding="utf-8").partition("# ///\n")[2]
        assert len([line for line in code.splitlines() if line.strip()]) <= 45, recipe.name
        assert f"(../../examples/clients/{recipe.name})" in guide


def test_all_recipes_ran_with_the_versions_that_they_pin() -> None:
    rows = {row["recipe"]: row for row in known_rows(ROOT / "experiments" / "results" / "clients")}
    assert set(rows) == {recipe.stem for recipe in FILES}
    for recipe in FILES:
        assert rows[recipe.stem]["ran"], recipe.name
        assert rows[recipe.stem]["library"] == needs_of(recipe).library


def test_what_a_recipe_needs(tmp_path: Path) -> None:
    recipe = tmp_path / "one.py"
    recipe.write_text(HEADER)
    assert needs_of(recipe) == (["whole==1.0"], ["bare==2.0"])
    assert needs_of(recipe).library == "bare==2.0"
    recipe.write_text(HEADER.replace("==1.0", ">=1.0"))
    with refused("one.py", "whole>=1.0", fix="=="):
        needs_of(recipe)
    recipe.write_text("print()")
    with refused("one.py", "# /// script"):
        needs_of(recipe)


def test_the_study_keeps_other_rows_and_says_why_a_recipe_failed(tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    for name, code in (("one", "print('a'); print('found 7')"), ("two", "raise ValueError('no luck')")):
        (tmp_path / f"{name}.py").write_text(f"{HEADER}{code}\n")
    monkeypatch.setattr(clients, "RECIPES", tmp_path)
    monkeypatch.setattr(clients, "_install", lambda home, needs: None)
    run = clients._run
    monkeypatch.setattr(clients, "_run", lambda command, folder, **rest: run([sys.executable, command[1]], folder))
    out = tmp_path / "out"
    for names in (("one",), ("two",)):
        said = study(ClientSettings(out, names))
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in said.splitlines() if line.startswith("| ")]
    assert [(line[0], line[2], line[-1]) for line in lines[1:]] == [
        ("one", "yes", "found 7"), ("two", "no", "ValueError: no luck")]
    monkeypatch.setattr(clients, "_install", lambda *given: CompletedProcess([], 1, "", "error\nno such package\n"))
    assert "| no such package" in study(ClientSettings(out, ("one",)))
    with refused("recipe", "three", fix=("one", "two")):
        study(ClientSettings(out, ("three",)))
