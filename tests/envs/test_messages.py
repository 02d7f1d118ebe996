"""Messages are one line and short, and keep their beginning and their end."""

import pytest

from interplay.envs.messages import LONGEST, choice, listed, shortened
from interplay.envs.types import InterplayError


def test_a_long_error_keeps_what_it_is_about_and_the_fix() -> None:
    said = str(InterplayError(f"the thing: {'x' * 5000}\n{'y' * 5000}: the fix"))
    assert said.startswith("the thing: xxx")
    assert said.endswith("yyy: the fix")
    assert " ... " in said
    assert len(said) == LONGEST
    assert len(said.splitlines()) == 1
    assert InterplayError(said).fix == "the fix"


def test_a_short_error_is_as_it_was() -> None:
    assert str(InterplayError("a=1: leave it out")) == "a=1: leave it out"
    assert shortened("x" * LONGEST) == "x" * LONGEST


@pytest.mark.parametrize(("message", "problem", "fix"), [
    ("a=1 is odd: leave it out", "a=1 is odd", "leave it out"),
    ("log.csv: there is no such file: check the path", "log.csv: there is no such file", "check the path"),
    ("'run' is not a run: it has no config; train one", "'run' is not a run: it has no config", "train one"),
    ("a=1 must be below b=1", "a=1", "must be below b=1"), ("a is 1, must be 2", "a is 1", "must be 2"),
    ("a=1 must be an integer: use int(a)", "a=1 must be an integer", "use int(a)"),
    ("'a: b' cannot be read (c: d; e (f: g)): write it again", "'a: b' cannot be read (c: d; e (f: g))",
     "write it again"),
    ("the users' a is odd: say b={'c: d'}, or [1: 2]", "the users' a is odd", "say b={'c: d'}, or [1: 2]"),
    ("a=1 is odd", "a=1 is odd", "")])
def test_the_problem_and_the_fix_are_shown_apart(message: str, problem: str, fix: str) -> None:
    error = InterplayError(message)
    assert (error.problem, error.fix) == (problem, fix)


@pytest.mark.parametrize("wanted", ["name-77", "nmae-77"])
def test_long_lists_begin_with_what_was_perhaps_meant(wanted: str) -> None:
    names = [f"name-{n}" for n in range(100)]
    found = listed(names, wanted)
    assert found.startswith("name-77, ")
    assert found.endswith(", ... (100 in all)")
    assert len(found) < 220
    assert listed(names[:3], wanted) == "name-0, name-1, name-2"


@pytest.mark.parametrize(("wanted", "said"), [
    ("dqm", "did you mean dqn? choose from dqn, greedy"), ("GREEDY", "did you mean greedy? choose from dqn, greedy"),
    ("nothing like it", "choose from dqn, greedy"), ("", "choose from dqn, greedy")])
def test_the_name_that_was_perhaps_meant_is_said(wanted: str, said: str) -> None:
    assert choice(["dqn", "greedy"], wanted) == said


def test_a_gpu_is_called_cuda() -> None:
    assert choice(["auto", "cpu", "cuda"], "gpu").startswith("did you mean cuda? ")
