"""How many pictures of a market are drawn in a second, by market and number of users.

Run as ``python -m interplay.experiments.studies.frames --out FOLDER``. Time is that of the processor, so that other
programs do not change the figures.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interplay.envs.pictures.frame import HEIGHT, WIDTH, paint
from interplay.envs.presets import find_preset
from interplay.envs.types import Side
from interplay.experiments.cli.entry import main
from interplay.experiments.common.flags import Many, check_flags
from interplay.experiments.common.reports import made_line
from interplay.experiments.common.tables import table
from interplay.experiments.common.threads import working_threads
from interplay.experiments.evaluate.evaluation import evaluate, stand_in
from interplay.experiments.evaluate.recording import Recording
from interplay.experiments.loop.players import Players
from interplay.experiments.studies.command_lines import reported


@dataclass(frozen=True)
class FrameSettings:
    """Measure how fast pictures are drawn."""

    out: Path = Path("frames")
    """Folder of the report."""
    markets: tuple[str, ...] = ("kale", "viability", "contest", "town", "town,num_users=1000")
    """Presets, each with numbers that differ behind commas."""
    repeats: Many = 3
    """Times that an episode is drawn; the figure is the median."""


@working_threads(1)
def study(settings: FrameSettings) -> str:
    """Draw episodes of random users; gives the report."""
    check_flags(settings)
    rows = [{"market": name, "frames_per_second": float(np.median(list(_rates(name, settings.repeats))))}
            for name in settings.markets]
    return reported(settings.out, text, "interplay.experiments.studies.frames", {"rows": rows})


def _rates(name: str, repeats: int) -> Iterator[float]:
    """Frames for each second of the processor."""
    preset, *changes = name.split(",")
    sizes: dict[str, Any] = {key: int(value) for key, value in (each.split("=") for each in changes)}
    market = find_preset(preset).market(**sizes)
    plan: dict[Side, str] = {"users": "random", "items": "rest"}
    players = {side: stand_in(market, side, agent, 0) for side, agent in plan.items()}
    group = Players({side: player for side, player in players.items() if player is not None})
    recording = Recording(market, group)
    evaluate(market, group, 1, recording)
    for _ in range(repeats):
        started = time.process_time()
        for scene in recording.scenes:
            paint(scene, market.config)
        yield len(recording.scenes) / (time.process_time() - started)


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    cells = [[row["market"], f"{row['frames_per_second']:.0f}"] for row in source["data"]["rows"]]
    return "\n\n".join([made_line(source["made"]),
                        f"Pictures of {WIDTH} x {HEIGHT} pixels that one core draws in a second of its own time: all "
                        "of an episode of random users, without playing it.",
                        table(["market", "frames for each second"], cells)]) + "\n"


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.frames:study"))
