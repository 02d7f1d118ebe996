"""Many seeds of one training, at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

from interplay.envs.types import InterplayError
from interplay.experiments.api.bars import bar, bar_is_shown
from interplay.experiments.api.border import public
from interplay.experiments.api.names import check_importable
from interplay.experiments.api.options import TrainOptions
from interplay.experiments.api.run import MarketLike, Run, checked, train_settings
from interplay.experiments.common.flags import Many, Threads
from interplay.experiments.evaluate.finishing import train_and_evaluate_all
from interplay.experiments.evaluate.spreading import num_processes, train_spread
from interplay.experiments.loop.training import Callbacks


@public
def train_seeds(market: MarketLike = "town", seeds: Many = 10, *, users: object = None, items: object = None,
                platform: object = None, callbacks: Callbacks = (), progress: bool | None = None,
                workers: Threads | None = None, **options: Unpack[TrainOptions]) -> list[Run]:
    """Train with several seeds, from ``seed`` on.

    On a CPU several processes share them, one for each core. On a GPU, and from 3 seeds of a process on a CPU, all
    train as one where their agents can be stacked. Otherwise they train one after another.

    Each run has a folder of its own, as if it had been trained alone, and is equal to that up to rounding.

    Args:
        market: as for ``train``, and so are the other arguments.
        seeds: how many.
        users: agent that plays the users.
        items: agent that plays the items.
        platform: agent that fills the slates.
        callbacks: watch every run; they get each in turn. They do so in this process, which then trains all seeds.
        progress: whether a progress bar is shown.
        workers: processes; None = one for each core that may be used, but one alone on a GPU, with callbacks, and for
            agents and presets that the main program defines.
        options: see ``TrainOptions``; the seed is added to ``name``.
    """
    settings = train_settings(market, {"users": users, "items": items, "platform": platform}, options)
    settings = replace(settings, seeds=seeds)
    if workers not in (None, 1) and checked(callbacks):
        raise InterplayError(f"workers={workers} with callbacks, which watch in this process alone: leave out workers, "
                             "or callbacks")
    count = 1 if checked(callbacks) else num_processes(replace(settings, workers=workers))
    if count > 1:
        check_importable(settings.named)
        return [Run(*found) for found in train_spread(settings.of_seeds(), count, shown=bar_is_shown(progress))]
    watching = [*bar(progress), *checked(callbacks)]
    return [Run(*found) for found in train_and_evaluate_all(settings.of_seeds(), [watching] * seeds)]
