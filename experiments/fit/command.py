"""The command ``interplay fit``: a market from a log."""

from __future__ import annotations

from collections.abc import Callable

from interplay.envs.presets.folders import FittedPreset, load_preset, save_preset
from interplay.envs.types import InterplayError
from interplay.experiments.common.command_lines import command_line
from interplay.experiments.common.flags import check_flags
from interplay.experiments.common.folders import check_place
from interplay.experiments.common.logs import logged_parts
from interplay.experiments.common.reports import REPORT, made_by, publish
from interplay.experiments.common.saving import CONFIG, write_text
from interplay.experiments.common.threads import working_threads
from interplay.experiments.fit.fitting import fit_log
from interplay.experiments.fit.judging import judge
from interplay.experiments.fit.report import fit_text, table_of
from interplay.experiments.fit.settings import FitSettings


@working_threads(1)
def fit(settings: FitSettings, say: Callable[[str], object] = lambda line: None) -> FittedPreset:
    """Fit all parts, say how well they predict the held-out part, and write preset and report.

    Args:
        settings: what to fit.
        say: is called with what was read, and with the result.

    Raises:
        InterplayError: the settings or the log are wrong, or the folder cannot be written.
    """
    check_flags(settings)
    if settings.log is None:
        raise InterplayError("fit needs a log: name a file, a folder or a data set")
    if settings.scale_rewards == "user":
        raise InterplayError("scale_rewards='user' takes away what makes users differ: use none, log or range")
    check_place(settings.out)
    parts = logged_parts(settings, settings.seed)
    say(parts.summary)
    fitted = fit_log(parts.train, settings.out.resolve().name, settings.gap, settings.seed, settings.step)
    scores = [score._asdict() for score in judge(settings, parts.held_out, fitted)]
    save_preset(settings.out, fitted.preset, fitted.tables)
    write_text(settings.out / CONFIG, settings.to_json())
    notes = [parts.summary, f"market   {fitted.preset.summary}"]
    publish(settings.out, fit_text, made_by(command_line("fit", settings)), {"rows": scores, "notes": notes})
    say(f"{table_of(scores)}\nwrote {settings.out / REPORT}: play it with --preset {settings.out}")
    return load_preset(str(settings.out))
