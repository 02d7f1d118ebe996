"""What pretrain wrote, read back: for lists, and as the start of a logged market and its agents."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from interplay.envs.data import InteractionLog
from interplay.envs.types import InterplayError
from interplay.experiments.common.log_settings import LogSettings
from interplay.experiments.common.logs import digest
from interplay.experiments.common.saving import CONFIG, digest_of_file, load_checkpoint
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.representation.fitting import Fitted
from interplay.experiments.representation.histories import Histories
from interplay.experiments.representation.settings import MODEL, PretrainSettings
from interplay.experiments.representation.two_tower import Shape, TwoTower

# What says which rows a model was trained on. Features hold no rewards, and where a data set lies changes none.
_PART = [f.name for f in fields(LogSettings) if f.name not in ("data_dir", "user_features", "item_features")]
_PART.append("seed")


class Saved(NamedTuple):
    """A run of pretrain.

    Attributes:
        folder: that it is in.
        settings: that it was made with.
        model: the trained towers.
        trained_on: ``digest`` of its training part.
    """

    folder: Path
    settings: PretrainSettings
    model: TwoTower
    trained_on: str

    @classmethod
    def load(cls, folder: Path) -> Saved:
        """The run in ``folder``.

        Raises:
            InterplayError: there is none, or it cannot be read.
        """
        if not (folder / CONFIG).is_file() or not (folder / MODEL).is_file():
            raise InterplayError(f"{str(folder)!r} is not a run of pretrain: it has no {CONFIG} and {MODEL}; give a "
                                 "folder that pretrain wrote")
        settings = PretrainSettings.read(folder)
        saved = load_checkpoint(folder / MODEL, {CONFIG: digest_of_file(folder / CONFIG)})
        try:
            return cls(folder, settings, _model(saved), saved["trained_on"])
        except (KeyError, TypeError, RuntimeError, InterplayError) as error:
            raise InterplayError(f"{str(folder / MODEL)!r} does not fit this version ({type(error).__name__}): "
                                 "pretrain again") from error

    def on(self, log: InteractionLog) -> Fitted:
        """The model with the histories of a log.

        Raises:
            InterplayError: its users or items are not those of the log.
        """
        shape = self.model.shape
        if (shape.num_users, shape.num_items) != (log.num_users, log.num_items):
            raise InterplayError(f"{str(self.folder)!r} was trained on another log: {self.settings.log} has "
                                 f"{log.num_users} users and {log.num_items} items, it had {shape.num_users} and "
                                 f"{shape.num_items}; train again")
        log = self.settings.learnt(log)
        histories = Histories(log, self.settings.threshold(log), self.settings.history_length)
        return Fitted(self.model, histories, log, 0)


def run_for(encoder: Path, seed: int) -> Path:
    """The folder of the run for this seed among those of ``pretrain --seeds``, or ``encoder``, if it is a run itself.

    Raises:
        InterplayError: there are only runs for other seeds.
    """
    own = encoder / f"s{seed}"
    if own.is_dir() or (encoder / MODEL).is_file():
        return own if own.is_dir() else encoder
    others = sorted(int(folder.name[1:]) for folder in encoder.glob("s*") if folder.name[1:].isdigit())
    if others:
        raise InterplayError(f"encoder={str(encoder)!r} has runs for the seeds {', '.join(map(str, others))}, none for "
                             f"{seed}: pretrain with --seeds {seed + 1}, or name one of them")
    return encoder


def encoder_of(settings: TrainSettings, train: InteractionLog) -> Saved:
    """What ``--encoder`` names: a run, or the one for the settings' seed among those of ``pretrain --seeds``.

    Args:
        settings: of a training on a log.
        train: its training part.

    Raises:
        InterplayError: there is no such run, or it was trained on other rows. Those may be among the held-out ones of
            the training to come, which would then be known beforehand.
    """
    assert settings.encoder is not None, "checked"
    saved = Saved.load(run_for(settings.encoder, settings.seed))
    if saved.trained_on != digest(train):
        raise InterplayError(f"encoder={str(saved.folder)!r} was trained on other rows than this run would be, so that "
                             f"held-out ones may leak: {_differences(saved.settings, settings)}")
    return saved


def _differences(made: PretrainSettings, wanted: TrainSettings) -> str:
    """What differs between the settings of the two training parts, and the fix."""
    pairs = {name: (_plain(made, name), _plain(wanted, name)) for name in _PART}
    found = [f"{name}={one} there, {other} here" for name, (one, other) in pairs.items() if one != other]
    if not found:
        return "the log has changed, or the run is of an older version; pretrain again"
    return f"{'; '.join(found)}; pretrain with the same"


def _plain(settings: LogSettings, name: str) -> Any:
    value = getattr(settings, name)
    return str(value.resolve()) if isinstance(value, Path) and value.exists() else value


def _model(saved: dict[str, Any]) -> TwoTower:
    """The towers as they were saved, side features and all."""
    weights = saved["model"]
    model = TwoTower(Shape(**saved["shape"]), weights["user_features"], weights["item_features"], seed=0)
    model.load_state_dict(weights)
    return model
