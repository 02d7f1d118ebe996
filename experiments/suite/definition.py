"""What a suite is: markets, budgets, seeds and reference scores, read from a table that does not change.

The table holds every number of every market, so that another default of a preset changes no suite. ``freezing`` wrote
it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from interplay.envs.presets import Preset, Training, find_preset

VERSION = "suite-v1"
TABLE = Path(__file__).with_name(f"{VERSION}.json")

_EQUILIBRIUM = "equilibrium"


class Reference(NamedTuple):
    """A score that counts as 0 or as 1.

    Attributes:
        name: whose score it is.
        score: its value; None for a log, where each seed holds out another part.
        exact: whether no agent can score more.
    """

    name: str
    score: float | None
    exact: bool = False


@dataclass(frozen=True)
class SuiteMarket:
    """A market of a suite.

    Attributes:
        name: in tables.
        config: every number of the market; of a log those that the log does not decide.
        training: budget, side, opponents and measure.
        zero, one: the scores that count as 0 and 1.
        preset: whose behaviour it has; None for a log.
        log: how a log is prepared and split, as fields of ``LoggedMarketSettings``.
    """

    name: str
    config: Mapping[str, Any]
    training: Training
    zero: Reference
    one: Reference
    preset: str | None = None
    log: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> SuiteMarket:
        """The market in one row of the table."""
        return cls(**{**row, "config": _with_tuples(row["config"]),
                      "training": Training(**row["training"]), "zero": Reference(*row["zero"]),
                      "one": Reference(*row["one"])})

    def as_preset(self) -> Preset:
        """A preset with the numbers of the table."""
        assert self.preset is not None, "a log has none"
        base = find_preset(self.preset)
        config = replace(base.config, mechanisms=()).changed(VERSION, self.config)
        return Preset(self.name, config, base.behaviour, self.training, f"{self.name} of {VERSION}")

    def normalised(self, score: float) -> float:
        """0 at one reference, 1 at the other. At an equilibrium, a score too high is as wrong as one too low."""
        zero, one = self.zero.score, self.one.score
        if zero is None or one is None:
            raise ValueError(f"runs of {self.name} have references of their own")
        if self.one.name == _EQUILIBRIUM:
            return 1.0 - abs(score - one) / abs(zero - one)
        return (score - zero) / (one - zero)


@dataclass(frozen=True)
class Suite:
    """A list of markets, which every agent plays with the same seeds.

    Attributes:
        version: its name.
        digest: of its table.
        seeds: 0, 1, ... so many.
        markets: by name.
    """

    version: str
    digest: str
    seeds: int
    markets: Mapping[str, SuiteMarket]

    @property
    def scored(self) -> list[SuiteMarket]:
        """Markets whose scores make the number: those that need no data."""
        return [market for market in self.markets.values() if market.preset is not None]


def read_suite(path: Path = TABLE) -> Suite:
    """The suite in a table."""
    table = json.loads(path.read_text(encoding="utf-8"))
    digest = hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()[:12]
    return Suite(table["version"], digest, table["seeds"],
                 {row["name"]: SuiteMarket.read(row) for row in table["markets"]})


def _with_tuples(value: Any) -> Any:
    """JSON's lists as tuples, which configs hold."""
    if isinstance(value, Mapping):
        return {name: _with_tuples(each) for name, each in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


SUITE = read_suite()


def attribute_of(market: SuiteMarket) -> str:
    """What names the market's preset in another process: ``module:attribute``."""
    return f"{__name__}:{market.name.replace('-', '_')}"


def __getattr__(name: str) -> Preset:
    """The preset of a market, for ``attribute_of``."""
    for market in SUITE.scored:
        if market.name.replace("-", "_") == name:
            return market.as_preset()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
