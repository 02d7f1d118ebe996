"""What the command line shows of a training at its start and at its end."""

from __future__ import annotations

from collections.abc import Iterator

from interplay.envs.presets import find_preset
from interplay.envs.types import SIDES, Side
from interplay.experiments.cli.commands import COMMANDS
from interplay.experiments.cli.console import console, counted, either, say, say_table, say_whole
from interplay.experiments.common.looping import Callback
from interplay.experiments.common.statistics import Estimate
from interplay.experiments.evaluate.evaluation import Report, Score
from interplay.experiments.evaluate.learnt import learnt, warnings_of
from interplay.experiments.evaluate.tables import exact, measures
from interplay.experiments.loop.run import Run

_NEXT = {"evaluate": "all of its figures",
         "watch": "a film of it"}


class Announce(Callback[Run]):
    """Prints at the start what is trained, on what, for how long, and where it is written.

    Args:
        brief: only the folder, for further seeds of the same training.
    """

    def __init__(self, brief: bool = False) -> None:
        self._brief = brief

    def begin(self, run: Run) -> None:
        """Print it."""
        if not self._brief:
            say_table(("", ""), _start(run))
            say_log(run)
        say_whole(f"folder   {run.folder}" + (f" (resumed after {run.env_steps:,} steps)" if run.env_steps else ""))


def _start(run: Run) -> Iterator[tuple[str, str]]:
    config, training, settings = run.task.market.config, run.task.training, run.settings
    preset = find_preset(settings.preset).summary if settings.log is None else "a market made of the log"
    changes = [*(f"with {name}" for name in settings.mechanism), *settings.market]
    yield "market", f"{run.task.name}: {preset}" + (f" ({', '.join(changes)})" if changes else "")
    yield "players", ", ".join(_players(run))
    yield "worlds", (f"{training.num_worlds:,} at a time, each with {counted(config.num_users, 'user')}, "
                     f"{counted(config.num_items, 'item')} and slates of {config.slate_size}")
    yield "budget", (f"{counted(run.episodes, 'episode')} of {counted(config.horizon, 'step')}, then "
                     f"{counted(training.eval_worlds, 'held-out world')}")
    yield "device", f"{run.task.market.device.type}, {counted(settings.threads, 'thread')}"


def _players(run: Run) -> Iterator[str]:
    sides: tuple[Side, ...] = (*SIDES, "platform") if run.players.has_platform else SIDES
    for side in sides:
        yield f"{side}: {run.players.names()[side]}" + (" (learns)" if run.players[side].learns else "")


def say_log(run: Run) -> None:
    """Print what was read of a log."""
    if run.task.summary:
        print("\n".join([run.task.summary, *run.notes]))


def say_report(run: Run, report: Report) -> None:
    """Print at the end what came of it, beside others in the place of the agents, and what to do next."""
    say(f"\n{run.folder.name}, in {counted(run.task.training.eval_worlds, 'held-out world')}:\n")
    _say_rows(run, report)
    if report.score.measures:
        say("")
        say_table(*measures(report, interval=False), right=range(1, 3 + len(exact(report))))
    say("")
    _say_score(report)
    _say_learning(run, report)
    _say_next(run)


def _say_rows(run: Run, report: Report) -> None:
    """The table: with intervals, if there is room for them."""
    for interval in (True, False):
        returns = [f"{side} return{' [95 %]' * interval}" for side in ("user", "item")][:1 + _items_count(run)]
        header = ["", *returns, *_scale(report)]
        rows = list(_rows(run, report, interval))
        widths = [max(len(row[place]) for row in [header, *(row for _, row in rows)]) for place in range(len(header))]
        if sum(widths) + 2 * len(widths) <= console().width:
            break
    say_table(header, [row for _, row in rows], right=range(1, len(header)),
              bold=[number for number, (score, _) in enumerate(rows) if score is report.score])


def _items_count(run: Run) -> bool:
    return run.players["items"].learns or run.task.training.side == "items"


def _scale(report: Report) -> list[str]:
    name, _ = report.reference
    name = f"{name} (myopic)" if name == "greedy" else name
    return [] if report.normalised_score is None else [f"0 random, 1 {name}"]


def _rows(run: Run, report: Report, interval: bool) -> Iterator[tuple[Score | None, list[str]]]:
    """A row for each score, the run's own after those of others on its side, and the exact answer last."""
    own = report.score.names()
    sides = {side for score in report.baselines for side in own if score.names()[side] != own[side]}
    for score in (*report.baselines, report.score):
        scaled = report.normalised(score.user_return.mean)
        returns = [score.user_return, score.item_return][:1 + _items_count(run)]
        yield score, [_label(run, score, report, len(sides) > 1),
                      *(str(found if interval else Estimate(found.mean)) for found in returns),
                      *([] if scaled is None else [f"{scaled:.2f}"])]
    for oracle in exact(report):
        items = "" if oracle.item_return is None else f"{oracle.item_return:.1f}"
        scaled = report.normalised(oracle.user_return)
        yield None, [f"  {oracle.name} (exact)", f"{oracle.user_return:.3f}", *([items] if _items_count(run) else []),
                     *([] if scaled is None else [f"{scaled:.2f}"])]


def _label(run: Run, score: Score, report: Report, several: bool) -> str:
    """The agent that is another one than in the run; of the run itself, its learners."""
    own = report.score.names()
    if score is report.score:
        return f"{either('▸', '>')} {', '.join(_learners(run)) or own[report.side]}"
    (side,) = [side for side in own if score.names()[side] != own[side]] or [report.side]
    name = score.names()[side]
    return f"  {f'{side}: ' if several else ''}{name}{' (myopic)' if name == 'greedy' else ''}"


def _learners(run: Run) -> list[str]:
    return [type(player).name for player in run.players.each() if player.learns]


def _say_score(report: Report) -> None:
    name, best = report.reference
    if report.normalised_score is not None:
        say(f"normalised score {report.normalised_score:.3f} (0 = random {report.random:.3f}, 1 = {name} {best:.3f})")
    if report.best_response_gap is not None:
        say(f"best-response gap {report.best_response_gap:.3f}: what one agent could gain by deviating")


def _say_learning(run: Run, report: Report) -> None:
    found = [f"{name} learnt in {number:,} {what}" for name, number, what in learnt(run)]
    say(", ".join([f"trained for {run.wall_seconds:.0f} s", *found]))
    for warning in warnings_of(run, report):
        say(f"warning: {warning}: train longer, with --episodes", "yellow")


def _say_next(run: Run) -> None:
    folder = f"{run.folder}{run.settings.code_flag}"
    lines = [(f"interplay {command} {folder}", what) for command, what in _NEXT.items() if command in COMMANDS]
    if run.settings.log is not None:
        lines.append((f"interplay recommend --run {folder} -k 5", "lists of items for its users"))
    lines.append((f"tensorboard --logdir {run.folder.parent}", "its curves, under Custom Scalars"))
    width = max(len(line) for line, _ in lines)
    explained = width + max(len(what) for _, what in lines) + 4 <= console().width
    say("next:")
    for line, what in lines:
        say_whole(f"  {line.ljust(width)}  {what}" if explained else f"  {line}")
