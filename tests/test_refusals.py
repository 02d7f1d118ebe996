"""What asserts errors can fail: a name that is missing, only part of another, or in the wrong half."""

import pytest

from interplay.envs.graphs import NotCapturable
from interplay.envs.types import InterplayError
from refusals import assert_said, refused

MESSAGE = "train.csv: column 'user' has -1.5 in row 12 (1,000 rows): give --user-column, or 3 at most"


@pytest.mark.parametrize(("things", "fix"), [
    (["train.csv", "user", -1.5, "row 12", 1000], ("--user-column", 3)),
    (["'user'", "column", "1,000"], "--user-column"), ([], ())])
def test_what_is_named_passes(things, fix):
    with refused(*things, fix=fix) as error:
        raise InterplayError(MESSAGE)
    assert str(error.value) == MESSAGE
    assert_said(f"note: slow\nerror: {MESSAGE}\n", *things, fix=fix)


@pytest.mark.parametrize(("things", "fix"), [
    (["items"], ()), (["train"], ()), (["csv"], ()), (["use"], ()), ([1.5], ()), ([1], ()), ([-1], ()), ([2], ()),
    ([0], ()), ([12, "--user-column"], ()), ([], "row"), ([], "user-column"), ([], "--user"),
    ([], ("--user-column", 4))])
def test_what_is_not_named_as_a_whole_fails(things, fix):
    with pytest.raises(AssertionError, match="not in"), refused(*things, fix=fix):
        raise InterplayError(MESSAGE)
    with pytest.raises(AssertionError, match="not in"):
        assert_said(f"error: {MESSAGE}\n", *things, fix=fix)


@pytest.mark.parametrize("message", ["a=1 is odd", "a=1:\nleave it out: now"])
def test_every_error_is_one_line_with_a_fix(message):
    with pytest.raises(AssertionError), refused(kind=ValueError):
        raise ValueError(message)


def test_another_error_or_none_is_no_refusal():
    with pytest.raises(pytest.fail.Exception), refused():
        pass
    with pytest.raises(ValueError, match="other"), refused():
        raise ValueError("other: than expected")
    with pytest.raises(InterplayError), refused(kind=NotCapturable):
        raise InterplayError(MESSAGE)


@pytest.mark.parametrize("said", [
    f"{MESSAGE}\n", f"Traceback (most recent call last):\nerror: {MESSAGE}\n", f"error: {MESSAGE}\nmore\n",
    f"error: {MESSAGE}\nerror: {MESSAGE}\n", f"error: {'x' * 290}: {MESSAGE}\n"])
def test_what_a_command_says_is_one_error_at_the_end(said):
    with pytest.raises(AssertionError):
        assert_said(said, "user")
