"""The command ``interplay pretrain``: representations from a log, beside baselines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from interplay.envs.data import InteractionLog, find_folds, find_log
from interplay.envs.types import InterplayError
from interplay.experiments.common.command_lines import command_line
from interplay.experiments.common.finite import check_figures
from interplay.experiments.common.folders import check_name, new_folder, owned
from interplay.experiments.common.logs import Parts, digest, digest_of, logged_parts
from interplay.experiments.common.reports import made_by, publish
from interplay.experiments.common.saving import (
    CONFIG,
    RESULTS,
    digest_of_file,
    read_sealed,
    save_checkpoint,
    write_sealed,
    write_text,
)
from interplay.experiments.common.stopping import resumable
from interplay.experiments.common.threads import working_threads
from interplay.experiments.loop.tracking import Events, final_events
from interplay.experiments.recommend.repeats import figures_table, repeats_text
from interplay.experiments.representation.epochs import Keeper, Training
from interplay.experiments.representation.factorisation import SIZES, factorise
from interplay.experiments.representation.fitting import Fitted, fit, inner_parts
from interplay.experiments.representation.ranking import Floats, make_trial
from interplay.experiments.representation.responses import Responses, judge, liked_of, probability_of
from interplay.experiments.representation.settings import MODEL, TRAINING, PretrainSettings
from interplay.experiments.representation.tuning import Strengths, rankers, tuned


def pretrain(settings: PretrainSettings) -> Path:
    """Train two towers on a log, beside the baselines that they have to beat.

    One run, or one for each seed or fold and a report of all.

    Returns:
        The folder.

    Raises:
        InterplayError: the settings or the log are wrong.
        Stopped: by a signal; says how to resume.
    """
    settings = (settings.resumed() if settings.resume is not None
                else replace(settings, typed=command_line("pretrain", settings)))
    settings.check()
    if settings.name is not None:
        check_name(settings.name)
    runs = _repeats(settings)
    if not runs:
        return _one(settings)
    with _opened(settings) as folder:
        done: dict[str, Any] = {}
        try:
            for name, run in runs.items():
                done[name] = _results(replace(run, log_dir=folder, name=name, resume=None))
        finally:  # report what is finished, even if the rest fails or is stopped
            if done:
                print(publish(folder, repeats_text, made_by(settings.typed), {
                    "over": "folds" if settings.folds else "seeds", "planned": len(runs), "runs": done}))
    return folder


def _repeats(settings: PretrainSettings) -> dict[str, PretrainSettings]:
    """The runs that the settings ask for, by name; none if they are one themselves."""
    if settings.folds:
        assert settings.log is not None, "checked"
        folds = find_folds(find_log(settings.log, settings.data_dir))
        return {fold.stem: replace(settings, log=fold, folds=False) for fold in folds}
    seeds = range(settings.seed, settings.seed + settings.seeds) if settings.seeds > 1 else ()
    return {f"s{seed}": replace(settings, seed=seed, seeds=1) for seed in seeds}


def _results(settings: PretrainSettings) -> dict[str, Any]:
    """Of a run among several, which may be finished or begun already."""
    assert settings.name is not None, "one of several runs has a name"
    folder = settings.log_dir / settings.name
    if not (folder / RESULTS).is_file():
        _one(replace(settings, resume=folder if folder.exists() else None))
    return read_sealed(folder / RESULTS)


@contextmanager
def _opened(settings: PretrainSettings) -> Iterator[Path]:
    """The run's folder, a new one or the one to resume, with the settings in it; no other process writes to it."""
    assert settings.log is not None, "checked"
    default = f"pretrain-{settings.log.stem}-{settings.encoder}-s{settings.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    with (nullcontext(settings.resume) if settings.resume is not None
          else new_folder(settings.log_dir, settings.name, default, RESULTS, TRAINING)) as folder:
        if not (folder / CONFIG).is_file():
            write_text(folder / CONFIG, settings.to_json())
        with resumable("pretrain", folder), owned(folder):
            yield folder


@working_threads(1)
def _one(settings: PretrainSettings) -> Path:
    """Train, compare, print the table and write everything into the run's folder, which is returned."""
    parts = logged_parts(settings, settings.seed)
    print(parts.summary)
    if settings.task == "responses":  # fail now rather than after minutes of training
        parts.held_out.scaled(parts.held_out.reward)
        liked_of(parts.held_out.reward, settings.threshold(parts.train))
    else:
        print(_said(settings, parts))
    with _opened(settings) as folder:
        print(f"run: {folder}")
        keeper = Keeper(folder / TRAINING, _made_by(settings, parts))
        fitted, found = _trained(settings, parts, folder, keeper)
        seconds = keeper.seconds
        _save(folder, fitted, digest(parts.train), {"epochs": fitted.epochs, "seconds": round(seconds, 1), **found})
    print(f"{fitted.epochs} epochs, {seconds:.0f} s\n{figures_table(found['models'])}")
    return folder


def _said(settings: PretrainSettings, parts: Parts) -> str:
    """How many pairs count as liked.

    Raises:
        InterplayError: none of the training part does, or none that is held out.
    """
    pairs = {label: len(settings.learnt(part).pairs().key)
             for label, part in (("training", parts.train), ("held-out", parts.held_out))}
    if not all(pairs.values()):
        above = settings.implicit_above if settings.liked_above is None else settings.liked_above
        raise InterplayError(f"{pairs['training']} training and {pairs['held-out']} held-out pairs count as liked, "
                             f"above {above:g}: lower --liked-above or --implicit-above, or hold out more")
    every, count = sum(pairs.values()), len(parts.whole.pairs().key)
    return f"liked    {every:,} of {count:,} pairs, {pairs['held-out']:,} of them held out"


class _Curves(Events[Training]):
    """Curves over the epochs of both trainings, and a bar for each, since they may take minutes."""

    def begin(self, run: Training) -> None:
        """Open them."""
        self._bar = tqdm(total=run.episodes, initial=run.episode, unit="epoch", mininterval=0.5)
        super().begin(run)

    def episode_ended(self, run: Training, figures: dict[str, float]) -> None:
        """Go on by an epoch."""
        super().episode_ended(run, figures)
        self._bar.set_postfix({name.removeprefix("pretrain/"): value for name, value in figures.items()})
        self._bar.update()

    def close(self) -> None:
        """End them."""
        super().close()
        self._bar.close()


def _made_by(settings: PretrainSettings, parts: Parts) -> dict[str, Any]:
    """All that a training depends on, by the name that users know."""
    train = parts.train
    return {**asdict(settings.recipe()), "liked_above": float(settings.threshold(train)), "split": settings.split,
            "training part": digest(train), "held-out part": digest(parts.held_out),
            "side features": digest_of(train.user_features, train.item_features, train.item_topics)}


def _trained(settings: PretrainSettings, parts: Parts, folder: Path, keeper: Keeper) -> tuple[Fitted, dict[str, Any]]:
    """The model, and the figures of it and the baselines; curves go to the folder."""
    learnt = settings.learnt(parts.train)
    strengths = _strengths(settings, parts.train, learnt)
    fitted = fit(learnt, settings.recipe(), settings.threshold(parts.train), settings.inner, keeper,
                 strengths["implicit-als"] if settings.starts_from_als else None, parts.train,
                 [_Curves(folder, lambda run: run.clock)])
    found: dict[str, Any] = (_rankings(settings, parts, fitted, strengths) if settings.task == "ranking"
                             else _responses(settings, parts, fitted))
    with final_events(folder) as writer:
        for name, value in found["models"][_name(settings)].items():
            figure = value[0] if isinstance(value, tuple) else value
            check_figures({name: figure}, f"after {fitted.epochs} epochs")
            writer.add_scalar(f"pretrain/held_out_{name}", figure, fitted.epochs)
    return fitted, found


def _name(settings: PretrainSettings) -> str:
    return f"two-tower {settings.encoder}"


def _strengths(settings: PretrainSettings, train: InteractionLog, learnt: InteractionLog) -> dict[str, Strengths]:
    """Those of the baselines, where any is needed."""
    if settings.task != "ranking" or not (settings.baselines or settings.starts_from_als):
        return {}
    trial = make_trial(train, *inner_parts(learnt, settings.seed, settings.inner))
    return tuned(trial) if settings.baselines else tuned(trial, ["implicit-als"])


def _rankings(settings: PretrainSettings, parts: Parts, fitted: Fitted,
              strengths: dict[str, Strengths]) -> dict[str, Any]:
    # Lists leave out what users have met, liked or not; only what is liked is learnt from, or found.
    trial = make_trial(parts.train, settings.liked(parts.train), settings.liked(parts.held_out))
    models = rankers(trial.liked, strengths) if settings.baselines else {}
    models[_name(settings)] = fitted.scores
    found = {name: trial.rank(ranker, settings.k) for name, ranker in models.items()}
    return {"strengths": strengths, "models": {name: {f"{label}@{settings.k}" if label not in ("mrr",) else label: value
                              for label, value in ranking._asdict().items()} for name, ranking in found.items()}}


def _responses(settings: PretrainSettings, parts: Parts, fitted: Fitted) -> dict[str, Any]:
    train, held_out = parts.train, parts.held_out
    inner, validation = inner_parts(train, settings.seed, settings.inner)
    factors = {name: factorise(inner, validation, train, held_out, size)
               for name, size in (SIZES if settings.baselines else {}).items()}
    assert fitted.validation is not None, "a first epoch whose figure is not finite is an error"
    guesses = {**{name: (found.validation, found.held_out) for name, found in factors.items()},
               _name(settings): (fitted.validation, fitted.responses(held_out.user, held_out.item))}
    models = {name: _judged(validation, held_out, *guess, settings.threshold(train))._asdict()
              for name, guess in guesses.items()}
    return {"models": models, "ridges": {name: found.ridge for name, found in factors.items()}}


def _judged(validation: InteractionLog, held_out: InteractionLog, known: Floats, wanted: Floats,
            threshold: float) -> Responses:
    """Figures of ``wanted``; chances are calibrated on ``known`` of the validation part, which was not learnt from."""
    chance = probability_of(known, validation.reward.astype(float), threshold, wanted)
    low, high = held_out.reward_range
    return judge(wanted.clip(low, high), held_out.reward.astype(float), threshold, chance)


def _save(folder: Path, fitted: Fitted, trained_on: str, results: dict[str, Any]) -> None:
    save_checkpoint(folder / MODEL, {"model": fitted.model.state_dict(), "shape": asdict(fitted.model.shape),
                                     "trained_on": trained_on}, {CONFIG: digest_of_file(folder / CONFIG)})
    models = {name: {label: value._asdict() if hasattr(value, "_asdict") else value for label, value in values.items()}
              for name, values in results["models"].items()}
    write_sealed(folder / RESULTS, {**results, "models": models})  # the last: with them, the run is finished
    (folder / TRAINING).unlink(missing_ok=True)
