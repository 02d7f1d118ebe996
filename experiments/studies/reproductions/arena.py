"""recsim-arena's claims H1 to H4 (github.com/ozeidan9/recsim-arena): what ranking does to creators that learn.

Run as ``python -m interplay.experiments.studies.reproductions.arena --out experiments/results/reproductions/arena``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from interplay.experiments.cli.main import main
from interplay.experiments.common.pictures import Picture
from interplay.experiments.common.reports import known_rows, made_by, made_line, publish
from interplay.experiments.studies.command_lines import typed
from interplay.experiments.studies.reproductions.arena_market import (
    Arena,
    Learnt,
    Market,
    Measured,
    Ranking,
    by_chance,
    by_engagement,
)
from interplay.experiments.studies.reproductions.arena_nets import Ranker
from interplay.experiments.studies.reproductions.findings import READING, Row, beside, finding, findings_table
from interplay.experiments.studies.reproductions.settings import ReproductionSettings

TEMPERATURES = (0.1, 0.3, 1.0, 3.0, 10.0)
PUBLISHED: Mapping[tuple[str, str], Sequence[float]] = {
    ("M1", "rise of Gini's index, %"): (180.51, 322.61, 337.41, 244.28, 231.00),
    ("M1", "quality"): (0.559, 0.556, 0.535, 0.404, 0.465), ("M1", "bait"): (0.665, 0.585, 0.512, 0.479, 0.456),
    ("M3", "quality"): (0.973, 0.950, 0.951, 0.873, 0.945), ("M3", "bait"): (0.087, 0.034, 0.051, 0.067, 0.081),
    ("M2", "quality"): (0.971,), ("M2", "bait"): (0.030,), ("M2", "Gini's index"): (0.187,),
    ("M1", "Gini's index"): (0.092, 0.116, 0.121, 0.113, 0.138),
    **{(f"M1, temperature {t:g}", "bait"): (b,)
       for t, b in zip(TEMPERATURES, (0.115, 0.195, 0.816, 0.987, 0.998), strict=True)}}
"""At the end of training, one for each of its seeds, from its logs. The rise is from the first episode to the last."""
_RISE = 50.0  # percent; from there on H1 counts as confirmed
_EVERY = 10
_WHOLE = ("M1", "by chance")
_AS_M1 = "M1, temperature 1"  # the same ranking, with the same chance
_COLOURS = {"by chance": "#8a8f98", "M1": "#d55e00", "M2": "#0072b2", "M3": "#009e73"}


@dataclass(frozen=True)
class ArenaSettings(ReproductionSettings):
    """Let creators learn under different rankings, and compare where they end with what was published."""

    sessions: int = 10
    """Sessions of M1 and of the control, side by side."""
    sessions_of_others: int = 10
    """The same of other rankings; those that learn take five times as long."""
    episodes: int = 300
    """Of training."""
    episodes_of_temperatures: int = 200
    """The same where only the temperature differs."""
    rounds: int = Arena.rounds
    """Of an episode."""
    seed: int = 0
    """Of all chance."""


def study(settings: ArenaSettings) -> str:
    """Play, and write ``report.md``, ``report.json`` and ``creators.png``; gives the report's text."""
    torch.set_num_threads(1)
    made, rows = made_by(typed(__name__)), list(known_rows(settings.out))
    for name, (ranking, episodes) in _rankings(settings).items():  # what was played is kept, and goes on after a stop
        sessions = settings.sessions if name in (*_WHOLE, _AS_M1) else settings.sessions_of_others
        of = {"name": name, "episodes": episodes, "sessions": sessions, "rounds": settings.rounds,
              "seed": settings.seed}
        if of not in [row["of"] for row in rows]:
            kept = _until(_by_name(rows)["M1"], episodes) if name == _AS_M1 else _played(ranking, of)
            rows = [row for row in rows if row["of"]["name"] != name] + [{"of": of, **kept}]
        report = publish(settings.out, text, made, {"rows": rows})
    return settings.ended(report, "creators.png", lambda: draw(rows))


def _rankings(settings: ArenaSettings) -> dict[str, tuple[Callable[[torch.Generator], Ranking], int]]:
    def learnt(gated: bool, chance: torch.Generator) -> Ranking:
        return Learnt(Ranker(settings.sessions_of_others, Arena.size, chance), Arena.slate, gated)

    def engaging(temperature: float, chance: torch.Generator) -> Ranking:
        return by_engagement(temperature)

    kinds: dict[str, Callable[[torch.Generator], Ranking]] = {
        "M1": partial(engaging, 1.0), "by chance": by_chance,
        "M3": partial(learnt, True), **{f"M1, temperature {t:g}": partial(engaging, t) for t in TEMPERATURES},
        "M2": partial(learnt, False)}
    return {name: (ranking, settings.episodes_of_temperatures if "temperature" in name else settings.episodes)
            for name, ranking in kinds.items()}


def _until(kept: Mapping[str, Any], episodes: int) -> dict[str, Any]:
    """What was measured in the first episodes, up to that after so many."""
    count = sum(number <= episodes for number in kept["episode"])
    return {name: kept[name][:count] for name in ("episode", *Measured._fields)}


def _played(ranking: Callable[[torch.Generator], Ranking], of: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured every few episodes and at the end: ``[measurements][sessions]`` of each."""
    market = Market(replace(Arena(), rounds=of["rounds"]), of["sessions"], ranking, of["seed"])
    kept: dict[str, Any] = {"episode": [], "gini": [], "quality": [], "bait": []}
    for number, measured in enumerate(market.episodes(of["episodes"])):
        if number % _EVERY == 0 or number == of["episodes"] - 1:
            kept["episode"].append(number)
            for each, values in measured._asdict().items():
                kept[each].append([round(value, 4) for value in values.tolist()])
    print(f"{of['name']}: Gini's index {np.mean(kept['gini'][0]):.3f} to {np.mean(kept['gini'][-1]):.3f}, quality "
          f"{np.mean(kept['quality'][-1]):.3f}, bait {np.mean(kept['bait'][-1]):.3f}", flush=True)
    return kept


def _rows(played: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
    for name, kept in played.items():
        for figure, values in _figures(kept).items():
            published = PUBLISHED.get((name, figure))
            if published is None and "temperature" in name:
                continue
            one = published is None or len(published) == 1
            tolerance = beside(values) if published is None or one else beside(published, of_one=False)
            mean = None if published is None else float(np.mean(published))
            yield finding(name, figure, values, mean, tolerance, 1 if "%" in figure else 3)


def published_rows(data: Mapping[str, Any]) -> list[Row]:
    """Figures of which something was published, for the table of all reproductions."""
    return [row for row in _rows(_by_name(data["rows"])) if row["published"] is not None]


def _figures(kept: Mapping[str, Any]) -> dict[str, list[float]]:
    return {"rise of Gini's index, %": _rise(kept), "Gini's index": kept["gini"][-1], "quality": kept["quality"][-1],
            "bait": kept["bait"][-1]}


def _rise(kept: Mapping[str, Any]) -> list[float]:
    first, last = np.array(kept["gini"][0]), np.array(kept["gini"][-1])
    return [round(value, 2) for value in (100.0 * (last / first - 1.0)).tolist()]


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    played = _by_name(source["data"]["rows"])
    counts = ", ".join(f"{len(row['gini'][-1])} of {name}" for name, row in played.items())
    return "\n\n".join([
        made_line(source["made"]),
        f"Sessions of 20 creators: {counts}. M1 ranks by relevance and bait; M2 retrieves "
        "and ranks by models that learn from clicks; M3 lets only what has more quality than bait pass. `by chance` is "
        "a control that was not published: slates are random. Published figures are means over five seeds, with the "
        "half width of their 95 % interval as tolerance; or of one seed (M2 and temperatures), where the tolerance is "
        f"what 95 of 100 sessions here differ from their mean. {READING}",
        findings_table(list(_rows(played))), *_claims(played),
        "![creators over training](creators.png)"]) + "\n"


def _by_name(rows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {row["of"]["name"]: row for row in rows}


def _claims(played: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """One paragraph for each claim whose rankings have been played."""
    last = {name: {key: np.array(kept[key][-1]) for key in Measured._fields} for name, kept in played.items()}

    def wins(one: str, other: str, key: str) -> str:
        above = last[one][key] > last[other][key].mean()
        return f"{int(above.sum())} of {len(above)}"

    if {*_WHOLE} <= played.keys():
        rises = {name: np.array(_rise(played[name])) > _RISE for name in _WHOLE}
        each = [f"{int(rise.sum())} of {len(rise)}" for rise in rises.values()]
        yield (f"H1, engagement ranking makes exposure more unequal (Gini's index +{_RISE:.0f} % or more): {each[0]} "
               f"sessions; under random slates {each[1]}.")
    if {"M1", "M3"} <= played.keys():
        yield ("H2, the gate (M3) moves creators from bait to quality: quality is above the mean of M1 in "
               f"{wins('M3', 'M1', 'quality')} sessions.")
    if {"M1", "M2"} <= played.keys():
        yield f"Without the gate (M2) quality is above it in {wins('M2', 'M1', 'quality')}."
    known = [t for t in TEMPERATURES if f"M1, temperature {t:g}" in played]
    if known:
        bait = [f"{last[f'M1, temperature {t:g}']['bait'].mean():.2f}" for t in known]
        yield f"H3, bait by temperature ({', '.join(f'{t:g}' for t in known)}): {', '.join(bait)}."
    if {"M1", "M2"} <= played.keys():
        yield ("H4, two stages (M2) make exposure more unequal than one (M1): its index is above the mean of M1 in "
               f"{wins('M2', 'M1', 'gini')} sessions.")


def draw(rows: Sequence[Mapping[str, Any]]) -> Picture:
    """Means over sessions, episode by episode."""
    played = _by_name(rows)
    figure = Picture(figsize=(10.0, 3.4), layout="constrained")
    titles = {"gini": "Gini's index of clicks", "quality": "quality", "bait": "bait"}
    for axis, (key, title) in zip(figure.subplots(1, len(titles)), titles.items(), strict=True):
        for name, colour in ((name, colour) for name, colour in _COLOURS.items() if name in played):
            axis.plot(played[name]["episode"], np.mean(played[name][key], axis=1), color=colour, label=name)
        axis.set_title(title)
        axis.set_xlabel("episode")
    figure.axes[0].legend()
    return figure


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.reproductions.arena:study"))
