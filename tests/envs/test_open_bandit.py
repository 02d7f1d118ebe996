from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from interplay.envs.data import data_sets, read_log
from interplay.envs.data.open_bandit import read_open_bandit
from interplay.experiments.offpolicy import evaluate_policy
from interplay.experiments.offpolicy.estimators import ips, make_case
from interplay.experiments.offpolicy.open_bandit import open_bandit_feedback
from interplay.experiments.offpolicy.policies import uniform
from refusals import refused

REAL = Path(__file__).parents[2].parent / "shared/data/obd"


@pytest.fixture
def real() -> Path:
    if not (REAL / "bts" / "men" / "men.csv").is_file():
        pytest.skip("Open Bandit is not beside the checkout")
    return REAL


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three impressions of two items, not in the order of time."""
    path = tmp_path / "bts" / "men"
    path.mkdir(parents=True)
    rows = pl.DataFrame({
        "": [0, 1, 2], "timestamp": [f"2019-11-24 00:00:0{k}.5+00:00" for k in (2, 0, 1)], "item_id": [1, 0, 1],
        "position": [3, 1, 2], "click": [0, 1, 0], "propensity_score": [0.25, 0.5, 1e-6],
        **{f"user_feature_{k}": ["a", "b", "a"] for k in range(4)},
        "user-item_affinity_0": [0.0, 2.0, 0.0], "user-item_affinity_1": [1.0, 0.0, 0.0]})
    rows.write_csv(path / "men.csv")
    items = {"": [0, 1], "item_id": [1, 0], "item_feature_0": [-0.5, 2.0], "item_feature_1": ["x", "y"]}
    pl.DataFrame(items).write_csv(path / "item_context.csv")
    return path


def changed(folder: Path, **columns: object) -> None:
    file = folder / "men.csv"
    pl.read_csv(file).with_columns(**{k: pl.Series(v) for k, v in columns.items()}).write_csv(file)


def test_every_column_lands_where_it_belongs_oldest_first(folder: Path) -> None:
    log = read_open_bandit(folder)
    assert (log.campaign, log.policy, log.num_items) == ("men", "bts", 2)
    assert log.item.tolist() == [0, 1, 1]
    assert log.position.tolist() == [0, 1, 2]
    assert log.click.tolist() == [1.0, 0.0, 0.0]
    assert log.propensity.tolist() == [0.5, 1e-6, 0.25]
    assert np.diff(log.time).tolist() == [1.0, 1.0]
    assert log.context_names[:2] == ("user_feature_0=a", "user_feature_0=b")
    assert log.context[:, :2].tolist() == [[0, 1], [1, 0], [1, 0]]
    assert log.context[:, -2:].tolist() == [[2, 0], [0, 0], [0, 1]]
    assert log.item_features.tolist() == [[2.0, 0.0, 1.0], [-0.5, 1.0, 0.0]]


@pytest.mark.parametrize(("name", "values", "row"), [
    ("position", [0, 1, 2], 1), ("item_id", [0, 2, 1], 2), ("click", ["0", "1", "yes"], 3),
    ("propensity_score", [0.5, 0.5, 0.0], 3)])
def test_what_cannot_be_is_refused(folder: Path, name: str, values: list[object], row: int) -> None:
    changed(folder, **{name: values})
    with refused("men.csv", name, f"'{values[row - 1]}'", f"row {row}"):
        read_open_bandit(folder)


def test_missing_columns_and_folders_are_named(folder: Path) -> None:
    file = folder / "men.csv"
    frame = pl.read_csv(file)
    frame.drop("user-item_affinity_1").write_csv(file)
    with refused("user-item_affinity_1", "item_context.csv", 2):
        read_open_bandit(folder)
    frame.drop("click").write_csv(file)
    with refused("click"):
        read_open_bandit(folder)
    with refused(folder.parent, fix=("bts/men", "men.csv", "item_context.csv")):
        read_open_bandit(folder.parent)


@pytest.mark.parametrize("name", ["", "men.csv"])
def test_as_a_markets_log_it_is_refused_with_what_it_is_for(folder: Path, name: str) -> None:
    assert "open-bandit" in data_sets()
    with refused("men.csv" if name else folder, "user", fix="interplay ope"):
        read_log(folder / name)


def test_a_table_of_ones_own_in_such_a_folder_is_read_as_before(folder: Path) -> None:
    mine = folder / "mine.csv"
    mine.write_text("user,item,reward\na,b,1\nb,b,0\n")
    assert len(read_log(mine)) == 2


@pytest.mark.parametrize(("campaign", "items", "clicks"), [("all", 80, (38, 42)), ("men", 34, (46, 69)),
                                                           ("women", 46, (46, 46))])
def test_the_real_one(real: Path, campaign: str, items: int, clicks: tuple[int, int]) -> None:
    logs = [read_open_bandit(real / policy / campaign) for policy in ("random", "bts")]
    assert tuple(int(log.click.sum()) for log in logs) == clicks
    assert {(log.num_items, len(log.item)) for log in logs} == {(items, 10_000)}
    assert np.abs(logs[0].propensity * items - 1.0).max() < 1e-9


@pytest.mark.parametrize(("campaign", "own", "other", "error"), [("men", 0.0046, 0.0030, 0.0008),
                                                                 ("all", 0.0038, 0.0024, 0.0009)])
def test_the_random_policys_click_rate_from_either_log(real: Path, campaign: str, own: float, other: float,
                                                       error: float) -> None:
    """IPS and its standard error, to the digits that are known of them."""
    for policy, value in (("random", own), ("bts", other)):
        log = open_bandit_feedback(read_open_bandit(real / policy / campaign))
        terms = ips(make_case(log, uniform(log), np.zeros((len(log), log.num_actions))))
        assert round(terms.value, 4) == value
    assert round(float(terms.correction.std()) / 100.0, 4) == error


def test_women_are_flagged_and_the_others_are_not(real: Path) -> None:
    for campaign, size in (("women", 2), ("men", 656), ("all", 340)):
        log = open_bandit_feedback(read_open_bandit(real / "bts" / campaign))
        found = {e.name: e for e in evaluate_policy(log, uniform(log))}
        assert round(found["IPS"].effective_size) == size
        assert all(bool(e.warning) == (campaign == "women") for e in found.values())
