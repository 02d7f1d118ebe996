"""Films: two groups of agents on one world with the same noise, side by side."""

import re

import numpy as np
import pytest
from PIL import Image

import interplay as ip
from interplay.envs.presets import find_preset
from interplay.experiments.cli.main import main
from interplay.experiments.common.notes import InterplayWarning
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.evaluate import finishing
from interplay.experiments.loop.make_players import make_players
from interplay.experiments.loop.task import make_task, with_agents
from interplay.experiments.watch import films
from interplay.experiments.watch.watching import beside, frames
from refusals import assert_said, refused

KALE = ["--preset", "kale"]


def players_of(preset, users="greedy", items="rest", platform="plackett-luce"):
    settings = with_agents(TrainSettings(preset=preset, users=users, items=items, platform=platform,
                                         market=("horizon=5",)))
    task = make_task(settings, find_preset(preset).market().device)
    return task, make_players(settings, task)


def halves(picture):
    return picture[:, :640], picture[:, 640:]


def test_both_play_the_same_world():
    """Equal agents do the same in both halves, other agents do not."""
    task, players = players_of("kale")
    for name, same in (("greedy", True), ("random", False)):
        film = list(frames(task.held_out, beside(task, players, name)))
        assert len(film) == 6
        assert film[0].shape == (480, 1280, 3)
        left, right = halves(film[0])
        assert np.array_equal(left[30:], right[30:])
        left, right = halves(film[-1])
        assert np.array_equal(left[30:], right[30:]) == same


def test_worlds_can_be_chosen():
    task, players = players_of("town")
    first, other = (next(frames(task.held_out, [players], world)) for world in (0, 1))
    assert first.shape == (480, 640, 3)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("preset", "users", "items", "platform", "against"), [
    ("contest", "first", "random", "plackett-luce", "rest"), ("feed", "conditional-logit", "rest", "random", "greedy")])
def test_the_compared_side_is_replaced(preset, users, items, platform, against):
    task, players = players_of(preset, users, items, platform)
    left, right = beside(task, players, against)
    assert left.names() == right.names() | {task.training.side: against}


@pytest.mark.slow
def test_a_gif_of_the_command_line(tmp_path, capsys):
    out = tmp_path / "film.gif"
    assert main(["watch", *KALE, "--users", "random", "--against", "greedy", "--out", str(out), "--fps", "10"]) == 0
    assert re.fullmatch(r"wrote .*film\.gif: 51 frames, 0\.\d\d MB\n", capsys.readouterr().out)
    with Image.open(out) as film:
        assert (film.size, film.info["duration"], film.info["loop"]) == ((1280, 480), 100, 0)
        assert film.n_frames == 51
        first = np.array(film.convert("RGB"))
        film.seek(30)
        assert not np.array_equal(first, np.array(film.convert("RGB")))


@pytest.mark.parametrize(("words", "named", "fix"), [
    (["--out", "film.avi"], ["film.avi"], (".gif", ".mp4")), (["--out", "nowhere/film.gif"], ["nowhere/film.gif"], ()),
    (["--users", "dqn"], ["users", "dqn"], ("greedy", "random")), (["--against", "dqn"], ["dqn"], ("greedy", "random")),
    (["--users", "nobody"], ["agent", "nobody"], "module:name"), (["--fps", "0"], ["fps", 0.0], 0),
    (["--allow-code"], ["--allow-code"], ()), (["somewhere", "--users", "random"], ["--users random"], "run"),
    (["somewhere"], ["somewhere"], "train")])
def test_wrong_words_are_one_line(words, named, fix, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["watch", *([] if "somewhere" in words else KALE), *words]) == 2
    assert_said(capsys.readouterr().err, *named, fix=fix)
    assert not list(tmp_path.iterdir())


def test_a_film_without_its_library(tmp_path, monkeypatch):
    monkeypatch.setattr(films, "find_spec", lambda name: None)
    with refused(tmp_path / "film.mp4", "imageio", "ffmpeg", fix="pip install 'interplay[film]'"):
        films.write_film(tmp_path / "film.mp4", [], 4.0)


def test_an_mp4(tmp_path):
    imageio = pytest.importorskip("imageio.v2")
    pytest.importorskip("imageio_ffmpeg")
    task, players = players_of("kale")
    assert films.write_film(tmp_path / "film.mp4", frames(task.held_out, [players]), 4.0) == 6
    assert imageio.get_reader(tmp_path / "film.mp4").get_data(5).shape == (480, 640, 3)


def test_a_run_is_watched_from_python_and_the_command_line(tmp_path, capsys):
    run = ip.train(ip.market("kale", horizon=5), users="q-learning", items="rest", episodes=1, num_worlds=2,
                   eval_worlds=2, log_dir=tmp_path, name="run")
    before = run.evaluate(8).user_return
    assert run.watch(tmp_path / "a.gif", against="greedy") == tmp_path / "a.gif"
    assert run.evaluate(8).user_return == before
    with refused("dqn", fix=("greedy", "random")):
        run.watch(tmp_path / "b.gif", against="dqn")
    assert main(["watch", str(run.folder), "--against", "greedy", "--out", str(tmp_path / "c.gif")]) == 0
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "c.gif").read_bytes()


def test_tensorboard_has_the_market_at_its_end(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = ip.train(ip.market("kale", horizon=5), users="random", items="rest", episodes=1, num_worlds=2,
                   eval_worlds=2, log_dir=tmp_path)
    events = EventAccumulator(str(run.folder)).Reload()
    assert set(events.Tags()["images"]) == {"held-out world at its end", "learning curve"}
    picture = events.Images("held-out world at its end")[0]
    assert (picture.width, picture.height, picture.step) == (640, 480, 10)


def test_a_market_that_cannot_be_drawn_does_not_end_a_run(tmp_path, monkeypatch):
    def paint(scene, config):
        raise KeyError("ink")

    monkeypatch.setattr(finishing, "paint", paint)
    with pytest.warns(InterplayWarning, match="no picture of the market: KeyError: 'ink'"):
        run = ip.train(ip.market("kale", horizon=5), users="random", items="rest", episodes=1, num_worlds=2,
                       eval_worlds=2, log_dir=tmp_path)
    assert (run.folder / "results.json").is_file()
