"""Rows of the leaderboard: what an agent scored on a suite, and what made it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interplay.envs.types import InterplayError
from interplay.experiments.common.saving import plain, read_text, write_text
from interplay.experiments.common.statistics import Estimate, check_finite, mean_over_tasks
from interplay.experiments.common.tables import table
from interplay.experiments.suite.definition import Suite

NOT_PLAYED = "-"


@dataclass(frozen=True)
class Played:
    """What an agent scored in one market.

    Attributes:
        scores: of each seed, in the market's own measure.
        normalised: the same with the market's references at 0 and 1.
        seconds: that training took, over all seeds.
        options: of the agent.
    """

    scores: Sequence[float]
    normalised: Sequence[float]
    seconds: float
    options: Mapping[str, Any]


@dataclass(frozen=True)
class SuiteRow:
    """What an agent scored on a suite.

    Attributes:
        suite: its version.
        definition: digest of its table.
        agent: as it was typed.
        code: an agent's own file, with its checksum; "" for an agent of this package.
        made: command and versions.
        markets: by name; those that the agent cannot play are missing.
    """

    suite: str
    definition: str
    agent: str
    code: str
    made: Mapping[str, Any]
    markets: Mapping[str, Played]

    def score(self, suite: Suite) -> Estimate:
        """The number: the mean over markets, where each run counts from 0 to 1, and a market not played counts 0."""
        absent = [0.0] * suite.seeds
        return mean_over_tasks(*(np.clip(self.markets[market.name].normalised, 0.0, 1.0)
                                 if market.name in self.markets else absent for market in suite.scored))

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, json.dumps(plain(asdict(self)), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path, suite: Suite) -> SuiteRow:
        """The row in a file.

        Raises:
            InterplayError: it is no row of this suite.
        """
        try:
            values = json.loads(read_text(path))
            row = cls(**{**values, "markets": {name: Played(**each) for name, each in values["markets"].items()}})
            row._check(suite)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InterplayError(f"{str(path)!r} is no row of {suite.version} ({error}): give a file that "
                                 "interplay suite wrote") from error
        return row

    def _check(self, suite: Suite) -> None:
        """Check that the row has every seed, and that its normalised scores follow from its scores.

        Raises:
            ValueError: it has not; says why.
        """
        if (self.suite, self.definition) != (suite.version, suite.digest):
            raise ValueError(f"made with {self.suite} {self.definition}, not {suite.version} {suite.digest}")
        for name, played in self.markets.items():
            market = suite.markets[name]
            if not len(played.scores) == len(played.normalised) == suite.seeds:
                raise ValueError(f"{len(played.scores)} scores of {name}, not {suite.seeds}")
            check_finite([*played.scores, *played.normalised], f"scores of {self.agent} in {name}")
            if market.preset is not None and not np.allclose(played.normalised, list(map(market.normalised,
                                                                                         played.scores))):
                raise ValueError(f"normalised scores of {name} do not follow from its scores")


def score_table(rows: Iterable[SuiteRow], suite: Suite) -> str:
    """The leaderboard's table, the best row first."""
    ordered = sorted(rows, key=lambda row: (-row.score(suite).mean, row.agent))
    return table(["agent", suite.version, *suite.markets], [
        [row.agent, row.score(suite).text(3), *(_cell(row.markets.get(name)) for name in suite.markets)]
        for row in ordered])


def _cell(played: Played | None) -> str:
    return NOT_PLAYED if played is None else f"{np.mean(played.normalised):.2f}"
