"""The agents of examples/ run as they stand."""

from pathlib import Path

import pytest
import torch

from interplay.agents import Setting, find_agent
from interplay.agents.testing import check_agent
from interplay.agents.testing.contract_harness import difference
from interplay.envs.presets import find_preset
from interplay.experiments.cli.main import main
from interplay.experiments.loop.run import Run

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
AGENTS = ["my_agent:SlotMeans", "my_agent:Sarsa"]


@pytest.fixture(autouse=True)
def beside_the_examples(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))


def train(folder, name, episodes):
    """A run on small kale."""
    assert main(["train", "--preset", "kale", "--users", name, "--episodes", str(episodes), "--num-worlds", "4",
                 "--eval-worlds", "4", "--market", "horizon=10", "--log-dir", str(folder)]) == 0
    (run,) = folder.iterdir()
    return Run.load(run, allow_code=True)


@pytest.mark.parametrize("name", AGENTS)
def test_agents_keep_the_contract(name):
    check_agent(find_agent(name))


@pytest.mark.parametrize("name", AGENTS)
def test_agents_train_and_go_on_bit_for_bit(name, tmp_path):
    """A run that is saved in the middle and loaded ends as one that is not."""
    whole = train(tmp_path / "whole", name, 4)
    (tmp_path / "half").mkdir()
    half = Run.start(whole.settings, tmp_path / "half")
    half.write_config()
    while half.env_steps < whole.env_steps // 2:
        half.step()
        if half.episode_ended:
            half.next_episode()
    half.save()
    other = Run.load(half.folder, allow_code=True)
    while not other.finished:
        other.step()
        if other.episode_ended:
            other.next_episode()
    assert not difference(whole.players.state_dict(), other.players.state_dict())
    assert other.players["users"].learned == 40


def test_names_come_from_the_class():
    assert find_agent("my_agent:SlotMeans").name == "slot-means"


def test_weights_of_a_module_come_from_the_agents_seed():
    spec = find_preset("kale").market().specs["users"]
    before = torch.random.get_rng_state()
    weights = [next(find_agent(AGENTS[1])(spec, Setting(seed)).network.parameters()) for seed in (1, 1, 2)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(before, torch.random.get_rng_state())
