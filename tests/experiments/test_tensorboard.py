"""What people see of a run in TensorBoard."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2, metadata
from tensorboard.plugins.hparams import plugin_data_pb2

from interplay.experiments.cli.main import main
from interplay.experiments.common.saving import read_sealed
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.evaluate.during import Evaluate
from interplay.experiments.evaluate.finishing import train_and_evaluate

SMALL = ["train", "--preset", "kale", "--users", "dqn,warm_up=16,batch_size=8,hidden=8", "--episodes", "4",
         "--num-worlds", "2", "--eval-worlds", "6", "--market", "horizon=10", "--name", "run"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("runs")
    assert main([*SMALL, "--log-dir", str(home)]) == 0
    return home / "run"


@pytest.fixture(scope="module")
def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0}).Reload()


def points(events: EventAccumulator, name: str) -> list[tuple[int, float]]:
    return [(at.step, at.value) for at in events.Scalars(name)]


def test_there_is_one_entry_for_a_run(folder: Path) -> None:
    assert {file.parent for file in folder.rglob("events.out.tfevents.*")} == {folder}


def test_held_out_returns_are_a_curve_that_ends_at_the_final_evaluation(folder: Path, events: EventAccumulator) -> None:
    found = points(events, "held_out/user_return")
    assert [step for step, _ in found] == [20, 40, 60, 80]
    results = read_sealed(folder / "results.json")
    assert found[-1][1] == pytest.approx(results["evaluation"]["user_return"]["mean"])
    scores = points(events, "held_out/normalised_score")
    assert [step for step, _ in scores] == [20, 40, 60, 80]
    assert scores[-1][1] == pytest.approx(results["normalised_score"])


def test_random_greedy_and_optimum_are_lines(folder: Path, events: EventAccumulator) -> None:
    optimum = read_sealed(folder / "results.json")["oracle"]["user_return"]
    for name in ("random", "greedy", "optimum"):
        steps, values = zip(*points(events, f"reference/{name}"), strict=True)
        assert steps == (0, 20, 40, 60, 80)
        assert len({*values}) == 1
    assert points(events, "reference/optimum")[0][1] == pytest.approx(optimum)


def test_each_chart_of_the_layout_shows_something(events: EventAccumulator) -> None:
    (tensor,) = events.Tensors(metadata.CONFIG_SUMMARY_TAG)
    layout = layout_pb2.Layout.FromString(tensor.tensor_proto.string_val[0])
    assert [category.title for category in layout.category] == ["Learning", "Users and items"]
    names = events.Tags()["scalars"]
    for category in layout.category:
        for chart in category.chart:
            assert [name for tag in chart.multiline.tag for name in names if re.match(tag, name)], chart.title


def test_summary_and_pictures(events: EventAccumulator) -> None:
    (text,) = events.Tensors("about this run/text_summary")
    lines = text.tensor_proto.string_val[0].decode().splitlines()
    header = next(number for number, line in enumerate(lines) if "user return [95 %]" in line)
    assert lines[header - 1] == ""  # else Markdown sees no table
    assert any(line.startswith("| dqn ") for line in lines[header:])
    assert set(events.Tags()["images"]) == {"learning curve", "held-out world at its end"}


def test_hyperparameters_are_there_and_no_run_lists_them_for_all(events: EventAccumulator) -> None:
    """Where one does, TensorBoard shows those of the first run alone, in the order of their names."""
    assert "_hparams_/experiment" not in events.summary_metadata
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    found = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert (found["users/hidden"].number_value, found["market"].string_value) == (8, "kale")


def test_a_library_run_is_evaluated_only_as_it_asks(tmp_path: Path) -> None:
    settings = TrainSettings(preset="kale", users="random", items="rest", episodes=3, num_worlds=1, eval_worlds=2,
                             market=("horizon=5",), log_dir=tmp_path)
    run, _ = train_and_evaluate(settings)
    assert not [name for name in run.curve_columns if name.startswith("held_out/")]
    run, _ = train_and_evaluate(settings, [Evaluate(every=3)])
    found = EventAccumulator(str(run.folder)).Reload()
    assert [step for step, _ in points(found, "held_out/user_return")] == [15]  # once, not once more at the end
