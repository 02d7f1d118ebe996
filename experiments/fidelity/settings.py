"""Settings of ``interplay fidelity``."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from interplay.envs.checking import Count, Positive
from interplay.envs.presets.folders import is_preset
from interplay.experiments.common.flags import Many, Need, Seed, when
from interplay.experiments.common.log_settings import LikedSettings, LogSettings
from interplay.experiments.common.settings import OptionSettings, TrainSettings
from interplay.experiments.fit.settings import FitSettings

_MADE_OF_LOG = Need(lambda s: s.preset is None, "it is about markets made of the log: leave it out with --preset")


@dataclass(frozen=True)
class FidelitySettings(OptionSettings, LikedSettings):
    """Play a market and say how like a log it is, and whether the difference is more than the log's own noise.

    By default the market is made of the log and answers from its training part. Its users choose by chance among what
    they are offered, better items with higher probability (conditional-logit): people know what they like and are not
    perfect at finding it. If pairs that the log lacks are never offered, all that is offered was chosen once already,
    and users that choose at random may be closer to the log. Items rest, since a log has no boosts. Agents that learn
    are trained first, as train does.
    """

    preset: str | None = None
    """Play this preset's market instead of one made of the log. A market that was fitted to a log is compared, by
    default, with the held-out part of that log."""
    users: str | None = None
    """Agent that plays the users, as in train; by default conditional-logit, and in a fitted market the one that takes
    what people of the log take."""
    items: str = "rest"
    """Agent that plays the items, as in train."""
    platform: str | None = None
    """Agent that fills the slates, as in train; by default the market draws them."""
    seed: Seed = 0
    """Seed of the agents, of the split of the log and of all resampling."""
    episodes: Count | None = None
    """Episodes of training, where an agent learns; by default what the market recommends."""
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    """Where the market runs."""
    missing: Literal["mask", "impute", "zero"] = when(_MADE_OF_LOG, "mask")
    """Pairs that the log lacks, as in train."""
    gap: Positive = 1800.0
    """Seconds without a response after which a user's next session begins."""
    most_worlds: Many = 1000
    """Episodes after which no more are played, though the log has more responses."""
    resamples: Many = 200
    """Pairs of resamples of the log, whose distances show what chance alone does."""
    out: Path = Path("fidelity")
    """Folder for the report, the scores and the picture."""

    def completed(self) -> FidelitySettings:
        """With the log of a fitted market, if no other is named."""
        if self.log is not None or self.preset is None or not is_preset(self.preset):
            return self
        made = FitSettings.read(Path(self.preset))
        own = {f.name: getattr(made, f.name) for f in fields(LogSettings)}
        return replace(self, **own, seed=made.seed, gap=made.gap)

    def train_settings(self) -> TrainSettings:
        """The agents and the market, as ``train`` takes them."""
        own = {f.name for f in fields(self)} - ({f.name for f in fields(LikedSettings)} if self.preset else set())
        values = {name: getattr(self, name) for name in own & {f.name for f in fields(TrainSettings)}}
        values["users"] = self.users or "conditional-logit"
        return TrainSettings(**{name: value for name, value in values.items() if value is not None})
