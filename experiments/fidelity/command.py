"""The command ``interplay fidelity``: how like its log a simulated market is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from interplay.envs.data import InteractionLog, find_log
from interplay.envs.presets.folders import is_preset, load_preset
from interplay.envs.types import SIDES, InterplayError, Side
from interplay.experiments.common.command_lines import command_line
from interplay.experiments.common.flags import check_flags
from interplay.experiments.common.logs import Parts, logged_parts
from interplay.experiments.common.reports import REPORT, made_by, publish
from interplay.experiments.common.threads import working_threads
from interplay.experiments.fidelity.aspects import comparable
from interplay.experiments.fidelity.extras import FEWEST_UNITS, read_extras
from interplay.experiments.fidelity.judging import Finding, judge
from interplay.experiments.fidelity.next_response import next_response
from interplay.experiments.fidelity.picture import draw
from interplay.experiments.fidelity.playing import Played, play
from interplay.experiments.fidelity.report import PICTURE, fidelity_text, markdown, rows, summary
from interplay.experiments.fidelity.settings import FidelitySettings
from interplay.experiments.fidelity.trace import Trace, log_trace, times_known
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.training import train_unwatched


class Compared(NamedTuple):
    """The two traces and lines that say what they are."""

    log: Trace
    market: Trace
    scale: tuple[float, float]
    notes: list[str]


@working_threads(1)
def fidelity(settings: FidelitySettings) -> list[Finding]:
    """Play a market and say how like a log it is, and whether the difference is more than the log's own noise.

    Raises:
        InterplayError: the settings or the log are wrong.
    """
    typed, settings = command_line("fidelity", settings), settings.completed()
    _check(settings)
    both = _compared(settings)
    low, high = both.scale
    liked = 0.5 if settings.liked_above is None else (settings.liked_above - low) / (high - low)
    aspects, left_out = comparable(both.log, both.market)
    predicting, why = next_response(both.log, both.market, liked, settings.seed)
    if predicting is None:
        left_out["next response"] = why
    else:
        aspects.append(predicting)
    findings = judge(aspects, both.log, both.market, settings.resamples, settings.seed)
    _write(settings.out, typed, findings, left_out, both.notes)
    return findings


def _check(settings: FidelitySettings) -> None:
    check_flags(settings)
    if settings.log is None:
        raise InterplayError("fidelity needs a log: give one with --log")
    if settings.scale_rewards == "user":
        raise InterplayError("scale_rewards='user' would compare centred rewards with raw ones: use none, log or range")
    try:
        settings.out.mkdir(parents=True, exist_ok=True)  # before anything is played
    except OSError as error:
        raise InterplayError(f"out={str(settings.out)!r} cannot be made ({error.strerror or error}): choose another "
                             "folder") from error


def _compared(settings: FidelitySettings) -> Compared:
    assert settings.log is not None, "checked"
    parts = logged_parts(settings, settings.seed)
    scale = _scale(settings, parts)
    extras = read_extras(find_log(settings.log, settings.data_dir), parts.whole,
                         settings.named_columns(settings.split_column))
    log = log_trace(parts.whole, scale, settings.gap, extras)
    log = _of_part(log, parts.held_out) if settings.split == "users" else log
    fitted = settings.preset is not None and is_preset(settings.preset)
    run = _trained(_sized_as(log, settings) if fitted else settings)
    played = play(run.task.market, run.players, len(log), settings.most_worlds,
                  1 if fitted else run.task.training.num_worlds)
    notes = [parts.summary, _market_note(run, played, log), f"rewards  0 and 1 stand for {scale[0]:g} and {scale[1]:g}"]
    market = played.trace
    if settings.split == "users":
        market = market if settings.preset is not None else _of_part(market, parts.train)
        notes.append(f"compared with the log's {log.num_users:,} users that are held out")
    if extras.session is None and not times_known(parts.whole):
        market = market.one_session_a_user()
        notes.append("sessions are all responses of a user: the log does not have the time of every row")
    else:
        notes.append("sessions of the log: "
                     + ("what a user took in one episode between coming and leaving" if extras.session is not None
                        else f"no {settings.gap:g} s without a response") + "; of the market: one stay in an episode")
    notes.append(_resampled(log))
    return Compared(log, market, scale, notes)


def _of_part(trace: Trace, part: InteractionLog) -> Trace:
    """The rows of users who have some in a part of the log."""
    return trace.of_users(np.bincount(part.user, minlength=trace.num_users) > 0)


def _sized_as(log: Trace, settings: FidelitySettings) -> FidelitySettings:
    """A fitted market, played as its log was made: with as many users, until they have taken all that they will."""
    assert settings.preset is not None, "checked"
    preset = load_preset(settings.preset)
    numbers = tuple(f"{name}={value}" for name, value in preset.as_log(log.num_users).items())
    return replace(settings, users=settings.users or preset.log_users, market=numbers + settings.market)


def _resampled(log: Trace) -> str:
    """What is resampled. Very few units have next to no noise, so that verdicts mean little."""
    what, units = (("user", log.num_users) if log.cluster is None else
                   ("world, each with users and items of its own", int(log.cluster.max()) + 1))
    few = f": there are only {units}, so that verdicts say little" if units < FEWEST_UNITS else ""
    return f"resampled by {what}{few}"


def _scale(settings: FidelitySettings, parts: Parts) -> tuple[float, float]:
    """The rewards that are 0 and 1 in the market: the log's range, but of a preset [0, 1] itself where the log fits."""
    low, high = parts.whole.reward_range
    return (0.0, 1.0) if settings.preset is not None and low >= 0.0 and high <= 1.0 else (low, high)


def _trained(settings: FidelitySettings) -> Run:
    """The agents, trained if any of them learns."""
    run = Run.start(settings.train_settings(), settings.out)
    sides: tuple[Side, ...] = (*SIDES, "platform") if run.players.has_platform else SIDES
    learning = any(run.players[side].learns for side in sides)
    if settings.episodes is not None and not learning:
        raise InterplayError(f"--episodes {settings.episodes} has no effect: no agent learns here: leave it out")
    if learning:
        train_unwatched(run)
    return run


def _market_note(run: Run, played: Played, log: Trace) -> str:
    names, trace = run.players.names(), played.trace
    agents = ", ".join(f"{side}: {name}" for side, name in names.items())
    bound = "" if len(trace) >= len(log) else f"; fewer than the log's {len(log):,}, since most_worlds was reached"
    return (f"market   {run.task.name} ({agents}): {len(trace):,} responses in {played.num_worlds} episodes of "
            f"{run.task.market.config.horizon} steps, {played.skipped:,} skips{bound}")


def _write(out: Path, typed: str, findings: list[Finding], left_out: dict[str, str], notes: list[str]) -> None:
    found = rows(findings, left_out)
    print("\n".join(notes), markdown(found), summary(found), sep="\n")
    publish(out, fidelity_text, made_by(typed), {"rows": found, "notes": notes})
    draw(findings, summary(found), out / PICTURE)
    print(f"wrote {out / REPORT} and {out / PICTURE}")
