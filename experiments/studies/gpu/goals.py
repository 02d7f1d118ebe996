"""What a GPU of the class of an H100 should reach, and what it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from interplay.experiments.common.tables import table
from interplay.experiments.studies.gpu.bench import Row
from interplay.experiments.studies.gpu.playing import EAGER
from interplay.experiments.studies.gpu.tabulated import Found, yes


class Goal(NamedTuple):
    """One goal.

    Attributes:
        what: in words.
        found: the figure; None where it was not measured.
        wanted: it should be at least this, or at most where ``most`` is set.
        most: whether less is better.
    """

    what: str
    found: float | None
    wanted: float
    most: bool = False

    @property
    def cells(self) -> list[str]:
        """A line of the table."""
        assert self.found is not None
        met = self.found <= self.wanted if self.most else self.found >= self.wanted
        bound = "at most" if self.most else "at least"
        return [self.what, f"{self.found:,.3g}", f"{bound} {self.wanted:,.3g}", yes(met)]


def goals(found: Found) -> str:
    """Those goals whose figures were measured."""
    rows = [goal.cells for goal in _goals(found) if goal.found is not None]
    return table(["goal", "is", "wanted", "met"], rows) if rows else ""


def _goals(found: Found) -> Iterator[Goal]:
    for preset, wanted in (("kale", 3e9), ("town", 6e8)):
        yield Goal(f"core, {preset}, agent-steps/s", _most(_fast(found, "core", preset)), wanted)
    yield Goal("core, kale, times VMAS at as many worlds, at the worst", _beside_vmas(found), 10.0)
    for preset, wanted in (("kale", 5e8), ("town", 2e7)):
        rows = [row for row in _fast(found, "training", preset) if row["agent"] == "pqn"]
        yield Goal(f"training, {preset}, pqn, agent-steps/s", _most(rows), wanted)
    yield Goal("training at own sizes, times the transitions/s of two CPU cores, at the worst", _beside_cpu(found), 5.0)
    yield Goal("seconds until kale's 95 % of the optimum is held, the fastest agent", _to_score(found), 3.0, most=True)


def _fast(found: Found, section: str, preset: str) -> list[Row]:
    """With graphs."""
    measured = found.measured(section) + (found.measured("compiled") if section == "core" else [])
    return [row for row in measured if row["preset"] == preset and row["mode"] != EAGER]


def _most(rows: list[Row]) -> float | None:
    return max((row["agent_steps_per_s"] for row in rows), default=None)


def _beside_vmas(found: Found) -> float | None:
    """At all numbers of worlds that both were measured with."""
    pairs = [(row, found.one("vmas", worlds=row["worlds"])) for row in _fast(found, "core", "kale")]
    return min((row["agent_steps_per_s"] / peer["agent_steps_per_s"] for row, peer in pairs if peer), default=None)


def _beside_cpu(found: Found) -> float | None:
    """The better way to run on the device beside the CPU, of all presets and agents."""
    shares = []
    for cpu in found.measured("training-cpu"):
        here = found.all("training", **{name: cpu[name] for name in ("preset", "agent", "worlds")})
        shares += [max(row["transitions_per_s"] for row in here) / cpu["transitions_per_s"]] if here else []
    return min(shares, default=None)


def _to_score(found: Found) -> float | None:
    return min((row["held"] for row in found.measured("score") if row["held"] is not None), default=None)
