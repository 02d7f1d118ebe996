"""How well the parts of a fitted market predict rows and users that were held out."""

from __future__ import annotations

import numpy as np

from interplay.envs.data import InteractionLog
from interplay.experiments.fit.choosing import score_leaving, score_responses, simpler
from interplay.experiments.fit.fitting import Fitted
from interplay.experiments.fit.rows import divided, rows_of
from interplay.experiments.fit.scores import Score
from interplay.experiments.fit.settings import FitSettings
from interplay.experiments.fit.taking import popularity_alone, score_takes
from interplay.experiments.fit.visiting import fit_visits, score_visits


def judge(settings: FitSettings, held_out: InteractionLog, fitted: Fitted) -> list[Score]:
    """Scores of all parts.

    Of users who are held out, half of the rows are used to learn what they like, and the others are predicted. Where
    rows are held out, activity and sessions are predicted for a fifth of the users from the others.

    Args:
        settings: say what is held out.
        held_out: it.
        fitted: to the training part.
    """
    rows, responses, takes, visits, *_ = fitted
    unseen, simple = rows_of(held_out, settings.gap, settings.step), popularity_alone(rows, takes)
    without = simpler(responses, rows)
    if settings.split == "users":
        known, wanted = divided(unseen, 0.5, np.random.default_rng(settings.seed))
        responses, without = responses.folded_in(known), {part: each.folded_in(known) for part, each in without.items()}
        takes = takes.folded_in(known, responses)
        simple = simple.of_others(known.num_users)
        return [*score_takes(takes, simple, known, wanted), *score_responses(responses, without, rows, wanted),
                *score_visits(visits, rows, unseen), *score_leaving(responses, visits.hazard(), unseen)]
    wanted = unseen.among(rows)
    some = np.random.default_rng(settings.seed).permutation(rows.num_users) < max(1, rows.num_users // 5)
    others = rows.of_users(~some)
    return [*score_takes(takes, simple, rows, wanted), *score_responses(responses, without, rows, wanted),
            *score_visits(fit_visits(others, settings.seed), others, rows.of_users(some)),
            *score_leaving(responses, visits.hazard(), wanted)]
