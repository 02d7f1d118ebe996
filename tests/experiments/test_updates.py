"""The study of what learning costs: its kinds of operators, and updates of Stable-Baselines3."""

import pytest

from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import rendered
from interplay.experiments.studies.speed.updates import cost

STUDY = "interplay.experiments.studies.speed.updates:study"


def test_operators_are_counted_by_kind():
    found = cost("kale", "pqn,hidden=8,rollout_length=4", num_worlds=4, rounds=2)
    assert found.steps == 4
    assert found.peer is None
    assert {"matrix products", "layer norms", "rectifiers", "optimiser", "gathers and copies"} <= found.kinds.keys()
    assert all(seconds > 0.0 for seconds in found.kinds.values())
    assert sum(found.kinds.values()) < 2.0 * found.whole  # they are parts of it, each measured on its own


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
