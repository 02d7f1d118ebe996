"""From what was typed to a command, and from its errors to an exit status and one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from functools import partial, wraps
from importlib import import_module
from io import StringIO
from typing import Any

import tyro

from interplay.envs.checking import shown
from interplay.envs.messages import choice, shortened
from interplay.envs.types import InterplayError
from interplay.experiments.cli.commands import COMMANDS, module_of
from interplay.experiments.cli.helping import quick_answer, wrong_words
from interplay.experiments.common.guarding import guarded
from interplay.experiments.common.notes import printed_notes
from interplay.experiments.common.progress import shown_progress
from interplay.experiments.common.stopping import Stopped, quiet_threads, stoppable
from interplay.experiments.common.terminal import print_anything

Command = Callable[..., Any]


def main(arguments: Sequence[str] | None = None, command: str | None = None) -> int:
    """Run one command; gives the exit status. Wrong input ends in one line on standard error.

    Args:
        arguments: what was typed; None = those of the process.
        command: ``module:function`` to run, for scripts that are no command of ``interplay``; otherwise the first
            argument names a command.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    with stoppable(), quiet_threads(), current_folder_last(), printed_notes(), shown_progress():
        print_anything()
        try:
            answer = quick_answer(words, command)
            if answer is not None:
                print(answer)
                return 0
            if command is not None:
                return _run(command, words, "interplay")
            if words[0] not in COMMANDS:
                raise InterplayError(f"unknown command {shown(words[0])}: {choice(COMMANDS, words[0])}")
            return _run(module_of(words[0]), words[1:], f"interplay {words[0]}")
        except InterplayError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt as stop:
            print(str(stop) or "stopped", file=sys.stderr)
            return stop.status if isinstance(stop, Stopped) else 130
        except BrokenPipeError:  # callers know what a reader that is gone means
            raise
        except OSError as error:  # the disk is full, or a folder cannot be written
            print(f"error: {error}: free space, or choose another place", file=sys.stderr)
            return 2


@contextmanager
def current_folder_last() -> Iterator[None]:
    """So that my_module:MyAgent is found in the current folder, but no file there replaces a library."""
    before, here = sys.path[:], os.getcwd()
    sys.path[:] = [*(path for path in before if path not in ("", here)), here]
    try:
        yield
    finally:
        sys.path[:] = before


def _run(command: str, words: list[str], prog: str) -> int:
    problem = wrong_words(command, words)
    if problem is not None:
        raise InterplayError(problem)
    module, name = command.split(":")
    function: Command = guarded(getattr(import_module(module), name), words)
    status = _parsed(function, words, prog)()
    return status if isinstance(status, int) else 0


def _parsed(function: Command, words: list[str], prog: str) -> Callable[[], Any]:
    """The call that was typed. What the parser refuses by a box of many lines is refused in one."""
    @wraps(function)
    def later(*given: Any, **named: Any) -> Callable[[], Any]:
        return partial(function, *given, **named)

    said = StringIO()
    try:
        with redirect_stderr(said):
            call: Callable[[], Any] = tyro.cli(later, args=words, prog=prog, config=(tyro.conf.OmitArgPrefixes,))
    except SystemExit as error:
        if not error.code:
            raise
        lines = [line.strip(" │╭╮╰╯─-") for line in said.getvalue().splitlines()]
        text = " ".join(line for line in lines[1:] if line).partition("For full helptext")[0].strip()
        raise InterplayError(f"{shortened(text, 200)}: see {prog} --help") from None
    sys.stderr.write(said.getvalue())  # what is no error, such as a note
    return call
