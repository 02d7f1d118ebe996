"""``interplay log`` shows what would be read; the flags that it suggests work; settings reach the reader."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from interplay.experiments.cli.main import main
from interplay.experiments.common.log_settings import LogSettings
from interplay.experiments.common.logs import logged_parts
from refusals import assert_said

SHOP = "".join(f"{n % 7},{n % 11},{n % 3},{'buy' if n % 10 == 0 else 'view'},{1511544070 + n}\n" for n in range(70))


def shown(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert main(["log", *words]) == status
    return capsys.readouterr().out


@pytest.mark.parametrize("text", [
    SHOP.replace("buy", "4").replace("view", "1"),
    "customer;product;stars;date\n" + SHOP.replace(",view", "").replace(",buy", "").replace(",", ";"),
    "product,visitor\n" + "".join(f"i{n % 11},u{n % 7}\n" for n in range(70)),
    "number,dish,paid,customer\n" + "".join(f"{n},d{n % 11},{n / 7:.2f},{n % 7}\n" for n in range(70)),
    "user_rating,item_count,account_id,item_id,customer\n" + "".join(
        f"{n % 5},{n % 3},{n % 13},{n % 11},{n % 7}\n" for n in range(70)),
    "household,dish,amount\n" + "".join(f"{n % 7},d{n % 11},{n / 7:.2f}\n" for n in range(70)),
], ids=["no header", "named otherwise", "implicit", "item by its values", "names of values", "both by their values"])
def test_the_flags_that_it_suggests_read_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                 monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "shop.csv"
    path.write_text(text)
    screen = shown(capsys, str(path))
    assert "rows     70 read; dropped: none" in screen
    assert "7 users x 11 items" in screen
    suggested = screen.partition("suggested: ")[2].rstrip()
    flags = suggested.partition(" --duplicates")[0].partition(" --reward-range")[0]
    again = shown(capsys, str(path), *shlex.split(flags))
    assert "rows     70 read; dropped: none" in again


def test_words_are_counted_and_given_a_worth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shop.csv"
    path.write_text(SHOP)
    screen = shown(capsys, str(path), status=2)
    assert "view 63, buy 7" in " ".join(screen.split())
    flags = screen.partition("suggested: ")[2].rstrip()
    assert flags == "--no-header --columns user item other_3 reward time --reward-map view=1 buy=2"
    fixed = shown(capsys, str(path), *flags.split())
    assert "0.0% of rewards are at the bottom of the scale" in " ".join(fixed.split())  # which begins at no event
    assert "--reward-range" not in fixed
    settings = LogSettings(log=path, header=False, columns=("user", "item", "kind", "reward", "time"),
                           reward_map=("view=1", "buy=2"))
    assert LogSettings.from_json(settings.to_json()) == settings
    parts = logged_parts(settings, 0)
    assert (len(parts.whole), float(parts.whole.reward.sum())) == (70, 77.0)
    assert "no header, 5 columns" in parts.summary


def test_bad_rows_are_suggested_to_be_dropped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item,reward\n1,2,3\n1,,4\n2,3,5\n")
    assert "suggested: --drop-bad-rows" in shown(capsys, str(path), status=2)
    assert "3 read; dropped: 1 whose item is empty" in shown(capsys, str(path), "--drop-bad-rows")


@pytest.mark.parametrize(("words", "named", "fix"), [
    (["--columns", "user", "item"], "--columns", "--no-header"), (["--reward-map", "view"], "--reward-map", "view=1")])
def test_flags_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], named: str,
                           fix: str) -> None:
    (tmp_path / "log.csv").write_text("user,item,reward\n1,2,3\n")
    assert main(["log", str(tmp_path / "log.csv"), *words]) == 2
    assert_said(capsys.readouterr().err, named, words[-1], fix=fix)
