"""Firms that learn prices (Calvano, Calzolari, Denicolo and Pastorello, AER 2020); a platform that shows one product.

Run as ``python -m interplay.experiments.studies.reproductions.pricing --out experiments/results/pricing``. Firms learn
by the published protocol until they converge, on the prices and profits of the presets ``pricing``,
``pricing-cheapest``, ``pricing-shared`` and ``pricing-incumbent``, the last with several advantages. Then they are
followed without exploration; in a second play one firm is forced for one period to the best reply to its rival's price.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from interplay.envs.presets import find_preset
from interplay.experiments.cli.main import main
from interplay.experiments.common.pictures import Picture
from interplay.experiments.common.reports import made_by, made_line, publish
from interplay.experiments.common.statistics import INTERVALS, mean_estimate
from interplay.experiments.common.tables import table
from interplay.experiments.exact.base import Actions, Array
from interplay.experiments.exact.pricing import PricingGame
from interplay.experiments.studies.command_lines import typed
from interplay.experiments.studies.reproductions.findings import Row, finding
from interplay.experiments.studies.reproductions.price_loop import ALL, CHEAPEST, INCUMBENT
from interplay.experiments.studies.reproductions.price_sessions import Display, Protocol, Sessions, followed
from interplay.experiments.studies.reproductions.settings import ReproductionSettings

CASES = {"pricing": 0, "pricing-cheapest": 0, "pricing-shared": 0, "pricing-incumbent": 1,
         "pricing-incumbent, advantage 0": 0, "pricing-incumbent, advantage 4": 4}
"""Markets, each named by its preset, and the advantage of an incumbent in prices of the grid."""
TARGETS = {("pricing", "profit gain"): (0.861, 0.03), ("pricing", "price"): (1.80, 0.02),
           ("pricing-cheapest", "price shown"): (1.55, 0.03),
           **{("pricing-cheapest", f"change of {figure}"): (-0.074, 0.02) for figure in ("price", "price shown")},
           **{("pricing-incumbent", f"change of {figure}"): (-0.191, 0.02) for figure in ("price", "price shown")}}
"""What other code found by this protocol over 200 sessions, changes that Johnson, Rhodes and Wildenbeest report, and
how far from it still counts as the same. Which mean of prices, grid and advantage theirs are of is not known here."""
FIGURES = ("profit gain", "price", "price shown", "change of price", "change of price shown")
_SETTLE, _CYCLE, _AFTER = 500, 2_520, 25  # periods; 2,520 is a multiple of all cycles of up to 10


@dataclass(frozen=True)
class PricingSettings(ReproductionSettings):
    """Let firms learn prices, and compare where they end with what was published."""

    sessions: int = 64
    """Sessions of each market."""
    seed: int = 0
    """Of all chance."""
    decay: float = Protocol.decay
    """Of exploration; the published protocol has the default."""
    patience: int = Protocol.patience
    """Periods without a change of strategy after which a session has converged."""
    most: int = Protocol.most
    """Periods after which a session ends all the same."""


def study(settings: PricingSettings) -> str:
    """Learn, and write ``report.md``, ``report.json`` and ``prices.png``; gives the report's text."""
    cases = {name: _case(name, settings) for name in CASES}
    report = publish(settings.out, text, made_by(typed(__name__)), {"sessions": settings.sessions, "cases": cases})
    return settings.ended(report, "prices.png", lambda: draw(cases))


def _case(name: str, settings: PricingSettings) -> dict[str, Any]:
    """What sessions on one market come to."""
    game = _game(name)
    protocol = Protocol(decay=settings.decay, patience=settings.patience, most=settings.most)
    started, profit = time.perf_counter(), game.table()
    sessions = Sessions(profit, protocol, settings.sessions, settings.seed, _display(name, game))
    sessions.run()
    seconds, prices = time.perf_counter() - started, np.array(game.model.prices)
    path = followed(sessions, sessions.place, _SETTLE + _CYCLE)
    settled, shown = path.action[_SETTLE:], path.shown[_SETTLE:]
    last = np.ravel_multi_index(tuple(settled[-1].T), profit.shape[1:])
    last = last + (profit[0].size * shown[-1] if sessions.display.rule == INCUMBENT else 0)
    after = prices[_after_deviation(profit, sessions, last)]
    return {"profit gain": [game.gain(value) for value in _earned(profit, sessions.display, settled, shown)],
            "price": prices[settled].mean((0, 2)).tolist(), "price shown": _price_shown(prices[settled], shown),
            "converged": int((sessions.converged < settings.most).sum()), "periods": sessions.converged.tolist(),
            "seconds": round(seconds, 1), "before": prices[settled[-1]].mean(0).tolist(),
            "after": after.mean(1).tolist(), "nash": game.all_shown.nash(),
            "monopoly": game.all_shown.monopoly()}


def _game(name: str) -> PricingGame:
    """Profits of a case; for a platform that keeps an incumbent, those of one that shows the cheapest."""
    preset = find_preset(name.split(",")[0])
    shown = "cheapest" if preset.config.mechanisms[0].shown == "incumbent" else None  # type: ignore[attr-defined]
    game = PricingGame.of(preset.market(**({"logit_prices.shown": shown} if shown else {})))
    assert game is not None  # the presets are made for it
    return game


def _display(name: str, game: PricingGame) -> Display:
    """Which products the platform of a case shows."""
    if name == "pricing" or name == "pricing-shared":
        return Display()
    alone = replace(game, num_items=1).table()[0]
    return Display(INCUMBENT if "incumbent" in name else CHEAPEST, tuple(alone), CASES[name])


def _earned(profit: Array, display: Display, actions: Actions, shown: Actions) -> Array:
    """Mean profit of a firm in each session, ``[sessions]``, from what firms set and which was shown."""
    if display.rule == ALL:
        place = tuple(np.moveaxis(actions, -1, 0))
        every: Array = np.stack([own[place] for own in profit]).mean((0, 1))
        return every
    of_shown = np.take_along_axis(actions, shown[..., None], axis=2)[..., 0]
    mean: Array = np.array(display.alone)[of_shown].mean(0) / actions.shape[2]
    return mean


def _price_shown(prices: Array, shown: Actions) -> list[float]:
    """Mean price of the product that is shown in each session, or of all where all are."""
    if (shown < 0).all():
        return list(prices.mean((0, 2)))
    return list(np.take_along_axis(prices, shown[..., None], axis=2)[..., 0].mean(0))


def _after_deviation(profit: Array, sessions: Sessions, state: Actions) -> Actions:
    """Prices from the period on in which firm 0 gives the best reply to what the others are about to set."""
    planned = sessions.strategy[np.arange(len(state)), :, state]
    others = tuple(planned[:, 1:].T)
    reply = profit[0][(slice(None), *others)].argmax(0)
    forced = np.full_like(planned, -1)
    forced[:, 0] = reply
    return followed(sessions, state, _AFTER, forced).action


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    data = source["data"]
    rows = [_line(name, figure, case) for name, case in _with_changes(data["cases"]).items() for figure in FIGURES]
    return "\n\n".join([
        made_line(source["made"]),
        f"{data['sessions']} sessions of each market, by the protocol of Calvano et al. (AER 2020): tabular "
        "Q-learning with a memory of one period until strategies no longer change, then without exploration. A profit "
        "gain is 0 at the equilibrium and 1 at joint monopoly, both with all products shown. Expected: what other code "
        "found over 200 sessions, and the changes that Johnson, Rhodes and Wildenbeest (Econometrica 2023) report. The "
        "change of a price is from the mean price of `pricing`; an advantage is in prices of the grid. The price shown "
        "is that of the product that the platform shows, the price the mean over both firms. " + INTERVALS,
        table(["market", "figure", "expected", "found [95 %]", "verdict"], rows),
        *(_described(name, case) for name, case in data["cases"].items()),
        "![prices around a forced deviation](prices.png)"]) + "\n"


def _with_changes(cases: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Cases, and how far their prices are from the mean price where all products are shown."""
    before = float(np.mean(cases["pricing"]["price"]))
    return {name: {**case, **{f"change of {figure}": [value / before - 1.0 for value in case[figure]]
                              for figure in ("price", "price shown")}} for name, case in cases.items()}


def published_rows(data: Mapping[str, Any]) -> list[Row]:
    """Figures of which something was published, for the table of all reproductions."""
    cases = _with_changes(data["cases"])
    return [finding(name, figure, cases[name][figure], *target, digits=3) for (name, figure), target in TARGETS.items()]


def _line(name: str, figure: str, case: Mapping[str, Any]) -> list[str]:
    found, target = mean_estimate(case[figure]), TARGETS.get((name, figure))
    if target is None:
        return [name, figure, "", found.text(3), ""]
    close = abs(found.mean - target[0]) <= target[1]
    return [name, figure, f"{target[0]} +- {target[1]}", found.text(3), "reached" if close else "not reached"]


def _described(name: str, case: Mapping[str, Any]) -> str:
    before, after = case["before"], case["after"]
    return (f"`{name}`: {case['converged']} of {len(case['periods'])} sessions converged, after "
            f"{np.mean(case['periods']):,.0f} periods on average, in {case['seconds']} s. Mean prices are "
            f"{before[0]:.3f} and {before[1]:.3f}. Firm 0 is forced to {after[0][0]:.3f}; its rival then sets "
            f"{after[1][1]:.3f}, and after {len(after) - 1} periods prices are {after[-1][0]:.3f} and "
            f"{after[-1][1]:.3f}.")


def draw(cases: Mapping[str, Mapping[str, Any]]) -> Picture:
    """Mean prices of both firms around the deviation, market by market."""
    drawn = {name: case for name, case in cases.items() if "," not in name}
    figure = Picture(figsize=(4.2 * len(drawn), 3.4), layout="constrained")
    for axis, (name, case) in zip(np.ravel(figure.subplots(1, len(drawn))), drawn.items(), strict=True):
        prices: Sequence[Sequence[float]] = [case["before"], *case["after"]]
        for firm, colour in enumerate(("#0072b2", "#d55e00")):
            axis.plot(range(len(prices)), [row[firm] for row in prices], color=colour, marker=".",
                      label="deviates" if firm == 0 else "rival")
        for price in (case["nash"], case["monopoly"]):
            axis.axhline(price, color="#8a8f98", linewidth=0.8, linestyle="--")
        axis.set_title(name)
        axis.set_xlabel("period, deviation in 1")
    figure.axes[0].set_ylabel("mean price\n(dashed: equilibrium, monopoly)")
    figure.axes[0].legend()
    return figure


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.reproductions.pricing:study"))
