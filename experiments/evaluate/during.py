"""Evaluation during training, without exploration and on held-out worlds: a learning curve of what is learnt."""

from __future__ import annotations

from interplay.envs.checking import Count, check_arguments
from interplay.experiments.common.flags import Many
from interplay.experiments.common.looping import Callback
from interplay.experiments.evaluate.evaluation import Score, evaluate
from interplay.experiments.loop.run import BEST, Run
from interplay.experiments.loop.tracking import HELD_OUT

_GLANCES, _FEW_WORLDS = 10, 64
_RETURNS = {"users": "user_return", "items": "item_return", "platform": "user_return"}


class Evaluate(Callback[Run]):
    """Plays held-out worlds after every few episodes, without exploration and without learning.

    The figures are logged as ``held_out/user_return`` and so on, and are columns of ``run.curve``.

    Args:
        every: episodes between two evaluations; None = as the run's ``eval_every`` says.
        worlds: held-out worlds; None = as many as the final evaluation has.
        best: keep a checkpoint of the highest return of the side that the market compares, so far.
            ``load(folder, best=True)`` loads it.
        patience: end the training after so many evaluations in a row without a higher return; None = never.
    """

    def __init__(self, every: Count | None = 5, worlds: Many | None = None, best: bool = False,
                 patience: Count | None = None) -> None:
        check_arguments(Evaluate.__init__, every=every, worlds=worlds, best=best, patience=patience)
        self.every, self.worlds, self.best, self.patience = every, worlds, best, patience

    def episode_ended(self, run: Run, figures: dict[str, float]) -> None:
        """Evaluate, if it is time to."""
        every = run.settings.eval_every if self.every is None else self.every
        if every and (run.episode + 1) % every == 0:
            worlds = run.task.training.eval_worlds if self.worlds is None else self.worlds
            figures |= _figures(run, evaluate(run.task.held_out, run.players.copied(), worlds))
            self._compare(run, figures)

    def _compare(self, run: Run, figures: dict[str, float]) -> None:
        """Keep the best, and stop if none was better for long. The curve has the earlier ones, also after a resume."""
        name = f"{HELD_OUT}{_RETURNS[run.task.training.side]}"
        before, now = [row[name] for row in run.curve if name in row], figures[name]
        if self.best and now > max(before, default=float("-inf")):
            run.save(BEST)
        returns = [*before, now]
        if self.patience is not None and len(before) - returns.index(max(returns)) >= self.patience:
            run.episodes = run.episode + 1


class Glances(Evaluate):
    """Evaluates ten times on few worlds where a run asks for no evaluations, so that there is a curve to look at."""

    def __init__(self) -> None:
        super().__init__(every=None)

    def episode_ended(self, run: Run, figures: dict[str, float]) -> None:
        """Evaluate, if it is time to; the final evaluation comes anyway."""
        self.every = max(1, run.task.training.episodes // _GLANCES)
        self.worlds = min(_FEW_WORLDS, run.task.training.eval_worlds)
        if run.settings.eval_every == 0 and run.episode + 1 < run.episodes:
            super().episode_ended(run, figures)


def _figures(run: Run, score: Score) -> dict[str, float]:
    """Returns, and the figure by which the market compares agents."""
    names = dict.fromkeys(["user_return", "item_return", run.task.training.measure])
    return {f"{HELD_OUT}{name}": getattr(score, name).mean for name in names}
