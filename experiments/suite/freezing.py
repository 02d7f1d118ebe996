"""Writes a suite's table: ``python -m interplay.experiments.suite.freezing``.

A line of ``LINES`` makes a market. Once a suite is published its table stays as it is: another list is another version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from interplay.agents import Player
from interplay.envs.config import MarketConfig
from interplay.envs.market import Market
from interplay.envs.presets import Training, find_preset
from interplay.envs.types import InterplayError, Side
from interplay.experiments.common.saving import plain, write_text
from interplay.experiments.evaluate.evaluation import Report, report, stand_in
from interplay.experiments.loop.players import Players
from interplay.experiments.loop.task import LOGGED_TRAINING
from interplay.experiments.suite.definition import TABLE, VERSION, Reference, SuiteMarket

SEEDS = 5
"""The fewest that have an interval."""

_OF_A_LOG = ("num_users", "num_items", "num_topics", "num_user_features", "num_item_features")
"""Numbers of a market that a log decides."""


@dataclass(frozen=True)
class Line:
    """A market of a suite, with a budget of a few CPU seconds for each seed.

    Attributes:
        name: of a preset, or of the market of a log.
        num_worlds, episodes, eval_worlds: budget.
        others: agent of the other side. It does not learn, so that what it does is the same in later versions.
        changes: numbers of the market that are not the preset's.
        log: how a log is prepared and split; None = it is a preset.
    """

    name: str
    num_worlds: int
    episodes: int
    eval_worlds: int
    others: str = "rest"
    changes: Mapping[str, Any] = field(default_factory=dict)
    log: Mapping[str, Any] | None = None


LINES = (
    Line("kale", 64, 32, 512),
    Line("kale-null", 64, 16, 512),
    Line("kale-partial", 64, 32, 512),
    Line("viability", 64, 25, 16),
    # Of the preset's levels random items take about 12 in the mean, which is the equilibrium.
    Line("contest", 16, 50, 64, "first", {"boosts.levels": (6.0, 12.0, 18.0, 24.0, 36.0, 48.0)}),
    Line("town", 4, 20, 16),
    Line("feed", 4, 10, 16, "conditional-logit"),
    Line("ml-100k", 1, 15, 4, changes={"slate_size": 5, "embedding_size": 16, "num_segments": 4, "horizon": 20,
                                        "response_mode": "mean", "temperature": 0.5, "boosts.cost": 0.05},
         log=dict(split="random", held_out=0.2, duplicates="keep", scale_rewards="none", missing="mask",
                  targets="actual")))


def frozen(line: Line) -> SuiteMarket:
    """The market with all of its numbers and its references."""
    budget = {name: getattr(line, name) for name in ("num_worlds", "episodes", "eval_worlds", "others")}
    if line.log is not None:
        config = {name: value for name, value in MarketConfig().changed(VERSION, line.changes).numbers().items()
                  if name not in _OF_A_LOG}
        return SuiteMarket(line.name, config, replace(LOGGED_TRAINING, options={}, user_discount=None, **budget),
                           Reference("random", None), Reference("greedy", None), log=line.log)
    preset = find_preset(line.name)
    training = replace(preset.training, options={}, on_gpu=None, **budget)
    config = preset.config.changed(VERSION, line.changes).numbers()
    unknown = Reference("", None)
    return measured(SuiteMarket(line.name, config, training, unknown, unknown, preset=line.name))


def measured(market: SuiteMarket) -> SuiteMarket:
    """The market with its references: random agents, and what is known exactly, or else greedy users.

    Where platforms are compared and no optimum is known, 1 is the market's own slates.

    Raises:
        InterplayError: agents are compared by something whose best value is not known.
    """
    made, training = market.as_preset().market(), market.training
    found = report(made, _random_players(made, training), training.eval_worlds, 0)
    zero, one = (_of_users(found) if training.measure == "user_return" else _of_equilibrium(market, found))
    return replace(market, zero=zero, one=one)


def _of_users(found: Report) -> tuple[Reference, Reference]:
    name, best = found.reference
    known = found.oracle is not None or found.greedy_is_optimal
    return Reference("random", found.random), Reference(name, best, known)


def _of_equilibrium(market: SuiteMarket, found: Report) -> tuple[Reference, Reference]:
    measure = market.training.measure
    best = None if found.oracle is None else getattr(found.oracle, measure, None)
    if found.oracle is None or best is None:
        raise InterplayError(f"{market.name!r} compares agents by {measure}, whose best value is not known: leave the "
                             "market out")
    return Reference("random", getattr(found.score, measure).mean), Reference(found.oracle.name, best, True)


def _random_players(market: Market, training: Training) -> Players:
    """Random agents on the side that is compared."""
    names: dict[Side, str] = {"users": training.others, "items": training.others}
    if training.side == "platform":
        names["items"] = "rest"
    names[training.side] = "random"
    players: dict[Side, Player] = {}
    for side, name in names.items():
        player = stand_in(market, side, name, 0)
        assert player is not None, "only a platform may be none"
        players[side] = player
    return Players(players)


def as_row(market: SuiteMarket) -> dict[str, Any]:
    """The market as JSON holds it; ``SuiteMarket.read`` reads it."""
    row: dict[str, Any] = plain(asdict(market))
    row["training"] = {f.name: row["training"][f.name] for f in fields(Training) if f.name not in ("options", "on_gpu")}
    return row


def main() -> None:
    """Write the table."""
    table = {"version": VERSION, "seeds": SEEDS, "markets": [as_row(frozen(line)) for line in LINES]}
    write_text(TABLE, json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
