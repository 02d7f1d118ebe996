"""Many seeds of one training, at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

from interplay.envs.checking import check_value
from interplay.experiments.api.options import TrainOptions
from interplay.experiments.api.run import MarketLike, Run, bar, checked, train_settings
from interplay.experiments.common.flags import Many
from interplay.experiments.evaluate.finishing import train_and_evaluate_all
from interplay.experiments.loop.training import Callbacks


def train_seeds(market: MarketLike = "town", seeds: int = 10, *, users: object = None, items: object = None,
                platform: object = None, callbacks: Callbacks = (), progress: bool | None = None,
                **options: Unpack[TrainOptions]) -> list[Run]:
    """Train with several seeds, from ``seed`` on.

    On a GPU, and from 8 seeds on a CPU, all train as one where their agents can be stacked. Otherwise they train one
    after another.

    Each run has a folder of its own, as if it had been trained alone, and is equal to that up to rounding.

    Args:
        market: as for ``train``, and so are the other arguments.
        seeds: how many.
        users: agent that plays the users.
        items: agent that plays the items.
        platform: agent that fills the slates.
        callbacks: watch every run; they get each in turn.
        progress: whether a progress bar is shown.
        options: see ``TrainOptions``; the seed is added to ``name``.
    """
    settings = train_settings(market, {"users": users, "items": items, "platform": platform}, options)
    check_value("seeds", seeds, Many)
    watching = [*bar(progress), *checked(callbacks)]
    return [Run(*found) for found in train_and_evaluate_all(replace(settings, seeds=seeds).of_seeds(),
                                                            [watching] * seeds)]
