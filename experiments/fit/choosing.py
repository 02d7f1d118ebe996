"""Which model of responses a market has: ranks, penalties and optional parts are chosen on users who were not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from interplay.experiments.fit.carrying import ENDS, Ends, leavings, moods, satiations, with_hazard
from interplay.experiments.fit.responding import (
    ALL,
    Responses,
    fit_to,
    levels_of,
    log_probability,
    marginal_cuts,
    place_of,
    start_of,
)
from interplay.experiments.fit.rows import TUNED_ON, Rows, divided, some_users
from interplay.experiments.fit.scores import Score

_RANKS = (0, 4, 8)
_BIAS_PENALTIES = (1.0, 3.0)
_FACTOR_PENALTIES = (4.0, 8.0)
_STANDARD_ERRORS = 2.0  # of users' means, by which an optional part has to raise the likelihood of unseen users


def fit_responses(rows: Rows, topics: Tensor, hazard: Sequence[float], seed: int) -> Responses:
    """The model whose rank, penalties and optional parts best predict users that it was not fitted to.

    Of a fifth of the users, half of the rows say what they like, and the others are predicted. Positions, mood,
    satiation and leaving are there if these users are clearly likelier with them.

    Args:
        rows: of the log.
        topics: float32 ``[I, G]``.
        hazard: of sessions by their length, from which leaving begins.
        seed: of all that is drawn.
    """
    levels = levels_of(rows.reward)
    tried = [(rank, bias, factor) for rank, bias, factor in product(_RANKS, _BIAS_PENALTIES, _FACTOR_PENALTIES)
             if rank > 0 or factor == _FACTOR_PENALTIES[0]]  # without factors their penalty makes no difference
    trial = Trial.of(rows, seed)
    if len(levels) < 2:
        return start_of(rows, levels, topics, tried[0], seed)
    if not trial.decides:
        return fit_to(start_of(rows, levels, topics, tried[-1], seed), rows, ALL)
    found = [fit_to(start_of(trial.old, levels, topics, each, seed), trial.old, ALL) for each in tried]
    best = max(range(len(tried)), key=lambda place: float(trial.scores(found[place]).mean()))
    model = trial.with_parts(found[best], hazard)
    whole = start_of(rows, levels, topics, tried[best], seed)
    carry = replace(model.carry, leaves=False)
    whole = fit_to(replace(whole, carry=carry, raw_position=model.raw_position), rows, ALL)
    return with_leaving(whole, rows, hazard) if model.carry.leaves else whole


def with_leaving(model: Responses, rows: Rows, hazard: Sequence[float]) -> Responses:
    """The model, fitted to the rows already, with leaving: when users leave is fitted first, and all else with it then.

    Args:
        model: with moods.
        rows: whose order is known.
        hazard: of sessions by their length, from which leaving begins.
    """
    carried = model.carried(rows)
    assert carried is not None, "leaving goes by moods"
    found = [fit_to(replace(model, carry=carry), rows, ENDS) for carry in leavings(model.carry, carried.mood, hazard)]
    return fit_to(max(found, key=lambda each: each.likelihood_of_all(rows)), rows, ALL)


class Trial(NamedTuple):
    """Users that models are chosen by.

    Attributes:
        old: rows of the users that models are fitted to.
        new: rows of other users. known, wanted: both halves of them.
    """

    old: Rows
    new: Rows
    known: Rows
    wanted: Rows

    @classmethod
    def of(cls, rows: Rows, seed: int) -> Trial:
        """A fifth of the users against the others."""
        rng = np.random.default_rng(seed)
        some = rows.of_users(some_users(rows, TUNED_ON, rng))
        unseen = rng.permutation(some.num_users) < some.num_users // 5
        new = some.of_users(unseen)
        return cls(some.of_users(~unseen), new, *divided(new, 0.5, rng))

    @property
    def decides(self) -> bool:
        """Whether there is anything to go by."""
        return len(self.old) > 0 and len(self.wanted) > 0

    def scores(self, model: Responses) -> Tensor:
        """The log-likelihood of each wanted row under a model of the old users."""
        with torch.no_grad():
            return model.folded_in(self.known).log_likelihood(self.wanted)

    def with_parts(self, model: Responses, hazard: Sequence[float]) -> Responses:
        """The model of the old users with the optional parts that pay."""
        timed, rows, topics = self.old.past is not None, self.old, model.topics
        if rows.position is not None and model.levels[0] == 0.0:
            model = self._better(model, [replace(model, raw_position=torch.tensor(-1.5))])
        for more in (moods, satiations) if timed else ():
            model = self._better(model, [replace(model, carry=carry) for carry in more(topics, model.carry)])
        if not model.carry.has_mood or rows.past is None or len(hazard) == 0:
            return model
        leaves = with_leaving(model, rows, hazard)
        by_length = Ends.of(self.new, len(hazard))
        with torch.no_grad():
            gain = leaves.ends(self.new) - by_length.log_likelihood(with_hazard(model.carry, hazard), None)
        return leaves if clearly(gain, self.new.user[by_length.row.numpy()]) else model

    def _better(self, model: Responses, others: Sequence[Responses]) -> Responses:
        """The best of the others, fitted, if it is clearly better."""
        before, user = self.scores(model), self.wanted.user
        found = [fit_to(other, self.old, ALL) for other in others]
        gains = [self.scores(each) - before for each in found]
        better = [place for place, gain in enumerate(gains) if clearly(gain, user)]
        return found[max(better, key=lambda place: float(gains[place].mean()))] if better else model


def clearly(gain: Tensor, user: np.ndarray) -> bool:
    """Whether gains ``[N]`` are above 0 by more than chance among their users ``[N]``, each of them one draw."""
    by_user = np.bincount(user, weights=gain.double().numpy())[np.unique(user)]
    if len(by_user) < 2:
        return False
    return bool(by_user.mean() > _STANDARD_ERRORS * by_user.std(ddof=1) / len(by_user) ** 0.5)


def simpler(model: Responses, rows: Rows) -> dict[str, Responses]:
    """Models without each optional part that the model has, by its name, fitted to the same rows."""
    carry = model.carry
    without = {"position bias": replace(model, raw_position=None),
               "mood": replace(model, carry=replace(carry, has_mood=False, leaves=False)),
               "satiation": replace(model, carry=replace(carry, has_satiation=False))}
    return {part: fit_to(without[part], rows, ALL) for part in parts_of(model)}


def parts_of(model: Responses) -> list[str]:
    """The names of the optional parts that it has, leaving apart."""
    there = {"position bias": model.raw_position is not None, "mood": model.carry.has_mood,
             "satiation": model.carry.has_satiation}
    return [part for part, has in there.items() if has]


def score_responses(model: Responses, without: Mapping[str, Responses], rows: Rows, wanted: Rows) -> list[Score]:
    """Of held-out rows, beside the shares of the levels in the training rows, and beside models without some parts."""
    with torch.no_grad():
        fitted = float(model.log_likelihood(wanted).mean())
        plain = {part: float(other.log_likelihood(wanted).mean()) for part, other in without.items()}
        simple = float(log_probability(torch.zeros(len(wanted)), marginal_cuts(rows, model.levels),
                                        place_of(wanted, model.levels)).mean())
    name = f"ordered logit, biases of users and items, rank {model.user_factor.shape[1]}"
    found = [Score("how users respond", name, "shares of the levels", len(wanted), fitted, simple)]
    texts = {"mood": f"decay {float(model.carry.mood_decay):.2f}"
             + (", an effect of each item" if len(model.carry.effect) else ""),
             "satiation": f"decay {float(model.carry.satiation_decay):.2f}",
             "position bias": f"eta {float(model.position_bias):.2f}"}
    for part in ("mood", "satiation", *["position bias"] * (rows.position is not None)):
        used = part in plain
        found.append(Score(part, texts[part] if used else "not clearly likelier", "none", len(wanted), fitted,
                           plain.get(part, fitted), used))
    return found


def score_leaving(model: Responses, hazard: Sequence[float], unseen: Rows) -> list[Score]:
    """Of ends of sessions that were held out, by mood and length, beside length alone; none where there are no moods.

    Args:
        model: of responses.
        hazard: of sessions by their length alone.
        unseen: rows of held-out users.
    """
    if not model.carry.has_mood or unseen.past is None:
        return []
    ends = Ends.of(unseen, len(hazard))
    with torch.no_grad():
        simple = ends.log_likelihood(with_hazard(model.carry, hazard), None)
        fitted = model.ends(unseen) if model.carry.leaves else simple
    text = (f"by mood, within {float(model.carry.bound):.2f} of the logit" if model.carry.leaves
            else "not clearly likelier")
    return [Score("leaving", text, "by length alone", len(simple), float(fitted.mean()), float(simple.mean()),
                  model.carry.leaves)]
