"""The leaderboard: a page made of rows, ``python -m interplay.experiments.suite.leaderboard``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from interplay.experiments.common.saving import write_text
from interplay.experiments.common.statistics import INTERVALS
from interplay.experiments.common.tables import table
from interplay.experiments.suite.definition import SUITE, Suite, SuiteMarket
from interplay.experiments.suite.rows import NOT_PLAYED, SuiteRow, score_table

ROOT = Path(__file__).resolve().parents[2]
PAGE, ROWS = ROOT / "docs" / "leaderboard.md", ROOT / "experiments" / "results" / "suite"

_HOW = """\
## Add a row

1. Put your agent into a module, or take one of `interplay` with options, and try that it runs:
   `interplay suite --agent my_agents:MyAgent --quick`.
2. Play the suite: `interplay suite --agent my_agents:MyAgent`. It takes minutes on two cores, writes
   `suite/my-agent.json`, and prints the number and the table. If it is stopped, the same command goes on.
3. In a fork of the repository, copy that file to `experiments/results/suite/`, run
   `python -m interplay.experiments.suite.leaderboard`, and commit both files.
4. Open a pull request that says where the agent's code is. A test makes this page again from the rows, and checks that
   each row is of this suite, has every seed, and that its normalised scores follow from its scores.
"""


def page(rows: Sequence[SuiteRow], suite: Suite) -> str:
    """The text of the page."""
    found = score_table(rows, suite) if rows else "There are no rows yet."
    parts = [f"# Leaderboard of {suite.version}",
             "Made by `python -m interplay.experiments.suite.leaderboard` from the rows in `experiments/results/suite`;"
             f" do not edit it by hand. The definition of this suite has the digest `{suite.digest}`.",
             found,
             f"**{suite.version}** is the mean over the markets that need no data, with {suite.seeds} seeds each. A run"
             " counts as its normalised score, but not below 0 or above 1; a market that an agent cannot play counts 0"
             f" (`{NOT_PLAYED}`). {INTERVALS} The other columns are means of normalised scores, without limits. An"
             " agent has the same options in all markets. Exploration is off, on worlds that no training has seen.",
             f"## Markets\n\n{_markets(suite)}",
             "Random agents score 0. An optimum is that of users that know their state. Where no optimum is known, 1 is"
             " what greedy users get, which know the response to each item and do not plan, or what the market's own"
             " slates give where platforms are compared: agents that plan can score more. At an equilibrium the score"
             " falls to both sides.", _HOW]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _markets(suite: Suite) -> str:
    return table(["market", "side", "others", "measure", "transitions", "0", "1"],
                 [_line(market, suite) for market in suite.markets.values()])


def _line(market: SuiteMarket, suite: Suite) -> list[str]:
    training = market.training
    transitions = training.num_worlds * training.episodes * market.config["horizon"]
    ends = [end.name if end.score is None else f"{end.name} {end.score:.5g}" for end in (market.zero, market.one)]
    return [market.name, training.side, training.others, training.measure.replace("_", " "), f"{transitions:,}", *ends]


def read_rows(folder: Path, suite: Suite) -> list[SuiteRow]:
    """The rows in a folder."""
    return [SuiteRow.read(path, suite) for path in sorted(folder.glob("*.json"))]


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(exist_ok=True)
    write_text(PAGE, page(read_rows(ROWS, SUITE), SUITE))


if __name__ == "__main__":
    main()
