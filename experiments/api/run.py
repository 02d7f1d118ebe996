"""A run as an object: train, look at it, evaluate it, train longer, and load it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, Unpack

import polars as pl
import torch

from interplay.envs.checking import Count, Index, Positive, check_names, check_value, shown
from interplay.envs.presets import Preset
from interplay.envs.types import InterplayError, Side
from interplay.experiments.api.bars import bar
from interplay.experiments.api.border import public
from interplay.experiments.api.lists import catalogue_of_agent, check_users, frame_of
from interplay.experiments.api.markets import Log, PresetMarket, market_settings, setting
from interplay.experiments.api.names import agent_name, check_path, option_pairs
from interplay.experiments.api.options import TrainOptions
from interplay.experiments.common.command_lines import command_line
from interplay.experiments.common.flags import Many
from interplay.experiments.common.looping import Callback
from interplay.experiments.common.pictures import Picture
from interplay.experiments.common.settings import OPTION_OF, Device, TrainSettings
from interplay.experiments.common.threads import working_threads
from interplay.experiments.evaluate.evaluation import Report, Score, evaluate, report, stand_in
from interplay.experiments.evaluate.exploiting import exploit
from interplay.experiments.evaluate.finishing import train_and_evaluate
from interplay.experiments.evaluate.learning import learning_picture
from interplay.experiments.loop.players import check_ready
from interplay.experiments.loop.resolved import RunConfig
from interplay.experiments.loop.run import BEST, CHECKPOINT
from interplay.experiments.loop.run import Run as Training
from interplay.experiments.loop.task import recommended
from interplay.experiments.loop.training import Callbacks
from interplay.experiments.recommend.recommending import catalogue_of

MarketLike = str | Preset | PresetMarket | Log


@public
def train(market: MarketLike = "town", *, users: object = None, items: object = None, platform: object = None,
          callbacks: Callbacks = (), progress: bool | None = None, **options: Unpack[TrainOptions]) -> Run:
    """Train users, items and platforms with and against each other, then evaluate them on held-out worlds.

    Agents are names (``"dqn"``), names with options (``"dqn,hidden=32"``), ``"module:Class"``, classes, or options
    (``interplay.agents.DQN(hidden=32)``). A class that a script or notebook defines is found again only by that script
    or notebook: for ``load`` in another process, and for ``benchmark``, put it into a module.

    Args:
        market: a preset's name, a preset, ``interplay.market(...)``, or ``interplay.log(...)``.
        users: agent that plays the users; None = as the market recommends, dqn for the side that it compares.
        items: agent that plays the items.
        platform: agent that fills the slates; None = as the market recommends, most often none.
        callbacks: watch the training; see ``Callback`` and ``Evaluate``.
        progress: whether a progress bar is shown; None = in a terminal and in a notebook.
        options: see ``TrainOptions``.

    Returns:
        The finished run, which is evaluated.

    Raises:
        InterplayError: something is wrong with the arguments, training diverged, or a file cannot be written.
        KeyboardInterrupt: by Ctrl-C; the run is saved. ``load(folder).resume()`` plays the rest.
    """
    settings = train_settings(market, {"users": users, "items": items, "platform": platform}, options)
    return Run(*train_and_evaluate(settings, [*bar(progress), *checked(callbacks)]))


@public
def load(folder: str | Path, *, best: bool = False, device: Device | None = None, allow_code: bool = False) -> Run:
    """The run in ``folder``, finished or interrupted.

    Args:
        folder: that ``train`` or the command line wrote.
        best: load the best of the checkpoints that ``Evaluate(best=True)`` compared, in place of the last.
        device: where to go on; None = where it was.
        allow_code: import the code that the folder names as ``module:Name``. Allow it only if you trust both.

    Raises:
        InterplayError: there is no such run, it cannot be read, or it names code.
    """
    return Run(Training.load(Path(folder), device, allow_code, BEST if best else CHECKPOINT), resumable=not best)


class Run:
    """A training and what it has reached; ``train`` and ``load`` make it."""

    def __init__(self, training: Training, score: Report | None = None, resumable: bool = True) -> None:
        self._training, self._score, self._resumable = training, score, resumable

    @property
    def folder(self) -> Path:
        """Where everything is written: TensorBoard's events, curve.csv, checkpoints, results.json."""
        return self._training.folder

    @property
    def config(self) -> RunConfig:
        """All numbers of the training, the market and the agents: ``run.config.market.horizon``."""
        return RunConfig.of(self._training.task, self._training.players)

    @property
    def command(self) -> str:
        """What to type in a shell for the same training."""
        return command_line("train", self._training.settings)

    @property
    def score(self) -> Report:
        """The evaluation on held-out worlds without exploration, beside baselines and, where it is known, the optimum.

        A run that was loaded is evaluated when this is first asked for, which gives what it gave after training.
        """
        if self._score is None:
            run = self._training
            with working_threads(run.settings.threads):
                self._score = report(run.task.held_out, run.players, run.task.training.eval_worlds, run.settings.seed)
        return self._score

    @public
    def evaluate(self, worlds: Many | None = None, *, users: str | None = None, items: str | None = None,
                 platform: str | None = None) -> Score:
        """Play held-out worlds without exploration.

        Args:
            worlds: how many; None = as many as the final evaluation has.
            users: an agent that does not learn, such as greedy, in the place of the run's; None = the run's own.
            items: the same of the items.
            platform: the same of the platform.

        Raises:
            InterplayError: there is no such agent, it would have to learn first, or it does not play that side.
        """
        run, players = self._training, self._training.players.copied()
        others: dict[Side, str | None] = {"users": users, "items": items, "platform": platform}
        for side, name in others.items():
            if name is not None:
                check_ready(side, name)
                players = players.replaced(side, stand_in(run.task.market, side, name, run.settings.seed))
        with working_threads(run.settings.threads):
            return evaluate(run.task.held_out, players, worlds or run.task.training.eval_worlds)

    @public
    def exploit(self, side: Side | None = None, *, agents: Sequence[int] = (), learner: object = None,
                seed: Index = 0) -> pl.DataFrame:
        """What agents of a side gain by a response that each learns alone, while all others stay as they are.

        Args:
            side: users or items; None = the side that the market compares.
            agents: their numbers; () = all of the side.
            learner: the agent that learns; None = q-learning where the side has an exact state, else dqn.
            seed: of the learner and its worlds.

        Returns:
            Columns agent, before, after, gain, and low and high of its 95 % interval, in own return per episode.
        """
        given = tuple(agents) if isinstance(agents, list | tuple | range) else agents
        check_value("agents", given, tuple[Index, ...])
        run = self._training
        name = None if learner is None else agent_name(learner)
        with working_threads(run.settings.threads):
            found = exploit(run.task, run.players, side or run.task.compared, given, name, seed)
        return pl.DataFrame([{"agent": one.agent, "before": one.before, "after": one.after, "gain": one.gain.mean,
                              **dict(zip(("low", "high"), one.gain.ci95 or (None, None), strict=True))}
                             for one in found])

    @property
    def curve(self) -> pl.DataFrame:
        """A row for each episode: steps, returns while exploring, losses, and ``held_out/...`` of ``Evaluate``."""
        run = self._training
        columns = {name: [row.get(name) for row in run.curve] for name in run.curve_columns}
        return pl.DataFrame(columns, strict=False)

    @public
    def plot(self, path: str | Path | None = None) -> Picture:
        """The learning curve, with random, greedy and optimal users as lines.

        Args:
            path: picture to write; its ending says in which format. None = none; a notebook shows what is returned.
        """
        return learning_picture(self._training, self.score, None if path is None else Path(path))

    @public
    def watch(self, path: str | Path = "film.gif", *, against: str | None = None, world: Index = 0,
              fps: Positive = 4.0) -> Path:
        """Film the run's agents in one held-out world.

        Args:
            path: film to write; its ending says in which format: .gif or .mp4.
            against: an agent that does not learn, such as greedy, which plays the same world with the same noise on the
                left, in the place of the side that the market compares; None = none.
            world: number of the held-out world.
            fps: steps of the world in a second of the film.

        Raises:
            InterplayError: there is no such agent, it would have to learn first, or the film cannot be written.
        """
        from interplay.experiments.watch.films import check_film, write_film
        from interplay.experiments.watch.watching import beside, frames

        check_film(Path(path))
        run = self._training
        with working_threads(run.settings.threads):
            write_film(Path(path), frames(run.task.held_out, beside(run.task, run.players, against), world), fps)
        return Path(path)

    @public
    def resume(self, episodes: Index = 0, *, callbacks: Callbacks = (), progress: bool | None = None) -> Self:
        """Play what is left of an interrupted run, and ``episodes`` more; then evaluate it again.

        A finished run trains longer at its last rates of exploring and learning: schedules are a function of the
        planned episodes. So training 100 episodes and then 50 is not the same as training 150. A finished run is saved
        without the replay of its agents, whose memory then fills again, unless ``keep_replay`` was set: then 50 and 50
        more is the same as 100 more.

        Args:
            episodes: how many more than planned.
            callbacks: as in ``train``, whose own are not kept.
            progress: as in ``train``.

        Returns:
            This run.
        """
        if not self._resumable:
            raise InterplayError(f"the best checkpoint of {str(self.folder)!r} cannot be trained on: load the last "
                                 "one, without best=True")
        settings = self._training.settings
        resumed = TrainSettings(resume=self.folder, more_episodes=episodes, allow_code=True, threads=settings.threads,
                                device=settings.device)
        self._training, self._score = train_and_evaluate(resumed, [*bar(progress), *checked(callbacks)])
        return self

    @public
    def recommend(self, users: Sequence[object] = (), k: Count = 10) -> pl.DataFrame:
        """Lists of ``k`` items for users of the log that was trained on, by the scores of the users' agent.

        Args:
            users: ids, as in the log; () = all.
            k: items of a list.

        Returns:
            Columns user, rank, item, score, title, source; the best first, without what the user has met.
        """
        check_users(users)
        return frame_of(catalogue_of_agent(self._training), users, k)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, episode {self._training.episode} of {self._training.episodes})"


@public
def recommend(run: Run | str | Path, users: Sequence[object] = (), k: Count = 10, *,
              allow_code: bool = False) -> pl.DataFrame:
    """Lists of items, as ``Run.recommend`` makes them, from a run or from a folder that train or pretrain wrote.

    Args:
        run: the run or its folder.
        users: ids, as in the log; () = all.
        k: items of a list.
        allow_code: import the code that a folder names as ``module:Name``. Allow it only if you trust both.
    """
    check_users(users)
    if isinstance(run, Run):
        return run.recommend(users, k)
    check_path("run", run)
    return frame_of(catalogue_of(Path(run), allow_code), users, k)


def train_settings(market: MarketLike, players: Mapping[str, object], options: TrainOptions) -> TrainSettings:
    """Arguments of ``train`` as settings; players by side, None = as the market recommends."""
    where = market_settings(market)
    trainings = [recommended(TrainSettings(**where), torch.device(kind)) for kind in ("cpu", "cuda")]
    named: dict[str, Any] = {side: agent_name(one, trainings) for side, one in players.items() if one is not None}
    return TrainSettings(**where, **named, **_settings(options))


def _settings(options: TrainOptions) -> dict[str, Any]:
    """Options as fields of ``TrainSettings``."""
    check_names("train", options, TrainOptions.__annotations__)
    values: dict[str, Any] = dict(options)
    given = {flag: option_pairs(f"{flag}s", values.pop(f"{flag}s")) for flag in OPTION_OF.values()
             if f"{flag}s" in values}
    return given | {name: setting(name, value) for name, value in values.items()}


def checked(callbacks: Callbacks) -> Callbacks:
    """The callbacks, which are looked at before a folder is made."""
    given: object = callbacks
    if not isinstance(given, list | tuple) or not all(isinstance(each, Callback) for each in given):
        raise InterplayError(f"callbacks={shown(callbacks)} must be a list of callbacks, as in "
                             "callbacks=[Evaluate(every=5)]")
    return callbacks
