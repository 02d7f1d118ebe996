"""All parts of a market, fitted to one log."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from interplay.envs.behaviour.fitted import FittedTables
from interplay.envs.data import InteractionLog
from interplay.envs.presets.folders import FittedPreset
from interplay.experiments.fit.choosing import fit_responses
from interplay.experiments.fit.making import make_preset, make_tables, topics_of
from interplay.experiments.fit.people import plausible_responses, plausible_takes
from interplay.experiments.fit.responding import Responses
from interplay.experiments.fit.rows import Rows, rows_of, some_users
from interplay.experiments.fit.taking import Takes, fit_takes
from interplay.experiments.fit.visiting import Visits, fit_visits

_MOST_ROWS = 1_000_000  # of a longer log, some users have about so many


class Fitted(NamedTuple):
    """What was fitted to ``rows``, and the market that follows."""

    rows: Rows
    responses: Responses
    takes: Takes
    visits: Visits
    tables: FittedTables
    preset: FittedPreset


def fit_log(log: InteractionLog, name: str, gap: float, seed: int,
            step: float | None = None) -> Fitted:
    """Fit a market to all rows of a log.

    Args:
        log: what may be learnt from.
        name: of the preset.
        gap: seconds without a row after which a user's next session begins.
        seed: of all that is drawn.
        step: seconds that a step takes; None = a step is a row.
    """
    rows, topics = rows_of(log, gap, step), topics_of(log)
    rows = rows.of_users(some_users(rows, _MOST_ROWS, np.random.default_rng(seed)))
    visits = fit_visits(rows, seed)
    responses = fit_responses(rows, topics, visits.hazard(), seed)
    takes = fit_takes(rows, topics, responses, seed)
    generator = torch.Generator().manual_seed(seed)
    people = plausible_responses(responses, rows, generator)
    tastes = plausible_takes(replace(takes, user_response=people.user_factor), rows, generator)
    tables = make_tables(log, rows, tastes, people)
    preset = make_preset(name, tables, rows, responses, float(takes.rate), visits)
    return Fitted(rows, responses, takes, visits, tables, preset)
