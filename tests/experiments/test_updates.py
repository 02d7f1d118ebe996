"""The study of what learning costs: its kinds of operators, and updates of Stable-Baselines3."""

import pytest

from interplay.agents.dqn import DQNOptions
from interplay.envs import kernels
from interplay.envs.presets import find_preset
from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import rendered
from interplay.experiments.studies.speed.products import of_learning
from interplay.experiments.studies.speed.updates import cost

STUDY = "interplay.experiments.studies.speed.updates:study"


def test_operators_are_counted_by_kind():
    found = cost("kale", "pqn,hidden=8,rollout_length=4,sharing=embedding", num_worlds=4, rounds=2)
    assert found.steps == 4
    assert found.peer is None
    assert {"matrix products", "layer norms", "rectifiers", "optimiser", "gathers and copies"} <= found.kinds.keys()
    assert all(seconds > 0.0 for seconds in found.kinds.values())
    assert sum(found.kinds.values()) < 2.0 * found.whole  # they are parts of it, each measured on its own


@pytest.mark.skipif(not kernels.available(), reason="loops need numba")
@pytest.mark.parametrize("agent", ["dqn,warm_up=16,batch_size=8", "pqn,rollout_length=4", "ippo,rollout_length=4"])
def test_products_of_loops_are_part_of_them(agent):
    found = cost("kale", agent, num_worlds=4, rounds=3)
    assert found.kinds.keys() == {"matrix products", "other arithmetic of loops"}
    assert 0.0 < found.kinds["matrix products"] < found.whole


def test_what_goes_into_a_memory_counts_apart_from_updates():
    found = cost("kale", "dqn,warm_up=16,batch_size=64,updates_per_step=4,update_every=3", num_worlds=4, rounds=3)
    assert found.steps == 3
    assert found.keeping is not None
    assert 0.0 < found.keeping < 0.9 * found.whole
    assert cost("kale", "pqn,rollout_length=4", num_worlds=4, rounds=1).keeping is None


def test_products_are_counted_as_loops_make_them():
    spec, options = find_preset("kale").market().spec_of("users"), DQNOptions(hidden=64, batch_size=100)
    products = of_learning("dqn", options, spec, 4)
    own, width = len(spec.own_features), len(spec.option_features)
    assert products[64, own + width + 1, 64] == products[36, own + width + 1, 64] == 1  # for doing nothing
    assert products[64, width, 64] == 100 * spec.num_options // 64
    # Layers in the middle: of all actions, of what is judged, of what was done, and back to what came before.
    assert products[64, 64, 64] == 1 + 100 * spec.num_options // 64 + 1 + 1 + 2
    assert of_learning("slateq", options, spec, 4) is None


@pytest.mark.parametrize("agent", [
    "dqn,warm_up=16,batch_size=8,update_every=3", "ippo,rollout_length=4,num_minibatches=2"])
def test_the_same_updates_of_stable_baselines(agent, tmp_path):
    pytest.importorskip("stable_baselines3")
    command = ["--presets", "kale", "--agents", agent, "--num-worlds", "4", "--rounds", "1", "--out", str(tmp_path)]
    main(command, STUDY)
    line = (tmp_path / "report.md").read_text().splitlines()[-1]
    assert line.startswith(f"| kale   | {agent} |")
    assert float(line.split("|")[-2]) > 0.0
    assert rendered(tmp_path) == (tmp_path / "report.md").read_text()
