"""Where the command line begins: Ctrl-C and SIGTERM end it quietly while its imports take their seconds."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from interplay.experiments.cli.helping import quick_answer
from interplay.experiments.common.terminal import print_anything


def main(arguments: Sequence[str] | None = None, command: str | None = None) -> int:
    """As ``cli.main.main``, for the main program of a process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        status = _answer(list(sys.argv[1:] if arguments is None else arguments), command)
        sys.stdout.flush()  # now, and not while Python ends, where an error could not be handled
    except BrokenPipeError:  # a reader such as head has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains as it ends
        return 141  # the status that a shell gives for it
    return status


def _answer(words: Sequence[str], command: str | None) -> int:
    answer = quick_answer(words, command)
    if answer is not None:  # at once, without torch
        print_anything()
        print(answer)
        return 0
    # Before torch is loaded: threads that spin while they wait are far slower than one where other programs run.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from interplay.experiments.cli.main import main as run

    try:
        return run(words, command)
    finally:  # the command has said how it ended: a signal while Python ends, such as torchrun's, adds nothing
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> None:
    """Exit at once: an exception could get lost in an import, and there is nothing to save outside a command."""
    os.write(2, b"stopped\n")
    os._exit(128 + number)
