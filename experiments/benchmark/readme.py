"""The results tables of README.md and docs/results.md, from the committed scores.

``python -m interplay.experiments.benchmark.readme`` rewrites both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from interplay.experiments.benchmark.scores import SCORES, Row, agents_of, read_rows, scores
from interplay.experiments.common.statistics import interquartile_mean
from interplay.experiments.common.tables import table

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- results: python -m interplay.experiments.benchmark.readme -->", "<!-- end of results -->"

PAGES: dict[str, tuple[str, ...]] = {
    "README.md": ("kale", "kale-partial", "viability", "contest", "town", "ml-100k"), "docs/results.md": ()}
"""Pages with such a table, and the markets that it shows; () = all."""
_FIRST = ("presets", "viability", "domains", "domains-new", "coach-hidden", "domains-large", "funds-large")
"""Folders of scores whose markets come first; all others, of logs, follow."""
_BASELINES = ("random", "popularity", "greedy")


def results_table(results: Path, markets: Sequence[str] = ()) -> str:
    """One line for each market, and agent of the other side, in the ``scores.csv`` files below ``results``.

    Args:
        results: folder of the committed scores.
        markets: those to show, in this order; () = all that are there.
    """
    first = {name: at for at, name in enumerate(_FIRST)}
    games = _games(sorted(results.rglob(SCORES), key=lambda path: (first.get(path.parent.name, len(first)), path)))
    header = ["market", "others", "measure", *_BASELINES, "best learner, IQM", "seeds", "exact"]
    shown = sorted(games, key=lambda game: markets.index(game[0]) if game[0] in markets else 0)
    return table(header, [_line(games[game], *game) for game in shown if not markets or game[0] in markets])


def _games(paths: Iterable[Path]) -> dict[tuple[str, str], list[Row]]:
    """Rows by market and agent of the other side; where two reports have both, of the first."""
    games: dict[tuple[str, str], list[Row]] = {}
    for path in paths:
        found = read_rows(path)
        for market in dict.fromkeys(row.market for row in found):
            rows = [row for row in found if row.market == market]
            others = ", ".join(sorted({row.others for row in rows if row.kind == "learner"}))
            games.setdefault((market, others), rows)
    return games


def _line(rows: Sequence[Row], market: str, others: str) -> list[str]:
    """Baselines, best learner and exact value."""
    exact = next((row for row in rows if row.kind == "exact"), None)
    best = _best(rows, market, exact)
    found = scores(rows, market, best)
    baselines = [_mean(scores(rows, market, name)) for name in _BASELINES]
    return [market, others, rows[0].measure.replace("_", " "), *baselines,
            f"{best} {interquartile_mean(found)}", str(len(found)),
            "" if exact is None else f"{exact.agent} {exact.figures['score']:.3f}"]


def _best(rows: Sequence[Row], market: str, exact: Row | None) -> str:
    """The learner with the highest score, or the one nearest to what is exact."""
    def value(name: str) -> float:
        mean = interquartile_mean(scores(rows, market, name)).mean
        return mean if exact is None else -abs(mean - exact.figures["score"])

    return max(agents_of(rows, market, "learner"), key=value)


def _mean(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.1f}" if values else ""


def replaced(text: str, results: Path, markets: Sequence[str] = ()) -> str:
    """``text`` of a page with the table between its marks made again."""
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return f"{text[:start]}\n\n{results_table(results, markets)}\n\n{text[end:]}"


def main() -> None:
    """Rewrite the tables."""
    for name, markets in PAGES.items():
        page = ROOT / name
        text = replaced(page.read_text(encoding="utf-8"), ROOT / "experiments" / "results", markets)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
