"""The structure that DESIGN and CONTRIBUTING promise: which package imports which, and that nothing needs a list."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from interplay.agents import agents
from interplay.agents.encoders import encoders
from interplay.envs.behaviour import behaviours
from interplay.envs.data import data_sets
from interplay.envs.presets import presets

ROOT = Path(__file__).resolve().parents[1]
LEAVES = ("interplay.envs.types", "interplay.envs.noise", "interplay.envs.kernels", "interplay.envs.discovery",
          "interplay.envs.checking", "interplay.envs.graphs", "interplay.envs.indexing", "interplay.envs.stacking",
          "interplay.envs.trees", "interplay.envs.messages")


@cache
def nodes(file):
    """All of a file's syntax tree: a dozen rules look at each."""
    return list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))


@pytest.fixture(autouse=True, scope="module")
def let_go():
    """Other tests need not keep these trees in memory."""
    yield
    nodes.cache_clear()


def imports(file):
    for node in nodes(file):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def files(folder):
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("file", files("envs"), ids=lambda f: str(f.relative_to(ROOT)))
def test_the_environment_knows_no_agents(file):
    assert not [name for name in imports(file) if name.startswith(("interplay.agents", "interplay.experiments"))]


@pytest.mark.parametrize("file", files("agents"), ids=lambda f: str(f.relative_to(ROOT)))
def test_agents_know_the_contract_alone(file):
    own = [name for name in imports(file) if name.startswith("interplay")]
    assert not [name for name in own if not name.startswith(("interplay.agents", *LEAVES))]


@pytest.mark.parametrize("file", files("agents/loops"), ids=lambda f: f.name)
def test_loops_know_no_agents(file):
    assert not [name for name in imports(file)
                if name.startswith(("interplay.agents", "interplay.experiments")) and ".agents.loops" not in name]


@pytest.mark.parametrize("folder", ["envs", "agents", "experiments", "scripts", "tests"])
def test_no_module_imports_under_a_second_name(folder):
    for file in files(folder):
        assert not [n for n in imports(file) if n.split(".")[0] in ("envs", "agents", "experiments")], file


@pytest.mark.parametrize("folder", ["envs", "agents", "experiments"])
def test_no_module_chooses_a_backend_of_matplotlib(folder):
    assert not [file for file in files(folder) if "matplotlib.pyplot" in imports(file)]


LAYERS = {
    "envs": (
        {"messages", "files", "types", "checking", "discovery", "arguments", "targets", "trees", "sizes", "hashing",
         "indexing", "stacking", "vectors", "drawing"},
        {"kernels", "noise", "graphs", "threads", "lists", "records", "population", "world"},
        {"mechanisms", "config", "counting", "active_mechanisms"},
        {"data", "behaviour"},
        {"constants", "dispatch", "exact_states", "masks", "platform_candidates", "responding", "rewards", "slates",
         "segment_means", "slate_draws", "slates_gpu", "state_update", "user_choice", "view_dispatch", "observing",
         "market", "transitions", "company"},
        {"presets", "pictures", "testing", "facade", "roster", "market_v0", "recommend_v0", "recommend_vector"}),
    "experiments": (
        {"common", "exact", "representation", "fit"}, {"loop"}, {"evaluate", "recommend"},
        {"benchmark", "fidelity", "offpolicy", "watch", "suite"}, {"api", "cli"}, {"studies"})}
"""Packages, and modules beside them: each imports only from its own layer and those before it, never in a circle."""


def sources(folder):
    """The files of a folder by the name of their module."""
    return {"interplay." + ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
            for file in files(folder)}


def imported(file, known):
    """The modules among ``known`` that a file imports, also as ``from package import module``."""
    for node in nodes(file):
        if isinstance(node, ast.ImportFrom):
            yield from {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)} & known.keys()
    yield from set(imports(file)) & known.keys()


def arrows(folder):
    """Which of its packages, and of the modules beside them, each of those imports."""
    known, graph = sources(folder), {}
    for name, file in known.items():
        unit, *used = (f"{module}..".split(".")[2] for module in (name, *imported(file, known)))
        graph.setdefault(unit, set()).update({*used} - {unit, ""})
    del graph[""]  # the folder itself
    return graph


@pytest.mark.parametrize("folder", list(LAYERS))
def test_imports_go_downwards_alone(folder):
    graph, layers = arrows(folder), LAYERS[folder]
    assert graph.keys() == set().union(*layers)
    assert len(layers) <= 6
    below = set()
    for layer in layers:
        below |= layer
        assert {unit: graph[unit] - below for unit in layer} == {unit: set() for unit in layer}
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("folder", ["envs", "agents", "experiments"])
def test_no_modules_import_each_other(folder):
    """A circle between files means that one of them cannot be read, or tested, alone."""
    known = sources(folder)
    TopologicalSorter({name: {*imported(file, known)} - {name} for name, file in known.items()}).prepare()


def modules(folder, *without):
    return {f.stem for f in (ROOT / folder).glob("*.py")} - {"__init__", "base", *without}


def test_every_file_of_agents_is_an_agent():
    assert modules("agents") == {kind.__module__.rsplit(".", 1)[1] for kind in agents().values()}
    assert len(agents()) == len(modules("agents"))


def test_every_file_of_behaviour_is_a_behaviour():
    assert modules("envs/behaviour") == {kind.__module__.rsplit(".", 1)[1] for kind in behaviours().values()}


def test_every_file_of_encoders_is_an_encoder():
    assert modules("agents/encoders") == {kind.__module__.rsplit(".", 1)[1] for kind in encoders().values()}


def test_every_preset_is_found():
    assert set(presets()) >= {"kale", "kale-null", "kale-partial", "viability", "contest", "town", "feed", "pigou",
                              "funds", "pricing", "pricing-three", "pricing-cheapest", "pricing-shared",
                              "pricing-incumbent", "coach-large", "tutor-large", "shop", "clearance", "creators",
                              "creators-four", "herd", "opinions"}
    assert {name.split("-")[0] for name in presets()} == modules("envs/presets", "folders")  # whose presets are files


def test_every_preset_is_specified_where_it_is_made():
    for module in modules("envs/presets", "folders"):
        text = ast.get_docstring(ast.parse((ROOT / "envs" / "presets" / f"{module}.py").read_text()))
        missing = [word for word in ("Observation", "Reward", "Start", "End") if word not in text]
        if "Actions" not in text and "chooses" not in text:
            missing.append("Actions")
        assert not missing, f"{module}: {missing}"
        assert not [name for name in presets() if name.split("-")[0] == module and f"`{name}`" not in text], module


def test_every_data_set_is_found():
    helpers = ("answers", "columns", "counting", "download", "factors", "features", "files", "form", "lines", "log",
               "population", "prepare", "propensity", "reading", "rewards", "sources", "split", "times")
    assert modules("envs/data", *helpers) == {kind.__module__.rsplit(".", 1)[1] for kind in data_sets().values()}


def test_scripts_are_thin():
    for file in files("scripts"):
        assert len(file.read_text().splitlines()) < 60, file


@pytest.mark.parametrize("name", ["envs", "agents", "experiments"])
def test_links_are_relative_and_lead_to_the_sources(name):
    link = ROOT / "src" / "interplay" / name
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == ROOT / name


@pytest.mark.parametrize("folder", ["envs", "agents", "experiments"])
def test_imports_are_spelt_out_so_that_the_rules_above_see_them(folder):
    """Neither ``from .. import agents`` nor ``from interplay import agents``."""
    for file in files(folder):
        froms = [node for node in nodes(file) if isinstance(node, ast.ImportFrom)]
        assert not [node for node in froms if node.level > 0 or node.module == "interplay"], file


def test_every_agent_has_a_file_of_its_own():
    defined = [kind.__module__ for kind in agents().values()]
    assert sorted(defined) == sorted({*defined})
    defined = [kind.__module__ for kind in behaviours().values()]
    assert sorted(defined) == sorted({*defined})


def _text_files(nodes):
    """Calls that open a file as text and do not name an encoding."""
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        owner = getattr(getattr(call.func, "value", None), "id", "")
        words = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        opens = name in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile")
        binary = opens and (owner in ("tarfile", "zipfile") or (owner, name) == ("os", "open") or any(
            "b" in word and set(word) <= set("rwaxb+t") for word in words))
        of_path = isinstance(call.func, ast.Attribute) and name in ("read_text", "write_text")
        named = any(k.arg == "encoding" for k in call.keywords) or (name == "read_text" and words)
        if (opens or of_path) and not (binary or named):
            yield call


@pytest.mark.parametrize("folder", ["envs", "agents", "experiments", "scripts"])
def test_every_file_that_is_opened_as_text_names_its_encoding(folder):
    """Else it depends on the locale which ids can be written."""
    found = {f"{file}:{call.lineno}" for file in files(folder)
             for call in _text_files(nodes(file))}
    assert not found


@pytest.mark.parametrize(("code", "count"), [
    ("path.read_text()", 1), ("path.write_text('a')", 1), ("open('a.txt')", 1), ("path.open('w', newline='')", 1),
    ("os.fdopen(1, 'w')", 1), ("path.read_text('latin-1')", 0), ("path.open('rb')", 0), ("os.open('a', 1)", 0),
    ("path.open(encoding='utf-8')", 0), ("write_text(path, 'a')", 0)])
def test_the_rule_above_sees_what_it_should(code, count):
    assert len(list(_text_files(ast.walk(ast.parse(code))))) == count


def test_the_facades_load_no_readers_solvers_or_pictures():
    code = ("import sys, interplay.envs.market_v0, interplay.envs.recommend_v0\n"
            "large = {'polars', 'scipy', 'sklearn', 'tyro', 'matplotlib', 'pooch', 'PIL', 'pygame'}\n"
            "print(*(large & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == ""


LARGEST_FILE, LARGEST_FUNCTION, MOST_PARAMETERS = 299, 39, 8


def _too_large(file, name):
    """The file, and its functions, that are larger than allowed. Compiled kernels take one array each as parameters."""
    if len(file.read_text(encoding="utf-8").splitlines()) > LARGEST_FILE:
        yield name
    for node in nodes(file):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = [a for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                     if a.arg not in ("self", "cls")]
            kernel = name.startswith("envs/kernels/") or name.endswith(("_gpu.py", "_loop.py"))
            many = len(given) > MOST_PARAMETERS and not kernel
            if many or node.end_lineno - node.lineno >= LARGEST_FUNCTION:
                yield f"{name}:{node.name}"


@pytest.mark.parametrize("folder", ["envs", "agents", "experiments", "scripts"])
def test_files_and_functions_are_short(folder):
    assert not {large for file in files(folder) for large in _too_large(file, file.relative_to(ROOT).as_posix())}


@pytest.mark.parametrize(("text", "found"), [
    ("x = 1\n" * 300, ["a.py"]), ("x = 1\n" * 299, []),
    ("def f():\n" + "    x = 1\n" * 39, ["a.py:f"]), ("def f():\n" + "    x = 1\n" * 38, []),
    ("class A:\n    def f(self, a, b, c, d, e, f, g, h): ...\n", []),
    ("def f(a, b, c, d, e, f, g, *, h, i): ...\n", ["a.py:f"])])
def test_the_rule_above_sees_what_is_too_large(text, found, tmp_path):
    (tmp_path / "a.py").write_text(text, encoding="utf-8")
    assert list(_too_large(tmp_path / "a.py", "a.py")) == found


def test_tests_assert_what_an_error_names_and_not_its_sentence():
    """By ``refused`` and ``assert_said`` of ``refusals.py``, so that wording can improve without touching tests."""
    sentence = re.compile(r"raises\([\w.]*(InterplayError|DivergedError|NotCapturable),\s*match=")
    assert not [file for file in files("tests") if sentence.search(file.read_text(encoding="utf-8"))]
    assert sentence.search(f"pytest.raises(ip.InterplayError, {'match'}='is odd')")


PLAIN = ["agents", "envs", "experiments"]
"""Folders in plain English."""
UNPLAIN = re.compile(r"(?<![a-z])(told|tells?|whoever|whomever|whom|whatever|mends?|lest|heeds?|courts?|nobody"
                     r"|everybody|anybody|anew|likewise|parted|riddles?"
                     r"|(?<!user )(?<!users )(?<!people )(?<!\")who)(?![a-z])", re.IGNORECASE)


@pytest.mark.parametrize("folder", PLAIN)
def test_names_and_texts_are_plain_english(folder):
    found = [f"{file.relative_to(ROOT)}:{number}: {line.strip()}" for file in files(folder)
             for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
             if UNPLAIN.search(line)]
    assert not found


def test_names_of_tests_are_plain_english():
    names = [node.name for file in files("tests") for node in nodes(file)
             if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert not [name for name in names if name.lower().startswith("test") and UNPLAIN.search(name.replace("_", " "))]


@pytest.mark.parametrize(("line", "bad"), [
    ("Told of losses.", True), ("who is gone", True), ("users who answer", False), ("whose weight", False),
    ("told, drawn = x", True), ("def _told(", True),
    ("untold", False)])
def test_the_rule_above_sees_what_is_not_plain(line, bad):
    assert bool(UNPLAIN.search(line)) == bad
