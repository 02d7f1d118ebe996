"""The command ``interplay fit``: a market from a log."""

from __future__ import annotations

from dataclasses import replace

import torch

from interplay.envs.behaviour.fitted import FittedTables
from interplay.envs.fitted_preset import FittedPreset, load_preset, save_preset
from interplay.envs.types import InterplayError
from interplay.experiments.common.command_lines import command_line
from interplay.experiments.common.logs import Parts, logged_parts
from interplay.experiments.common.reports import REPORT, made_by, publish
from interplay.experiments.common.saving import CONFIG, write_text
from interplay.experiments.common.threads import working_threads
from interplay.experiments.fit.judging import judge
from interplay.experiments.fit.making import make_preset, make_tables, topics_of
from interplay.experiments.fit.people import plausible_responses, plausible_takes
from interplay.experiments.fit.report import fit_text, table_of
from interplay.experiments.fit.responding import Responses, fit_responses
from interplay.experiments.fit.rows import Rows, rows_of
from interplay.experiments.fit.settings import FitSettings
from interplay.experiments.fit.taking import Takes, fit_takes
from interplay.experiments.fit.visiting import fit_visits


@working_threads(1)
def fit(settings: FitSettings) -> FittedPreset:
    """Fit all parts, print how well they predict the held-out part, and write preset and report.

    Raises:
        InterplayError: the settings or the log are wrong, or the folder cannot be written.
    """
    if settings.log is None:
        raise InterplayError("fit needs a log: name a file, a folder or a data set")
    parts = logged_parts(settings, settings.seed)
    print(parts.summary)
    rows = rows_of(parts.train, settings.gap)
    topics = topics_of(parts.train)
    responses = fit_responses(rows, topics, settings.seed)
    takes = fit_takes(rows, topics, responses, settings.seed)
    visits = fit_visits(rows, settings.seed)
    tables = _people(parts, rows, takes, responses, settings.seed)
    preset = make_preset(settings.out.resolve().name, tables, rows, responses, float(takes.rate), visits)
    scores = [score._asdict() for score in judge(settings, parts.held_out, rows, responses, takes, visits)]
    save_preset(settings.out, preset, tables)
    write_text(settings.out / CONFIG, settings.to_json())
    notes = [parts.summary, f"market   {preset.summary}"]
    publish(settings.out, fit_text, made_by(command_line("fit", settings)), {"rows": scores, "notes": notes})
    print(f"{table_of(scores)}\nwrote {settings.out / REPORT}: play it with --preset {settings.out}")
    return load_preset(str(settings.out))


def _people(parts: Parts, rows: Rows, takes: Takes, responses: Responses, seed: int) -> FittedTables:
    """The tables of the market, with people who differ as much as real ones do."""
    generator = torch.Generator().manual_seed(seed)
    drawn = plausible_responses(responses, rows, generator)
    tastes = plausible_takes(replace(takes, user_response=drawn.user_factor), rows, generator)
    return make_tables(parts.train, rows, tastes, drawn)
