"""Files that were once misread, each with its right value, which the csv module, numpy and polars gave."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interplay.envs.types import InterplayError
from interplay.experiments.common.log_settings import LogSettings
from interplay.experiments.common.logs import logged_parts

CASES = Path(__file__).parents[1] / "cases"
NAMED: dict[str, Any] = {"user_column": "who", "item_column": "what", "reward_column": "stars"}
BARE: dict[str, Any] = {"header": False, "columns": ("user", "item", "reward")}
DATED: dict[str, Any] = NAMED | {"time_column": "date"}
EVENTS: dict[str, Any] = {"user_column": "visitor", "item_column": "item", "reward_column": "event"}
MOVIELENS: dict[str, Any] = {"user_column": "userId", "item_column": "movieId", "reward_column": "rating",
                             "time_column": "timestamp"}
BASE = (56, 7, 8, 163.0)
"""Rows, users, items and the sum of rewards of most logs here."""


def read(file: str, **flags: Any) -> Any:
    """The whole log and the printed summary, by the flags of a command."""
    parts = logged_parts(LogSettings(log=CASES / file, held_out=0.5, **flags), 0)
    return parts.whole, parts.summary


@pytest.mark.parametrize(("file", "flags", "right"), [
    ("unread-quote-drops-rows/inches.csv", {}, BASE), ("unread-quote-drops-rows/backslash.csv", {}, BASE),
    ("stray-quote/log.csv", {}, BASE), ("quoted-empty-id/log.csv", {"drop_bad_rows": True}, (53, 7, 8, 156.0)),
    ("missing-item/log.csv", NAMED | {"drop_bad_rows": True}, BASE),
    ("missing-reward/log.csv", NAMED | {"drop_bad_rows": True}, BASE),
    ("movielens-named-columns/ratings.csv", {}, BASE),
    ("movielens-named-columns/ratings.csv", MOVIELENS, BASE),
    ("name-taken-for-kuairand/log_shop_4_2024.csv", NAMED, BASE),
    ("semicolon/books.csv", {"user_column": "User-ID", "item_column": "ISBN", "reward_column": "Book-Rating"}, BASE),
    ("decimal-comma/log.tsv", NAMED, (56, 7, 8, 191.0)), ("no-header/UserBehavior.csv", BARE, BASE),
    ("txt-with-blanks/ratings.txt", BARE, BASE), ("gz/log.csv.gz", NAMED, BASE),
    ("folder-of-parts/log.parquet", {}, BASE),
    ("comment-line/log.csv", {}, BASE), ("blank-line/end.csv", {}, BASE), ("blank-line/middle.csv", {}, BASE),
    ("utf16/log.csv", {}, BASE), ("latin1/log.csv", NAMED, BASE), ("spaces-in-header/log.csv", NAMED, BASE),
    ("slash-dates/log.csv", DATED, BASE), ("milliseconds/events.csv", DATED, BASE),
    ("event-words/events.csv", EVENTS | {"reward_map": ("view=1", "transaction=4")}, (56, 7, 8, 89.0)),
    ("no-reward-column/clicks.csv", {"user_column": "session", "item_column": "item"}, (56, 7, 8, 56.0)),
    ("true-false-in-csv/log.csv", {}, (56, 7, 8, 22.0)),
    ("long-cell-in-message/reviews.csv", BARE | {"columns": ("user", "item", "reward", "text")}, (40, 8, 7, 120.0)),
    ("ids-beyond-the-locale/log.csv", {}, (24, 6, 8, 53.0)), ("bom/log.csv", NAMED, BASE),
    ("upper-ext/LOG.CSV", NAMED, BASE), ("float-ids/log.csv", NAMED, BASE),
    ("lowest-reward-is-nothing/shop.csv", {}, (3311, 43, 2125, 3945.0)),
    ("implicit-above-ranks-disliked/stars.csv", {"implicit_above": 3.0}, (1500, 60, 80, 724.0)),
    ("range-lost-by-sum/clicks.csv", {"reward_range": (0.0, 10.0), "duplicates": "sum"}, (20, 4, 5, 40.0))])
def test_every_row_is_read_with_its_right_value(file: str, flags: dict[str, Any],
                                                right: tuple[int, int, int, float]) -> None:
    log, _ = read(file, **flags)
    assert (len(log), log.num_users, log.num_items, log.reward.sum(dtype=np.float64)) == right


@pytest.mark.parametrize(("file", "flags", "said"), [
    ("quoted-empty-id/log.csv", {}, ("'user'", "row 10", "3 of 56 rows", "--drop-bad-rows")),
    ("missing-item/log.csv", NAMED, ("'what'", "row 57", "1 of 57 rows", "--drop-bad-rows")),
    ("missing-reward/log.csv", NAMED, ("'stars'", "row 57", "1 of 57 rows", "--drop-bad-rows")),
    ("money/log.csv", NAMED, ("'stars'", "$3,000", "row 1", "56 of 56 rows", "currency sign", "thousands separator")),
    ("no-header/UserBehavior.csv", {}, ("the first row looks like data", "--no-header", "--guess-columns")),
    ("long-cell-in-message/reviews.csv", {}, ("the first row looks like data", "--no-header")),
    ("event-words/events.csv", EVENTS, ("view 45", "transaction 11", "--reward-map view=1")),
    ("event-words/events.csv", EVENTS | {"reward_map": ("view=1",)}, ("'transaction'", "11 of 56 rows"))])
def test_what_cannot_be_read_is_refused_in_a_line(file: str, flags: dict[str, Any], said: tuple[str, ...]) -> None:
    with pytest.raises(InterplayError) as refused:
        read(file, **flags)
    message = str(refused.value)
    assert len(message) <= 300
    assert "\n" not in message
    assert all(part in message for part in (Path(file).name, *said))


@pytest.mark.parametrize(("file", "flags", "said"), [
    ("comment-line/log.csv", {}, "1 comment line skipped"), ("blank-line/middle.csv", {}, "1 empty line skipped"),
    ("spaces-in-header/log.csv", NAMED, "by which 0 ids or words became equal"),
    ("no-reward-column/clicks.csv", {"user_column": "session", "item_column": "item"}, "the log is implicit"),
    ("slash-dates/log.csv", DATED, "2017-08-01 00:00:00 UTC to 2017-08-08 00:00:00 UTC"),
    ("milliseconds/events.csv", DATED, "2015-06-02 05:02:12"),
    ("movielens-named-columns/ratings.csv", {}, "2000-07-30 18:16:50 UTC to 2000-07-30 19:58:00 UTC"),
    ("lowest-reward-is-nothing/shop.csv", {}, "2,971 of 3,311 rewards (89.7%)"),
    ("missing-item/log.csv", NAMED | {"drop_bad_rows": True}, "1 whose what is empty")])
def test_what_was_detected_is_printed(file: str, flags: dict[str, Any], said: str) -> None:
    assert said in read(file, **flags)[1]


@pytest.mark.parametrize(("file", "flags", "mean"), [
    ("lowest-reward-is-nothing/shop.csv", {}, 0.063828),
    ("lowest-reward-is-nothing/shop.csv", {"reward_range": (0.0, 4.0)}, 0.297871),
    ("range-lost-by-sum/clicks.csv", {"reward_range": (0.0, 10.0), "duplicates": "sum"}, 0.2)])
def test_rewards_have_their_place_on_the_scale(file: str, flags: dict[str, Any], mean: float) -> None:
    log, _ = read(file, **flags)
    assert log.scaled(log.reward).mean(dtype=np.float64) == pytest.approx(mean, abs=1e-6)


def test_ids_are_kept_as_they_are_written() -> None:
    assert read("semicolon/books.csv", user_column="User-ID", item_column="ISBN", reward_column="Book-Rating")[
        0].item_ids == tuple(f"{n:010d}" for n in range(1, 9))
    assert "café" in read("latin1/log.csv", **NAMED)[0].user_ids
    assert read("float-ids/log.csv", **NAMED)[0].user_ids == tuple(f"{n}.0" for n in range(1, 8))
    stray = read("stray-quote/log.csv")[0]
    assert (stray.item == stray.item_ids.index('lamp 12"')).sum() == 7
