"""Returns of agents that are trained on a preset, one for each seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.loop.run import Run


def returns_of_seeds(preset: str, agent: str, seeds: int, episodes: int | None, known: Sequence[float] = (),
                     market: tuple[str, ...] = ()) -> Iterator[list[float]]:
    """User returns on held-out worlds, without exploration: those that are known, then one more after each training.

    No run is written.

    Args:
        preset: by name.
        agent: of the users, by name or as NAME,OPTION=VALUE.
        seeds: how many, from 0.
        episodes: of training; None = as the preset recommends.
        known: returns of the first seeds, which are trained no more.
        market: numbers of the market that are others, as NAME=VALUE.
    """
    found = list(known[:seeds])
    yield list(found)
    for seed in range(len(found), seeds):
        run = Run.start(TrainSettings(preset=preset, users=agent, items="rest", seed=seed, device="cpu",
                                      episodes=episodes, market=market), Path())
        while not run.finished:
            run.step()
            if run.episode_ended:
                run.next_episode()
        found.append(round(evaluate(run.task.held_out, run.players, run.task.training.eval_worlds).user_return.mean, 3))
        print(f"{preset}, {agent}, seed {seed}: {found[-1]:.1f}", flush=True)
        yield list(found)
