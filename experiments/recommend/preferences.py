"""A trained agent's scores of all items, for any user of the log that it was trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from interplay.envs.behaviour.fitted import FittedBehaviour
from interplay.envs.market import Market
from interplay.envs.presets.folders import is_preset, load_preset
from interplay.envs.types import InterplayError
from interplay.experiments.common.logs import Parts, logged_parts
from interplay.experiments.fit.settings import FitSettings
from interplay.experiments.loop.run import Run
from interplay.experiments.representation.ranking import Ints

_PAIRS = 1 << 18  # pairs of a user and an item that are scored at once


class Preferences:
    """The scores of the agent that plays a run's users, as they stand at the start of an episode.

    Each user is shown the whole catalogue as one long slate, as a platform sees it: every item as if in the first slot.

    Args:
        run: of ``train``, on a log or in a market that was fitted to one.

    Raises:
        InterplayError: it was on a preset, in which each world has other users and items.
    """

    def __init__(self, run: Run) -> None:
        self._player, self._market = run.players["users"], run.task.market
        parts, self._place = run.task.parts, None
        if is_preset(run.settings.preset) and run.settings.log is None:
            parts, self._market, self._place = _fitted_to(run)
        if parts is None:
            raise InterplayError(f"{str(run.folder)!r} played the preset {run.task.name!r}, which has no users or "
                                 "items that lists could name: give a run on a log (train --log)")
        self.parts: Parts = parts
        self.liked = run.settings.liked(parts.whole)
        self._state = self._market.reset([0], run.settings.seed)

    @classmethod
    def load(cls, folder: Path, allow_code: bool = False) -> Preferences:
        """Those of the run in ``folder``; see ``Run.load``."""
        return cls(Run.load(folder, allow_code=allow_code))

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which users have rows in the training part, bool ``[U]``: of others the agent has seen nothing."""
        return np.bincount(self.parts.train.user, minlength=self.parts.train.num_users) > 0

    @torch.no_grad()
    def scores(self, users: Ints) -> NDArray[np.float32]:
        """Scores of all items, float32 ``[n, I]``: a ``Ranker``.

        Raises:
            InterplayError: the agent has none.
        """
        count = max(1, _PAIRS // self._market.config.num_items)
        chosen = torch.from_numpy(users if self._place is None else self._place[users]).to(self._market.device)
        parts = [self._player.scores_as("users", self._market.observe_all(self._state, part), part)
                 for part in torch.split(chosen, count)]
        found: NDArray[np.float32] = torch.cat(parts, dim=1)[0, :, 1:].float().cpu().numpy()
        return found


def _fitted_to(run: Run) -> tuple[Parts, Market, Ints]:
    """The log of a fitted market, a market with all of its people, and where each user of the log is among them."""
    made, config = FitSettings.read(Path(run.settings.preset)), run.task.market.config
    parts = logged_parts(made, made.seed)
    behaviour = run.task.market.behaviour
    assert isinstance(behaviour, FittedBehaviour), "folders hold no others"
    people = behaviour.people.cpu().numpy()
    market = load_preset(run.settings.preset).market_of(replace(config, num_users=len(people)), run.task.market.device)
    place = np.zeros(parts.whole.num_users, dtype=np.int64)
    place[people] = np.arange(len(people))
    return parts, market, place
