"""How well the parts of a fitted market predict rows and users that were held out."""

from __future__ import annotations

import numpy as np

from interplay.envs.data import InteractionLog
from interplay.experiments.fit.responding import Responses, score_responses
from interplay.experiments.fit.rows import Rows, parted, rows_of
from interplay.experiments.fit.scores import Score
from interplay.experiments.fit.settings import FitSettings
from interplay.experiments.fit.taking import Takes, popularity_alone, score_takes
from interplay.experiments.fit.visiting import Visits, fit_visits, score_visits


def judge(settings: FitSettings, held_out: InteractionLog, rows: Rows, responses: Responses, takes: Takes,
          visits: Visits) -> list[Score]:
    """Scores of all parts.

    Of users who are held out, half of the rows are used to learn what they like, and the others are predicted. Where
    rows are held out, activity and sessions are predicted for a fifth of the users from the others.

    Args:
        settings: say what is held out.
        held_out: it.
        rows: of the training part.
        responses: what was fitted to them.
        takes: likewise.
        visits: likewise.
    """
    unseen, simple = rows_of(held_out, settings.gap), popularity_alone(rows, takes)
    if settings.split == "users":
        known, wanted = parted(unseen, 0.5, np.random.default_rng(settings.seed))
        responses = responses.folded_in(known)
        takes = takes.folded_in(known, responses)
        simple = simple.of_others(known.num_users)
        return [*score_takes(takes, simple, known, wanted), *score_responses(responses, rows, wanted),
                *score_visits(visits, rows, unseen)]
    wanted = _renumbered(unseen, rows)
    some = np.random.default_rng(settings.seed).permutation(rows.num_users) < max(1, rows.num_users // 5)
    others = rows.of_users(~some)
    return [*score_takes(takes, simple, rows, wanted), *score_responses(responses, rows, wanted),
            *score_visits(fit_visits(others, settings.seed), others, rows.of_users(some))]


def _renumbered(unseen: Rows, rows: Rows) -> Rows:
    """The rows of users who have other rows in ``rows``, with their numbers there."""
    known = unseen.of_users(np.isin(unseen.people, rows.people))
    return known.renumbered(np.searchsorted(rows.people, known.people), rows.people)
