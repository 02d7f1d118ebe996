"""Help of one command, in groups, and checks of what was typed. Both read the command's source alone."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import interplay
from interplay.envs.messages import choice, shortened
from interplay.experiments.cli.commands import COMMANDS, module_of, overview
from interplay.experiments.cli.flag_texts import Flag, Texts, texts_of

_HELP = ("-h", "--help", "--help-all")

GROUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "market": (("preset", "presets", "market", "mechanism"), ()),
    "log": (("log", "user_column", "item_column", "reward_column", "liked_above", "split"),
            ("encoder", "missing", "targets", "clip_weights", "cross_fit")),
    "agents": (("users", "items", "platform", "agents", "others", "user_option", "item_option", "platform_option"), ()),
    "training": (("episodes", "num_worlds", "seed", "seeds", "workers", "eval_every", "device"),
                 ("eval_worlds", "discount", "capture", "threads")),
    "output": (("log_dir", "name", "resume", "out"), ("logger", "allow_code", "more_episodes", "keep_replay")),
}
"""Groups of flags: those that ``--help`` shows, and those that only ``--help-all`` shows."""

_OF_LOGS = ("LogSettings", "LikedSettings", "TableSettings", "FormSettings")
_MANY = 14
"""Flags of a command that are all shown by ``--help``."""
_LEFT = 28
"""Columns of a flag and its value, before its text."""


def quick_answer(words: Sequence[str], command: str | None = None) -> str | None:
    """What to print where words ask for help or for the version; None for others.

    Args:
        words: that were typed.
        command: ``module:function`` that they are for; None = the first word names it.
    """
    if command is not None:
        return help_of(command, Path(sys.argv[0]).name, "--help-all" in words) if set(_HELP) & set(words) else None
    if not words or words[0] in _HELP:
        return overview()
    if words[0] == "--version":
        return f"interplay {interplay.__version__}"
    if words[0] in COMMANDS and set(_HELP) & set(words):
        return help_of(module_of(words[0]), f"interplay {words[0]}", "--help-all" in words)
    return None


def help_of(command: str, prog: str, everything: bool = False) -> str:
    """The help of ``module:function``.

    Args:
        command: as ``module:function``.
        prog: what is typed to run it.
        everything: whether all flags are shown with all of their text.
    """
    texts = texts_of(command)
    width = min(100, shutil.get_terminal_size().columns)
    everything = everything or len(texts.flags) <= _MANY
    places = " ".join(_place(flag) for flag in texts.flags if flag.positional)
    lines = [" ".join(filter(None, [f"usage: {prog}", places, "[OPTIONS]"])), "",
             *textwrap.wrap(texts.summary, width)]
    for title, flags in _grouped(texts, everything):
        lines += ["", title, *(line for flag in flags for line in _lines(flag, width, everything))]
    if not everything:
        lines += ["", f"{prog} --help-all shows {len(texts.flags)} options and all that they mean."]
    return "\n".join(lines)


def _grouped(texts: Texts, everything: bool) -> Iterator[tuple[str, list[Flag]]]:
    """Titles and their flags; those of no group come first, since they are the command's own."""
    yours = {name: title for title, (often, rarely) in GROUPS.items() for name in (*often, *rarely)}
    rare = {name for _, rarely in GROUPS.values() for name in rarely}
    found: dict[str, list[Flag]] = {"options": [], **{title: [] for title in GROUPS}}
    for flag in texts.flags:
        title = "options" if flag.positional else yours.get(flag.name, "log" if flag.owner in _OF_LOGS else "options")
        hidden = flag.name in rare or (flag.owner in _OF_LOGS and flag.name not in yours)
        if everything or not hidden:
            found[title].append(flag)
    order = [name for often, _ in GROUPS.values() for name in often]
    for title, flags in found.items():
        if flags:
            yield title, sorted(flags, key=lambda flag: order.index(flag.name) if flag.name in order else len(order))


def _lines(flag: Flag, width: int, everything: bool) -> Iterator[str]:
    left = f"  {flag.typed}" if flag.positional else f"  {flag.typed} {flag.value}".rstrip()
    text = flag.text if everything else re.split(r"[.:;] ", flag.text)[0]
    text = text if ". " in text and not flag.default else text.rstrip(".")
    text = text[:1].upper() + text[1:] if re.match(r"[a-z-]+ ", text) else text
    if flag.default and not flag.positional:
        text = f"{text} [{flag.default}]"
    right = textwrap.wrap(text, width - _LEFT) or [""]
    if len(left) > _LEFT - 2:
        yield from textwrap.wrap(left, width, initial_indent="  ", subsequent_indent="    ")
        left = ""
    for line in right:
        yield (left.ljust(_LEFT) + line).rstrip()
        left = ""


def _place(flag: Flag) -> str:
    """A value without a flag, as usage lines show it."""
    if flag.value.endswith("..."):
        return f"[{flag.typed} ...]"
    return flag.typed if flag.required else f"[{flag.typed}]"


def wrong_words(command: str, words: Sequence[str]) -> str | None:
    """What is wrong with the words that were typed, in one line; None where nothing is seen to be wrong."""
    texts = texts_of(command)
    places = [flag for flag in texts.flags if flag.positional]
    flags = {flag.typed: flag for flag in texts.flags if not flag.positional}
    flags |= {f"--no-{flag.typed[2:]}": flag for flag in flags.values() if not flag.value}
    left, expected, several, needed = iter(words), iter(places), False, [f for f in flags.values() if f.required]
    for word in left:
        name, equals, value = word.partition("=")
        name = name.replace("_", "-")
        if name == "--":
            return None
        if not name.startswith("--"):
            flag = None if several or word.startswith("-") else next(expected, None)
            problem = flag and _wrong_value(flag, word)
        elif name not in flags:
            known = f"{choice(sorted(flags), name)}, or see --help" if flags else "leave it out, the command has none"
            return shortened(f"unknown option {name!r}: {known}")
        else:
            flag = flags[name]
            needed = [other for other in needed if other is not flag]
            word = value if equals or not flag.value else next(left, "")
            problem = _wrong_value(flag, word)
            several |= flag.value.endswith("...")
        if flag and problem:
            return shortened(f"{' '.join(filter(None, (flag.typed, word)))}: {problem}")
    missing = next((flag for flag in (*(() if several else expected), *needed) if flag.required), None)
    return None if missing is None else shortened(f"{missing.typed} is missing: {missing.text or missing.value}")


def _wrong_value(flag: Flag, given: str) -> str | None:
    """What is wrong with a flag's first value."""
    if not flag.value or flag.value.endswith("...") or given == "None":
        return None
    kinds = flag.value.split()[0].split("|")
    if not given:
        return f"give it a value, {flag.value}"
    if kinds == ["N"]:
        return None if given.lstrip("+-").replace("_", "").isdecimal() else "it must be a whole number"
    if any(kind.isupper() for kind in kinds) or given in kinds:
        return None
    return choice(kinds, given)
