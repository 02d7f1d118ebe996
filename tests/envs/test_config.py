"""Numbers of a market are refused where they are set, with the name, the value and the mend."""

import pytest

from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.boosts import Boosts
from interplay.envs.types import InterplayError

WRONG = [
    ("num_users", 0, "at least 1"), ("horizon", 2.0, "an integer"), ("num_items", True, "an integer"),
    ("num_candidates", 6.5, "an integer"), ("num_candidates", -1, "at least 0"),
    ("num_user_features", -1, "at least 0"), ("num_item_features", 1.0, "an integer"),
    ("num_candidates", 33, "num_items=32"), ("slate_size", 33, "num_items=32"),
    ("boosts.levels", 3.0, "a tuple"), ("boosts.levels", ("2",), "a tuple"), ("boosts.levels", [2.0], "a tuple"),
    ("boosts.levels", (1.0,), "above 1"), ("boosts.levels", (float("inf"),), "above 1"),
    ("satiation.gain", "much", "a number"), ("satiation.gain", -1.0, "at least 0"),
    ("satiation.gain", float("nan"), "at least 0"), ("temperature", 0.0, "above 0"),
    ("team", None, "a number"), ("team", 1.5, "between 0 and 1"), ("mood.return_rate", True, "a number"),
    ("mood.leaving", "no", "True or False"), ("budgets", 1, "True or False"),
    ("slate_order", "sorted", "ranked, fixed"), ("response_mode", None, "a word"),
    ("budgets.start", 2.0, "raise budgets.max"),
]


@pytest.mark.parametrize(("name", "value", "fix"), WRONG, ids=str)
def test_a_wrong_number_is_named_with_its_fix(name, value, fix):
    with pytest.raises(InterplayError) as error:
        MarketConfig().changed("market", {name: value})
    for words in (f"{name}={value!r}", fix):
        assert words in str(error.value)


def test_an_integer_will_do_for_a_number():
    assert Boosts(cost=1, levels=(2, 4)).cost == 1


def test_a_fixed_order_shows_everything():
    with pytest.raises(InterplayError, match="slate_order='fixed' shows every item"):
        MarketConfig(slate_order="fixed")
