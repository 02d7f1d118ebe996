"""The command ``interplay pretrain``: representations from a log, beside what they have to beat."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from interplay.envs.data import InteractionLog, fit_factors
from interplay.envs.types import InterplayError
from interplay.experiments.logs import Parts, logged_parts
from interplay.experiments.representation.baselines import ease, implicit_als, item_knn, popularity
from interplay.experiments.representation.fitting import Fitted, Recipe, fit
from interplay.experiments.representation.ranking import Floats, Ranker, interactions, rank
from interplay.experiments.representation.responses import Responses, judge, probability_of
from interplay.experiments.settings import LogSettings, typed
from interplay.experiments.statistics import mean_estimate
from interplay.experiments.tables import table

_PATHS = ("log", "data_dir", "user_features", "item_features", "log_dir")

MODEL, CONFIG, RESULTS = "model.pt", "config.json", "results.json"


@dataclass(frozen=True)
class PretrainSettings(LogSettings, Recipe):
    """Train two towers on a log: what users take, or how they respond. Baselines are fitted on the same split."""

    liked_above: float | None = None
    """Rewards above this count as liked; by default the middle of the scale."""
    k: int = 10
    """Length of the lists that rankings are judged by."""
    seeds: int = 1
    """Repeats with other seeds, and so other random splits, from --seed on; summed up in report.md."""
    baselines: bool = True
    """Whether to fit popularity, item-kNN, EASE and ALS on the same split."""
    log_dir: Path = Path("runs")
    """Folder in which the run's own folder is made."""
    name: str | None = None
    """Name of the run's own folder; by default the log, the encoder, the seed and the time."""

    def recipe(self) -> Recipe:
        """The model's part of the settings."""
        return Recipe(**{f.name: getattr(self, f.name) for f in fields(Recipe)})

    def threshold(self, log: InteractionLog) -> float:
        """Above which a reward is liked."""
        return sum(log.reward_range) / 2.0 if self.liked_above is None else self.liked_above

    def to_json(self) -> str:
        """The settings as text; paths become absolute, so that the run can be used from anywhere."""
        values = asdict(self)
        for name in _PATHS:
            path = values[name]  # a log may also be the name of a public data set
            values[name] = str(path.resolve()) if path is not None and path.exists() else path and str(path)
        return json.dumps(values, indent=2)

    @classmethod
    def from_json(cls, text: str) -> PretrainSettings:
        """The settings that ``to_json`` wrote."""
        values = json.loads(text)
        for name in _PATHS:
            values[name] = None if values[name] is None else Path(values[name])
        if values["clip_rewards"] is not None:
            values["clip_rewards"] = tuple(values["clip_rewards"])
        return cls(**values)


def pretrain(settings: PretrainSettings) -> Path:
    """One run, or one for each seed and a report of all.

    Returns:
        The folder.

    Raises:
        InterplayError: whatever is wrong with the settings or the log.
    """
    if settings.log is None:
        raise InterplayError("pretrain needs a log: give one with --log")
    settings.check()
    if settings.seeds == 1:
        return _one(settings)
    if settings.seeds < 1:
        raise InterplayError(f"seeds={settings.seeds} must be at least 1")
    folder = _make_folder(settings)
    seeds = range(settings.seed, settings.seed + settings.seeds)
    for seed in seeds:
        _one(replace(settings, seed=seed, seeds=1, log_dir=folder, name=f"s{seed}"))
    report = _report([json.loads((folder / f"s{seed}" / RESULTS).read_text()) for seed in seeds])
    (folder / "report.md").write_text(report)
    print(report)
    return folder


def _report(runs: Sequence[dict[str, Any]]) -> str:
    """Means over seeds, with the command that made them."""
    models: dict[str, dict[str, Any]] = runs[0]["models"]
    means = {model: {figure: mean_estimate([_number(run["models"][model][figure]) for run in runs])
                     for figure in figures} for model, figures in models.items()}
    epochs = ", ".join(str(run["epochs"]) for run in runs)
    return (f"Made by `{typed('pretrain')}` with torch {torch.__version__.split('+')[0]}. Means over {len(runs)} "
            "seeds, each with a split of its own where that is random; 95 % bootstrap intervals over seeds. Epochs "
            f"trained: {epochs}.\n\n{_table(means)}\n")


def _number(value: Any) -> float:
    return float(value["mean"] if isinstance(value, dict) else value)


def _one(settings: PretrainSettings) -> Path:
    """Train, compare, print the table and write everything into the run's folder, which is returned."""
    torch.set_num_threads(1)
    parts = logged_parts(settings, settings.seed)
    print(parts.summary)
    folder = _make_folder(settings)
    print(f"run: {folder}")
    writer = SummaryWriter(str(folder))
    try:
        started = time.perf_counter()
        fitted = fit(parts.train, settings.recipe(), settings.threshold(parts.train),
                     lambda name, value, epoch: writer.add_scalar(f"pretrain/{name}", value, epoch),
                     "last" if settings.split == "last" else "random")
        seconds = time.perf_counter() - started
        found: dict[str, Any] = (_rankings(settings, parts, fitted) if settings.task == "ranking"
                                 else _responses(settings, parts, fitted))
        for name, value in found[_name(settings)].items():
            writer.add_scalar(f"pretrain/held_out_{name}", value[0] if isinstance(value, tuple) else value,
                              fitted.epochs)
    finally:
        writer.close()
    _save(folder, settings, fitted, {"epochs": fitted.epochs, "seconds": round(seconds, 1), "models": found})
    print(f"{fitted.epochs} epochs, {seconds:.0f} s\n{_table(found)}")
    return folder


def _name(settings: PretrainSettings) -> str:
    return f"two-tower {settings.encoder}"


def _rankings(settings: PretrainSettings, parts: Parts, fitted: Fitted) -> dict[str, Any]:
    seen, held_out = interactions(parts.train), interactions(parts.held_out)
    rankers: dict[str, Ranker] = {}
    if settings.baselines:
        rankers = {"popularity": popularity(seen), "item-knn": item_knn(seen), "ease": ease(seen),
                   "implicit-als": implicit_als(seen)}
    rankers[_name(settings)] = fitted.scores
    found = {name: rank(ranker, seen, held_out, settings.k) for name, ranker in rankers.items()}
    return {name: {f"{label}@{settings.k}" if label not in ("mrr",) else label: value
                   for label, value in ranking._asdict().items()} for name, ranking in found.items()}


def _responses(settings: PretrainSettings, parts: Parts, fitted: Fitted) -> dict[str, Any]:
    train, held_out, threshold = parts.train, parts.held_out, settings.threshold(parts.train)
    found: dict[str, Responses] = {}
    sizes = {"biases": 0, "als": 10} if settings.baselines else {}
    for name, size in sizes.items():
        factors = fit_factors(train, size)
        low, high = train.reward_range
        known, wanted = (low + (high - low) * factors.predict(part.user, part.item) for part in (train, held_out))
        found[name] = _judged(train, held_out, known, wanted, threshold)
    known, wanted = (fitted.responses(part.user, part.item) for part in (train, held_out))
    found[_name(settings)] = _judged(train, held_out, known, wanted, threshold)
    return {name: responses._asdict() for name, responses in found.items()}


def _judged(train: InteractionLog, held_out: InteractionLog, known: Floats, wanted: Floats,
            threshold: float) -> Responses:
    chance = probability_of(known, train.reward.astype(float), threshold, wanted)
    low, high = train.reward_range
    return judge(wanted.clip(low, high), held_out.reward.astype(float), threshold, chance)


def _table(found: dict[str, Any]) -> str:
    columns = list(next(iter(found.values())))
    return table(["model", *columns], [[name, *(_cell(values[c]) for c in columns)] for name, values in found.items()])


def _cell(value: Any) -> str:
    return str(value) if isinstance(value, tuple) else f"{value:.3f}"


def _make_folder(settings: PretrainSettings) -> Path:
    """A new folder.

    Raises:
        InterplayError: it is there already, or cannot be made.
    """
    assert settings.log is not None
    name = f"pretrain-{settings.log.stem}-{settings.encoder}-s{settings.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder = settings.log_dir / (settings.name or name)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise InterplayError(f"{str(folder)!r} cannot be made ({error.strerror or error}): choose another with "
                             "--name or --log-dir") from error
    return folder


def _save(folder: Path, settings: PretrainSettings, fitted: Fitted, results: dict[str, Any]) -> None:
    (folder / CONFIG).write_text(settings.to_json() + "\n")
    torch.save({"model": fitted.model.state_dict(), "shape": asdict(fitted.model.shape)}, folder / MODEL)
    models = {name: {label: value._asdict() if hasattr(value, "_asdict") else value for label, value in values.items()}
              for name, values in results["models"].items()}
    (folder / RESULTS).write_text(json.dumps({**results, "models": models}, indent=2) + "\n")

