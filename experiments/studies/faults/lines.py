"""Part "commands": command lines with a bad value each, made from the parsers' own types and a list of nasty values."""

from __future__ import annotations

import inspect
import os
import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from interplay.experiments.cli.commands import module_of
from interplay.experiments.studies import COMMANDS
from interplay.experiments.studies.faults.inside import quiet
from interplay.experiments.studies.faults.processes import Command, forked
from interplay.experiments.studies.faults.rows import Row, judged, refusal_problems
from interplay.experiments.studies.faults.subjects import pretrained, trained, write_log

PART = "commands"

_NAMES = ("", ":", "os:path", "os.path:join", "../../x:Y", "no-such", "dqn,hidden=-1", "dqn,hidden=1000000000000",
          "dqn,=", "dqn,learning_rate=nan")
_NUMBERS = ("x", "", "nan", "inf", "-inf", "1e400")
_INTEGERS = (*_NUMBERS, "1.5", "-1", "1e3")
_RANGES = ("nan nan", "1 0", "-inf inf", "0 inf", "x y", "1")
_INPUTS = ("", "/no/such", ":", "/dev/null", "/dev", "../..")
_OUTPUTS = ("/dev/null/x", "/proc/x")
_MARKET = ("x", "=", "nope=1", "=1", "mood.weight=nan", "mood.weight=inf", "mood.weight=", "mood.weight=1e400",
           "num_users=1.5", "num_users=-1", "num_users=True", "num_users=99999999999999", "boosts.levels=(1",
           "horizon=0", "temperature=0", "num_users=__import__('os')")
_OPTION = ("x", "=", "nope=1", "hidden=nan", "hidden=1000000000000", "hidden=-1", "hidden=1.5", "learning_rate=nan",
           "learning_rate=inf", "learning_rate=-1", "sharing=zzz", "double=1", "batch_size=0", "hidden=")
_FOLDER_NAMES = ("../x", "a/b", "", ".", "..", "/abs", "x" * 300)

_OWN = {"name": _FOLDER_NAMES, "market": _MARKET, "user_option": _OPTION, "item_option": ("x", "nope=1"),
        "platform_option": ("x", "hidden=1"), "reward_range": _RANGES, "clip_rewards": _RANGES,
        "peer_python": ("x", "=", "nope=/bin/true", "magent2=/no/such"), "only": ("no-such", ""),
        "context_columns": ("no-such", ""), "implicit_above": ("x", "", "nan"),
        "liked_above": ("x", "", "nan"), "policy": ("", ":", "no-such", "/dev/null"),
        **dict.fromkeys(("log_dir", "out", "export", "csv", "profile"), _OUTPUTS),
        **dict.fromkeys(("seed", "first_seed"), (*_INTEGERS, "99999999999999999999")),
        **dict.fromkeys(("num_worlds", "eval_worlds", "size"), (*_INTEGERS, "9999999999999")),
        **dict.fromkeys(("preset", "presets", "users", "items", "platform"), _NAMES),
        # Where many are compared, one that is too large fails alone, and the command ends with status 1.
        **dict.fromkeys(("others", "agents"), tuple(name for name in _NAMES if "000" not in name))}
"""Bad values of settings that their type does not give."""

_FIXED: tuple[list[str], ...] = (
          ["trian"], ["train", "--nope", "1"], ["train", "--seed"], ["train", "stray"], ["evaluate"],
          ["evaluate", "/no/such"], ["evaluate", "RUN", "--explore"], ["plot"], ["plot", "/no/such"],
          ["train", "--encoder", "TOWERS"], ["train", "--split", "last"], ["train", "--reward-range", "0", "1"],
          ["train", "--resume", "RUN", "--preset", "town"], ["train", "--resume", "RUN", "--seed", "9"],
          ["train", "--log", "LOG", "--preset", "town"], ["train", "--allow-code"], ["ope"],
          ["ope", "LOG"], ["ope", "BANDIT", "--reward-column", "x"], ["estimators", "--steps", "2"],
          ["recommend", "--run", "RUN", "--user", "1"],
          ["pretrain"], ["pretrain", "--log", "RUN"], ["fidelity"], ["unbiased"], ["train", "--clip-weights", "2"])
"""Lines that are bad as a whole."""


class _Line(NamedTuple):
    """Words, of which some stand for files, and how the report shows them."""

    words: list[str]
    shown: str


def bad_lines(count: int, draws: Random, place: Path, limit: int) -> list[Row]:
    """Run ``count`` bad command lines.

    Args:
        count: how many.
        draws: which; every flag of every command has one, if there are enough.
        place: folder to work in.
        limit: how many run in a process of their own, as a shell starts them.
    """
    here, room = os.getcwd(), place / "room" / "within"
    room.mkdir(parents=True)
    fixed = [_Line(words, " ".join(words)) for words in _FIXED]
    chosen = _chosen(list(_lines()), count - len(fixed), draws)
    lines = [_given(line, place) for line in (*fixed, *chosen)]
    os.chdir(room)
    try:
        apart = set(draws.sample(range(len(lines)), min(limit, len(lines))))
        return [_tried(line, room, number in apart) for number, line in enumerate(lines)]
    finally:
        os.chdir(here)


def _given(line: _Line, place: Path) -> _Line:
    """The line with files in the place of the words that stand for them, each made when it is first needed."""
    return line._replace(words=[_file(word, place) if word in _FILES else word for word in line.words])


_FILES = {"LOG": "log.csv", "BANDIT": "bandit.csv", "RUN": "run", "TOWERS": "towers", "OUT": "out"}


def _file(word: str, place: Path) -> str:
    path = place / _FILES[word]
    if path.exists():
        return str(path)
    if word == "LOG":
        write_log(path)
    elif word == "BANDIT":
        _write_bandit(path)
    else:
        arguments = {"RUN": trained()[0].fresh(path), "TOWERS": pretrained(Path(_file("LOG", place)))[0].fresh(path),
                     "OUT": ["benchmark", *_BASES["benchmark"].split(), "--out", str(path)]}[word]
        end = forked(arguments, place / "made")
        if end.status != 0:
            raise RuntimeError(f"{arguments[0]} fails without a fault: {end.error[-300:]}")
    return str(path)


def _write_bandit(path: Path) -> None:
    """A log of a uniform policy over three actions."""
    draws = Random(2)
    rows = [f"{draws.randrange(3)},{draws.randint(0, 1)},0.3333333,{draws.random():.3f}" for _ in range(200)]
    path.write_text("\n".join(["action,reward,propensity,x", *rows]) + "\n", encoding="utf-8")


_BASES = {"train": "--preset kale --users dqn --items rest --episodes 1 --num-worlds 2 --eval-worlds 2",
          "evaluate": "RUN --eval-worlds 2",
          "benchmark": "--presets contest --agents linucb --seeds 1 --scale 0.001 --workers 1", "plot": "OUT",
          "ope": "BANDIT --policy uniform", "estimators": "--preset kale --steps 2 --rounds 100 --repeats 2",
          "pretrain": "--log LOG --size 8 --epochs 1 --no-baselines", "recommend": "--run TOWERS --user 1",
          "fidelity": "--log LOG --episodes 1 --resamples 10", "unbiased": "--log LOG --sizes 2 --ridges 1 --seeds 1",
          "bench": "--repeats 1 --seconds 0.01 --only core-kale"}
"""What makes each command short; the bad value comes last and so takes the place of a good one."""


def _lines() -> Iterator[_Line]:
    for command in _BASES:
        for name, hint in _settings(command):
            for value in _bad_values(name, hint):
                words = _base(command, name)
                flag = f"--{name.replace('_', '-')}"
                words = [command, *_without(words, flag), flag, *(value.split() if name in _SPLIT else [value])]
                yield _Line(words, f"{command} {flag} {value!r:.60}")


def _base(command: str, name: str) -> list[str]:
    """The command's base; another one for settings that only a log gives a meaning to."""
    words = _BASES[command].split()
    if command != "ope" and name in _LOG_SETTINGS and "LOG" not in words:
        return ["--log", "LOG", *_without(_without(words, "--preset"), "--presets")]
    return words


_SPLIT = ("reward_range", "clip_rewards")
_LOG_SETTINGS = {"data_dir", "user_column", "item_column", "reward_column", "time_column", "propensity_column",
                 "position_column", "split_column", "reward_range", "user_features", "item_features", "held_out",
                 "split", "duplicates", "clip_rewards", "implicit_above", "k_core", "scale_rewards", "missing",
                 "targets", "clip_weights", "encoder"}


def _without(words: list[str], flag: str) -> list[str]:
    """The words without a flag and its value."""
    if flag not in words:
        return words
    place = words.index(flag)
    return words[:place] + words[place + 2:]


_PLACES = ("path", "run", "folders")  # given by their place, without a flag; the fixed lines have them


def _settings(command: str) -> Iterator[tuple[str, Any]]:
    """Name and type of all that a command can be given."""
    module, name = (COMMANDS.get(command) or module_of(command)).split(":")
    function = getattr(import_module(module), name)
    hints = get_type_hints(function)
    for name in inspect.signature(function).parameters:
        if is_dataclass(hints[name]):
            own = get_type_hints(hints[name], include_extras=True)
            yield from ((field.name, own[field.name]) for field in fields(hints[name]) if field.name not in _PLACES)
        elif name not in _PLACES:
            yield name, hints[name]


def _bad_values(name: str, hint: Any) -> tuple[str, ...]:
    if name in _OWN:
        return _OWN[name]
    kinds = set(_kinds(hint))
    if Literal in kinds:
        return ("no-such", "")
    for kind, values in ((Path, _INPUTS), (int, _INTEGERS), (float, (*_NUMBERS, "-1"))):
        if kind in kinds:
            return values
    return ("no-such", "") if name.endswith("_column") else ()


def _kinds(hint: Any) -> Iterator[Any]:
    """The types that a hint is made of."""
    origin = get_origin(hint)
    if origin is Literal:
        yield Literal
    elif origin is Annotated:
        yield from () if any("Suppress" in repr(mark) for mark in get_args(hint)[1:]) else _kinds(get_args(hint)[0])
    elif origin in (Union, types.UnionType, tuple):
        for part in get_args(hint):
            yield from _kinds(part)
    else:
        yield hint


def _chosen(lines: list[_Line], count: int, draws: Random) -> list[_Line]:
    """One for each flag of each command, then others by chance; in the order of the commands."""
    order = draws.sample(range(len(lines)), len(lines))
    first: dict[tuple[str, str], int] = {}
    for number in order:
        command, flag, *_ = lines[number].shown.split()
        first.setdefault((command, flag), number)
    chosen = list(first.values()) + [number for number in order if number not in set(first.values())]
    return [lines[number] for number in sorted(chosen[:count])]


def _tried(line: _Line, room: Path, apart: bool) -> Row:
    """Run it; a refused one must not leave anything behind, and nothing is written outside its folder."""
    outside = sorted(room.parent.parent.iterdir()) + sorted(room.parent.iterdir())
    if apart:
        end = Command(line.words).ended()
        problems = refusal_problems(end.status, end.error)
    else:
        problems = refusal_problems(*quiet(line.words))
    left = [path for path in room.rglob("*") if path.is_file()]
    if left:
        problems.append(f"left {left[0].relative_to(room)} behind")
    if sorted(room.parent.parent.iterdir()) + sorted(room.parent.iterdir()) != outside:
        problems.append("wrote outside its folder")
    for path in left:
        path.unlink()
    return judged(PART, line.shown, problems)
