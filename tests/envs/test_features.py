"""Features of users and items: read strictly, standardised, seen by agents, and made without any reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from interplay.envs import market_v0
from interplay.envs.behaviour.logged import LoggedBehaviour, logged_market_config
from interplay.envs.behaviour.synthetic import SyntheticBehaviour, TownPopulation
from interplay.envs.config import MarketConfig
from interplay.envs.data import InteractionLog, make_log, read_features, read_log, split_log
from interplay.envs.data.features import MAX_CATEGORIES, make_features, standardised
from interplay.envs.market import Market
from interplay.envs.population import Population
from interplay.envs.types import FEATURE_BOUND
from refusals import refused

MOVIELENS = Path(__file__).parents[2].parent / "shared/data/ml-100k"

USERS = np.array([[20.0, 1.0], [30.0, 0.0], [40.0, 1.0]], dtype=np.float32)
ITEMS = np.array([[1.0], [2.0], [3.0], [6.0]], dtype=np.float32)


def some_log(featured: bool = True) -> InteractionLog:
    """3 users who rate all 4 items."""
    user, item = (axis.ravel() for axis in np.indices((3, 4)))
    log = make_log(pl.DataFrame({"user": user, "item": item, "reward": (user + item) % 4}))
    return replace(log, user_features=USERS, item_features=ITEMS) if featured else log


def market_of(log: InteractionLog, answers: InteractionLog | None = None, device: str = "cpu",
              **changes: object) -> Market:
    config = logged_market_config(log, **({"slate_size": 2, "embedding_size": 3, "num_segments": 2} | changes))
    return Market(config, LoggedBehaviour(log, answers or log, config, "zero"), device)


class TestReading:
    def read(self, folder: Path, text: str, ids: Sequence[int | str], name: str = "people.csv") -> np.ndarray:
        (folder / name).write_text(text)
        return read_features(folder / name, "user", ids).values

    def test_numbers_stay_and_text_becomes_categories_in_sorted_order(self, tmp_path: Path) -> None:
        values = self.read(tmp_path, "user,age,job\n2,30.5,smith\n1,20,baker\n3,1e1,smith\n", (1, 2, 3))
        assert values.dtype == np.float32
        assert values.tolist() == [[20.0, 1.0, 0.0], [30.5, 0.0, 1.0], [10.0, 0.0, 1.0]]

    @pytest.mark.parametrize("extension", [".tsv", ".parquet"])
    def test_other_formats(self, tmp_path: Path, extension: str) -> None:
        path = tmp_path / f"people{extension}"
        table = pl.DataFrame({"age": [1, 2], "user": ["b", "a"], "likes": [True, False]})
        if extension == ".tsv":
            table.write_csv(path, separator="\t")
        else:
            table.write_parquet(path)
        assert read_features(path, "user", ("a", "b")).values.tolist() == [[2.0, 1.0, 0.0], [1.0, 0.0, 1.0]]

    def test_types_of_a_parquet_table_are_kept(self) -> None:
        job = pl.Series(["x", "w"], dtype=pl.Enum(["x", "w"]))
        table = pl.DataFrame({"user": [1, 2], "digits": ["1", "2"], "job": job})
        assert make_features(table, "user", (1, 2)).values.tolist() == [[1, 0, 0, 1], [0, 1, 1, 0]]

    def test_codes_with_leading_zeros_are_categories(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "user,code,share\n1,01,0\n2,1,0.5\n", (1, 2)).tolist() == [[1, 0, 0], [0, 1, 0.5]]

    def test_ids_are_compared_as_they_are_written(self, tmp_path: Path) -> None:
        text = "user,age\n007,1\n7,2\n"
        assert self.read(tmp_path, text, ("007", "7")).tolist() == [[1.0], [2.0]]
        assert self.read(tmp_path, text, (7,)).tolist() == [[2.0]]
        table = pl.DataFrame({"user": [7, 8], "age": [1, 2]})
        assert make_features(table, "user", ("8", "7")).values.tolist() == [[2.0], [1.0]]

    def test_a_user_that_has_no_row_is_not_known(self, tmp_path: Path) -> None:
        values = self.read(tmp_path, "user,age,job\na,3,x\n", ("a", "b"))
        assert values[0].tolist() == [3.0, 1.0]
        assert np.isnan(values[1]).all()
        log = replace(some_log(), user_features=np.array([[1.0], [np.nan], [np.nan]], dtype=np.float32))
        assert "features 1 of users (2 users without any are given the mean); 1 of items" in str(log.summary())
        assert "features" not in str(some_log(False).summary())

    def test_rows_of_others_are_counted_and_make_no_category(self) -> None:
        table = pl.DataFrame({"user": ["z", "a", "b"], "job": ["pilot", "smith", "baker"], "age": [1, 2, 3]})
        found = make_features(table, "user", ("a", "b"), "people.csv")
        assert found.values.tolist() == [[0.0, 1.0, 2.0], [1.0, 0.0, 3.0]]
        assert found.note == ("people.csv: 3 features from job (2 categories), age; "
                              "ignored 1 rows of ids that the log lacks")
        assert make_features(table, "user", ("a", "b", "z")).note == "table: 4 features from job (3 categories), age"

    def test_long_tables_are_noted_briefly(self) -> None:
        table = pl.DataFrame({"user": [1], **{f"f{n}": [n] for n in range(9)}})
        assert make_features(table, "user", (1,)).note == "table: 9 features from f0, f1, f2, f3, f4, f5, f6, f7, ..."

    @pytest.mark.parametrize(("content", "named"), [
        ("who,age\n1,2\n", ["user", "who", "age"]), ("user\n1\n", ["user"]),
        ("user,age\n1,2\n1,3\n", ["user", "'1'", "row 2"]), ("user,age\n1,2\n,3\n", ["user", "nothing", "row 2"]),
        ("user,age\n1,2\n2,\n", ["age", "nothing", "row 2"]), ("user,age\n1,2\n2,nan\n", ["age", "nan", "row 2"]),
        ("user,age\n1,-inf\n2,1\n", ["age", "-inf", "row 1"]),
        ("user,age\n9,1e60\n1,1\n", ["age", "1e+60", "row 1", "1e+15"]),
        ("user,job\n1,x\n2,\n", ["job", "nothing", "row 2"]), ('user,job\n1,""\n2,x\n', ["job", "nothing", "row 1"]),
        ("user,age\n8,2\n9,2\n", ["user", 2, 1]), ("user,age\n", ["user", 0]), ("", []),
    ])
    def test_bad_tables_are_refused(self, tmp_path: Path, content: str, named: list[Any]) -> None:
        with refused("people.csv", *named):
            self.read(tmp_path, content, (1, 2, 3))

    def test_bad_types_and_paths_are_refused(self, tmp_path: Path) -> None:
        with refused("user", "Float64", fix=("integers", "strings")):
            make_features(pl.DataFrame({"user": [1.0], "age": [1]}), "user", (1,))
        with refused("table", "born", "Date", fix=("numbers", "text")):
            make_features(pl.DataFrame({"user": [1], "born": [date(2000, 1, 1)]}), "user", (1,))
        with refused("none.csv", fix="path"):
            read_features(tmp_path / "none.csv", "user", (1,))

    def test_too_many_categories_are_refused(self) -> None:
        ids = tuple(range(MAX_CATEGORIES + 1))
        table = pl.DataFrame({"user": ids, "name": [f"n{n}" for n in ids]})
        assert make_features(table, "user", ids[1:]).values.shape == (50, 50)
        with refused("name", 51, 50):
            make_features(table, "user", ids)


class TestStandardised:
    def test_numbers_get_mean_0_and_deviation_1(self) -> None:
        values = np.random.default_rng(0).normal(1e6, 30.0, size=(500, 3)).astype(np.float32)
        found = standardised(values)
        assert found.dtype == np.float32
        assert found.mean(0) == pytest.approx([0.0] * 3, abs=1e-5)
        assert found.std(0) == pytest.approx([1.0] * 3, abs=1e-5)

    def test_constants_become_0_and_flags_stay(self) -> None:
        values = np.array([[0.1, 1, 1], [0.1, 1, 0], [0.1, 1, 0]], dtype=np.float32)
        assert standardised(values).tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]

    def test_what_is_not_known_is_given_the_mean(self) -> None:
        nan = np.nan
        values = np.array([[1, 1, nan], [3, 0, nan], [nan, nan, nan]], dtype=np.float32)
        assert standardised(values).tolist() == [[-1, 1, 0], [1, 0, 0], [0, 0.5, 0]]

    def test_no_columns_are_fine(self) -> None:
        assert standardised(np.zeros((3, 0), dtype=np.float32)).shape == (3, 0)

    @pytest.mark.parametrize("values", [np.ones(3, dtype=np.float32), np.full((3, 1), np.inf, dtype=np.float32)])
    def test_a_log_takes_a_finite_table_only(self, values: np.ndarray) -> None:
        with refused("user_features", values.shape, fix="NaN"):
            replace(some_log(), user_features=values)


class TestPopulation:
    def test_without_features_there_are_no_columns(self) -> None:
        config = MarketConfig(num_users=5, num_items=6)
        people = Market(config, SyntheticBehaviour(TownPopulation(config))).reset([0, 1]).population
        assert (people.user_features.shape, people.item_features.shape) == ((2, 5, 0), (2, 6, 0))

    def test_saves_loads_moves_and_expands(self) -> None:
        for log in (some_log(), some_log(False)):
            people = market_of(log).reset([0]).population
            assert people.expand(4).item_features.shape == (4, 4, people.item_features.shape[2])
            for again in (Population.from_state(people.state_dict()), people.loaded(people.state_dict())):
                assert torch.equal(again.user_features, people.user_features)
            assert people.map(lambda table: table.to("meta")).user_features.device.type == "meta"
            assert Population.stack([people, people]).user_features.shape == (2, *people.user_features.shape)

    @pytest.mark.parametrize("name", ["num_user_features", "num_item_features"])
    def test_a_config_that_disagrees_is_refused(self, name: str) -> None:
        config = replace(MarketConfig(), **{name: 3})
        count = config.num_users if "user" in name else config.num_items
        with refused(name[4:], (1, count, 0), (1, count, 3)):
            Market(config, SyntheticBehaviour(TownPopulation(config))).reset([0])
        with refused(name, 7, fix="logged_market_config(log)"):
            market_of(some_log(), **{name: 7})


class TestSeen:
    def test_columns_are_named_and_hold_what_the_log_says(self) -> None:
        market = market_of(some_log())
        state = market.reset([0, 1])
        users, items = market.observe(state, "users"), market.observe(state, "items")
        assert market.specs["users"].own_features[-2:] == ("feature_0", "feature_1")
        assert market.specs["users"].option_features[-1:] == ("feature_0",)
        assert market.specs["items"].own_features[-1:] == ("feature_0",)
        for side, seen in (("users", users), ("items", items)):
            assert seen.own.shape[-1] == len(market.specs[side].own_features)
            assert seen.options.shape[-1] == len(market.specs[side].option_features)
        age, price = torch.from_numpy(standardised(USERS)), torch.from_numpy(standardised(ITEMS))
        assert torch.equal(users.own[..., -2:], age.expand(2, 3, 2))
        assert torch.equal(items.own[..., -1:], price.expand(2, 4, 1))
        assert torch.equal(users.options[..., -1], price[state.slate.items, 0])

    def test_users_who_only_remember_still_know_their_features(self) -> None:
        market = market_of(some_log(), user_sees="history", history_length=2)
        assert market.specs["users"].own_features == ("active", "feature_0", "feature_1")
        seen = market.observe(market.reset([0]), "users")
        assert torch.equal(seen.own[0, :, 1:], torch.from_numpy(standardised(USERS)))
        assert seen.options[..., -1].any()

    def test_all_else_is_what_it_is_without_features(self) -> None:
        one, two = market_of(some_log()), market_of(some_log(False))
        first, second = one.reset([0]), two.reset([0])
        for side, extra in (("users", (2, 1)), ("items", (1, 0))):
            seen, bare = one.observe(first, side), two.observe(second, side)
            assert two.specs[side].own_features == one.specs[side].own_features[:-extra[0]]
            assert torch.equal(seen.own[..., :-extra[0]], bare.own)
            assert torch.equal(seen.options[..., : bare.options.shape[-1]], bare.options)
            assert seen.options.shape[-1] - bare.options.shape[-1] == extra[1]

    def test_outliers_stay_inside_the_bound(self) -> None:
        user_features = np.array([[0.0]] * 99 + [[1e9]], dtype=np.float32)
        log = make_log(pl.DataFrame({"user": range(100), "item": [0, 1] * 50, "reward": [0, 1] * 50}))
        market = market_of(replace(log, user_features=user_features))
        assert market.observe(market.reset([0]), "users").own[0, 99, -1] == FEATURE_BOUND

    def test_no_reward_goes_into_them(self) -> None:
        train, test = split_log(some_log(), 0.3)
        turned = replace(test, reward=3.0 - test.reward), replace(train, reward=3.0 - train.reward)
        expected = market_of(train, test).reset([0]).population
        for other in (market_of(train, turned[0]), market_of(turned[1], test)):
            people = other.reset([0]).population
            assert torch.equal(people.user_features, expected.user_features)
            assert torch.equal(people.item_features, expected.item_features)

    def test_a_step_never_touches_the_host(self) -> None:
        market = market_of(some_log(), device="meta")
        actions = (torch.zeros(1, n, dtype=torch.int64, device="meta") for n in (3, 4))
        state, _ = market.step(market.reset([0]), *actions)
        assert {market.observe(state, side).own.device.type for side in ("users", "items")} == {"meta"}

    def test_the_facade_shows_them(self) -> None:
        market = market_of(some_log())
        env = market_v0.parallel_env(market=market)
        observations, _ = env.reset(seed=0)
        for agent, seen in observations.items():
            assert env.observation_space(agent).contains(seen)
        own = len(market.specs["users"].own_features)
        assert observations["user_2"][own - 2 : own].tolist() == standardised(USERS)[2].tolist()


class TestMovieLens:
    def read(self, folder: Path, people: str) -> InteractionLog:
        (folder / "u.data").write_text("1\t2\t5\t100\n3\t1\t1\t90\n")
        (folder / "u.user").write_text(people)
        return read_log(folder)

    def test_users_have_age_gender_and_occupation(self, tmp_path: Path) -> None:
        log = self.read(tmp_path, "1|24|M|writer|85711\n2|53|F|other|94043\n3|33|F|artist|V3N4P\n")
        assert log.user_features is not None
        assert log.user_features.tolist() == [[24, 0, 1, 0, 1], [33, 1, 0, 1, 0]]
        assert log.item_features is None

    @pytest.mark.parametrize(("people", "named"), [
        ("1|24|M|writer\n", [4, 5, "occupation"]), ("1|24|M|writer|1\n1|25|M|writer|1\n", ["user", "'1'", "row 2"])])
    def test_damaged_copies_are_refused(self, tmp_path: Path, people: str, named: list[Any]) -> None:
        with refused("u.user", *named):
            self.read(tmp_path, people)

    @pytest.mark.skipif(not (MOVIELENS / "u.user").is_file(), reason="no MovieLens-100K here")
    def test_the_real_thing(self) -> None:
        log = read_log(MOVIELENS)
        assert log.user_features is not None
        assert log.user_features.shape == (943, 24)  # age, 2 genders, 21 occupations
        assert log.user_features[0, :3].tolist() == [24.0, 0.0, 1.0]
        assert log.user_features[:, 1:].sum(1).tolist() == [2.0] * 943
        assert log.user_features[:, 0].mean() == pytest.approx(34.05, abs=0.01)
        assert "features 24 of users" in str(log.summary())
