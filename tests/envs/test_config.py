"""Numbers of a market are refused where they are set, with the name, the value and the mend."""

import numpy as np
import pytest
import torch

from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.boosts import Boosts
from interplay.envs.presets import find_preset
from refusals import refused

WRONG = [
    ("num_users", 0, 1), ("horizon", 2.0, "integer"), ("num_items", True, "integer"),
    ("num_candidates", 6.5, "integer"), ("num_candidates", -1, 0),
    ("num_user_features", -1, 0), ("num_item_features", 1.0, "integer"),
    ("num_candidates", 33, "num_items=32"), ("slate_size", 33, "slate_size"),
    ("boosts.levels", 3.0, "tuple"), ("boosts.levels", ("2",), "tuple"), ("boosts.levels", [2.0], "tuple"),
    ("boosts.levels", (1.0,), 1), ("boosts.levels", (float("inf"),), 1),
    ("satiation.gain", "much", "number"), ("satiation.gain", -1.0, 0), ("satiation.gain", float("nan"), 0),
    ("temperature", 0.0, 0), ("team", None, "number"), ("team", 1.5, (0, 1)), ("mood.return_rate", True, "number"),
    ("mood.leaving", "no", (True, False)), ("budgets", 1, (True, False)),
    ("slate_order", "sorted", ("ranked", "fixed")), ("response_mode", None, "sampled"),
    ("budgets.start", 2.0, "budgets.max"),
]


@pytest.mark.parametrize(("name", "value", "fix"), WRONG, ids=str)
def test_a_wrong_number_is_named_with_its_fix(name, value, fix):
    with refused(f"{name}={value!r}", fix=fix):
        MarketConfig().changed("market", {name: value})


def test_an_integer_will_do_for_a_number():
    assert Boosts(cost=1, levels=(2, 4)).cost == 1


def test_an_empty_dictionary_is_a_mechanism_with_its_parameters_as_they_are():
    config = MarketConfig().changed("market", {"mood": {"weight": 2.0}}).changed("market", {"mood": {}, "wearout": {}})
    assert [mechanism.name for mechanism in config.mechanisms] == ["mood", "wearout"]
    assert config.built_in.mood.weight == 2.0


def test_floats_of_numpy_become_those_of_python():
    """``np.float64`` is a float, but kernels knew no such type, and ``["a"] * (spread > 0)`` failed."""
    boosts = Boosts(cost=np.float64(1.0), levels=(np.float64(2.0), 4))
    assert [type(value) for value in (boosts.cost, *boosts.levels)] == [float, float, int]
    town = find_preset("town").market(mood={"max": np.float64(2.0)}, coaching={"spread": np.float64(0.5)})
    idle = (torch.zeros(1, count, dtype=torch.int64) for count in (64, 32))
    assert town.step(town.reset([0]), *idle)[1].truncated.shape == (1,)


def test_a_fixed_order_shows_everything():
    with refused("slate_order='fixed'", fix="slate_order='ranked'"):
        MarketConfig(slate_order="fixed")
