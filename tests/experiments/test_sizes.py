"""Presets recommend sizes for a CPU and for a GPU; a run keeps those that it began with."""

from dataclasses import replace

import pytest
import torch

import interplay as ip
from interplay.envs.presets import Training, find_preset, presets
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.task import recommended, training_of
from refusals import refused

CPU, GPU = torch.device("cpu"), torch.device("cuda")
ON_GPU = {"num_worlds": 6, "episodes": 2, "options": {"pqn": {"hidden": 8}}}
SIZED = replace(find_preset("kale"), name="sized",
                training=Training(num_worlds=3, episodes=5, eval_worlds=2, on_gpu=ON_GPU))
PRESET = f"{__name__}:SIZED"


def test_a_gpu_has_sizes_of_its_own():
    settings = TrainSettings(preset=PRESET)
    assert recommended(settings) == replace(SIZED.training, on_gpu=None)
    assert recommended(settings, GPU) == replace(SIZED.training, on_gpu=None, **ON_GPU)


def test_settings_of_the_user_win_on_a_gpu():
    found = training_of(TrainSettings(preset=PRESET, num_worlds=1, discount=0.5), GPU)
    assert (found.num_worlds, found.episodes, found.discount) == (1, 2, 0.5)


@pytest.mark.parametrize("name", presets())
def test_a_gpu_plays_more_worlds_in_no_more_episodes(name):
    training = find_preset(name).training
    cpu, gpu = training.on(CPU), training.on(GPU)
    assert gpu.num_worlds > cpu.num_worlds
    assert gpu.episodes <= cpu.episodes
    assert replace(gpu, num_worlds=cpu.num_worlds, episodes=cpu.episodes, options=cpu.options) == cpu


def test_a_run_keeps_its_sizes_on_another_device(tmp_path):
    run = Run.start(TrainSettings(preset=PRESET, users="pqn", items="rest", device="cpu", sizes_of="cuda"), tmp_path)
    run.write_config()
    run.step()
    run.save()
    other = Run.load(tmp_path, device="cpu", allow_code=True)
    assert (other.task.training.num_worlds, other.episodes, other.players["users"].options.hidden) == (6, 2, 8)
    assert Run.start(replace(run.settings, sizes_of=None), tmp_path).settings.sizes_of == "cpu"


def test_options_as_an_object_say_what_only_a_gpu_recommends(tmp_path):
    run = ip.train(SIZED, users=ip.agents.PQN(), items="rest", episodes=1, log_dir=tmp_path)
    assert "--user-option hidden=64" in run.command


@pytest.mark.parametrize(("changes", "named"), [
    ({"worlds": 6}, ["worlds"]), ({"num_worlds": 0}, ["num_worlds", 0]), ({"on_gpu": {}}, ["on_gpu"]),
    (3, ["on_gpu", 3])])
def test_a_wrong_number_for_a_gpu_is_named(changes, named):
    with refused(*named):
        Training(on_gpu=changes)
