"""Pictures of worlds: what is seen on them, and that looking changes nothing."""

import os
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from interplay.envs import market_v0
from interplay.envs.drawing.canvas import Canvas
from interplay.envs.drawing.colours import HIGH, IDLE, ITEMS, LOW
from interplay.envs.drawing.picture import Bars
from interplay.envs.mechanisms import Mechanism, mechanisms
from interplay.envs.noise import Stream, any_of
from interplay.envs.pictures import window
from interplay.envs.pictures.frame import paint
from interplay.envs.pictures.layout import Box, _moved_apart, place
from interplay.envs.pictures.scene import Scene
from interplay.envs.presets import find_preset, presets
from interplay.envs.recommend_v0 import RecommendEnv, RecommendVectorEnv
from interplay.envs.types import SIDES
from refusals import refused

BOX = Box(8, 30, 446, 384)


def played(preset, steps, seed=1, worlds=(0,), **changes):
    """A market after some random steps, the last of them, and what each earned."""
    market = find_preset(preset).market(**changes)
    state, step, earned = market.reset(list(worlds), seed), None, []
    for _ in range(steps):
        users, items = (market.observe(state, side).mask for side in SIDES)
        state, step = market.step(state, any_of(state.key, state.time, Stream.ACTION, users),
                                  any_of(state.key, state.time, Stream.ACTION, items, offset=users[0].numel()))
        earned.append((float(step.user_own[0].sum()), float(step.item_own[0].sum())))
    return market, state, step, earned


def scene_of(preset, steps=0, world=0, **options):
    market, state, step, earned = played(preset, steps, **options)
    return market, Scene.of_world(world, state, step, earned, market.config.horizon, market.name)


def picture_of(preset, steps=0, **options):
    market, scene = scene_of(preset, steps, **options)
    return paint(scene, market.config)


def share(picture, colour, left=0, right=440):
    """The part of the map that has this colour."""
    return float((np.abs(picture[30:384, left:right].astype(int) - colour).max(2) < 6).mean())


@pytest.mark.parametrize("preset", sorted(presets()))
def test_every_preset_has_pictures_that_change_and_come_again(preset):
    first, later = picture_of(preset), picture_of(preset, 3)
    for picture in (first, later):
        assert picture.shape == (480, 640, 3)
        assert picture.dtype == np.uint8
    assert not np.array_equal(first, later)
    assert np.array_equal(later, picture_of(preset, 3))
    assert not np.array_equal(later, picture_of(preset, 3, seed=2))


def test_a_world_of_a_batch_looks_as_it_does_alone():
    market, alone = scene_of("town", 4, worlds=[7])
    _, batch = scene_of("town", 4, worlds=[3, 7], world=1)
    assert np.array_equal(paint(alone, market.config), paint(batch._replace(earned=alone.earned), market.config))


def test_painting_leaves_the_world_as_it_was():
    market, state, step, earned = played("town", 5)
    before = [table.clone() for table in (*state.tensors(), *step.tensors())]
    paint(Scene.of_world(0, state, step, earned, 100, "town"), market.config)
    assert all(torch.equal(old, new) for old, new in zip(before, (*state.tensors(), *step.tensors()), strict=True))


def test_responses_are_colours():
    market, scene = scene_of("viability", 1)
    colours = {}
    for value, colour in ((0.0, LOW), (1.0, HIGH)):
        step = replace(scene.step, response=torch.full((1, 4), value), position=torch.ones(1, 4, dtype=torch.int64))
        colours[value] = [share(paint(scene._replace(step=step), market.config), each) for each in (LOW, HIGH, IDLE)]
        assert colours[value][(LOW, HIGH).index(colour)] > 0.01
    assert max(colours[0.0][1], colours[1.0][0], colours[0.0][2], colours[1.0][2]) < 0.001


def test_the_absent_are_hollow():
    market, scene = scene_of("viability")
    here, gone = (paint(scene._replace(state=replace(scene.state, active=flag.expand(1, 4), alive=flag.expand(1, 2))),
                        market.config) for flag in (torch.tensor(True), torch.tensor(False)))
    for colour in (IDLE, ITEMS):
        assert share(here, colour) > 4 * share(gone, colour)


def test_crowds_are_densities():
    """No lines, however many users; items that are few stay marks."""
    crowd, few = (picture_of("town", 3, num_users=count) for count in (500, 150))
    assert len(np.unique(crowd[30:384, :440].reshape(-1, 3), axis=0)) > 2 * len(
        np.unique(few[30:384, :440].reshape(-1, 3), axis=0))
    assert share(crowd, ITEMS) > 0.001
    assert picture_of("town", 2, num_users=20, num_items=400).shape == (480, 640, 3)


def test_vectors_of_two_numbers_are_places():
    _, state, *_ = played("town", 0, embedding_size=2)
    places, vectors = place(state, BOX), state.population.item_vector[0].double().numpy()
    moved, wanted = places.items - places.items[0], (vectors - vectors[0]) * [1, -1]
    scale = moved[1] / wanted[1]
    np.testing.assert_allclose(scale[0], scale[1])
    np.testing.assert_allclose(moved, wanted * scale, atol=1e-6)
    assert scale[0] > 0


def test_points_that_are_pushed_into_one_corner_stay_there() -> None:
    """They had no distance, and divided by it."""
    moved = _moved_apart(np.zeros((90, 2)).tobytes(), 900.0, BOX)
    assert np.isfinite(moved).all()
    assert len(np.unique(moved, axis=0)) < 90


def test_places_are_the_principal_components_and_stay_in_an_episode():
    _, state, *_ = played("town", 0, drift={"rate": 0.0, "noise": 0.0})
    _, later, *_ = played("town", 5, drift={"rate": 0.0, "noise": 0.0})
    places, after = place(state, BOX), place(later, BOX)
    np.testing.assert_array_equal(places.users, after.users)
    np.testing.assert_array_equal(places.items, after.items)
    both = np.concatenate([table[0].double().numpy() for table in (state.user_vector, state.population.item_vector)])
    _, _, axes = np.linalg.svd(both - both.mean(0))
    expected = both @ axes[0]
    assert abs(np.corrcoef(np.concatenate([places.users, places.items])[:, 0], expected)[0, 1]) > 0.95
    for x, y in np.concatenate([places.users, places.items]):
        assert BOX.left <= x <= BOX.right
        assert BOX.top <= y <= BOX.bottom


def test_marks_of_a_town_hardly_cover_each_other():
    for seed in range(3):
        _, state, *_ = played("town", 0, seed=seed)
        places = place(state, BOX)
        both = np.concatenate([places.users, places.items])
        gaps = np.linalg.norm(both[:, None] - both[None], axis=2) + np.eye(len(both)) * 1e9
        assert np.median(gaps.min(1)) > 12.0
        assert gaps.min() > 4.0


@dataclass(frozen=True)
class Painted(Mechanism):
    """Has a bar, labels, a note and a mark of its own."""

    def draw(self, picture, state):
        picture.bar("items", "painted", torch.full_like(state["energy"], 0.5), colour=(1, 2, 3))
        picture.label("users", ["somebody"] * state.active.shape[1])
        picture.note("a note")
        picture.canvas.disc((20.0, 370.0), 8.0, (255, 0, 255))


def test_a_mechanism_draws_its_part():
    plain, painted = picture_of("contest"), picture_of("contest", mechanisms=(Painted(),))
    assert share(painted, (255, 0, 255)) > share(plain, (255, 0, 255)) == 0.0
    assert share(painted, (1, 2, 3)) > 0.0
    assert not np.array_equal(plain[:, 462:], painted[:, 462:])


SEEN_ANYWAY = {"clock", "drift"}
"""The title has the time, and users stand where their tastes are."""


@pytest.mark.parametrize(("name", "preset", "changes"), [
    ("coaching", "coach", {}), ("crowding", "pigou", {}), ("crowding", "funds", {}), ("tutoring", "tutor", {}),
    ("tutoring", "tutor-fsrs", {}), ("satisfaction", "lts", {}), ("wearout", "town", {}),
    ("repeats", "town", {"repeats": {"rate": 0.5}})])
def test_mechanisms_draw_what_cannot_be_seen_otherwise(name, preset, changes, monkeypatch):
    shown = picture_of(preset, 2, **changes)
    monkeypatch.setattr(mechanisms()[name], "draw", Mechanism.draw)
    hidden = picture_of(preset, 2, **changes)
    assert not np.array_equal(shown[:, 462:], hidden[:, 462:])
    assert not np.array_equal(shown[:, :440], hidden[:, :440])


def test_no_mechanism_is_left_out_of_pictures():
    assert {name for name, kind in mechanisms().items() if kind.draw is Mechanism.draw} == SEEN_ANYWAY


def test_messages_of_a_coach_say_what_they_are_for(monkeypatch):
    words = []
    monkeypatch.setattr(Canvas, "text", lambda canvas, at, text, *rest: words.append(text))
    picture_of("coach")
    assert {"item 0 generic", "item 1 for context 0", "item 2 for context 1"} <= set(words)


@pytest.mark.parametrize(("call", "named"), [
    (lambda picture: picture.bar("items", "price", torch.ones(2, 4)), ["price", 8, "4 items"]),
    (lambda picture: picture.label("users", ["ann"]), ["label", 1, "64 users"]),
    (lambda picture: picture.bar("item", "price", torch.ones(1, 4)), ["side", "item"])])
def test_wrong_parts_of_a_picture_are_explained(call, named):
    @dataclass(frozen=True)
    class Wrong(Mechanism):
        def draw(self, picture, state):
            call(picture)

    with refused(*named):
        picture_of("contest", mechanisms=(Wrong(),))


def test_the_example_shows_its_prices(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "examples"))
    from price import Price

    assert not np.array_equal(picture_of("town"), picture_of("town", mechanisms=(Price(),)))


def test_a_line_of_returns_goes_up():
    market, scene = scene_of("contest", 20)
    low, high = (paint(scene._replace(earned=[(each, 0.0)] * 20, limits=(0.0, 20.0)), market.config)
                 for each in (0.0, 1.0))
    rows = [np.flatnonzero((np.abs(picture[404:476, 12:545].astype(int) - (0, 114, 178)).max(2) < 40).any(1)).min()
            for picture in (low, high)]
    assert rows[1] < rows[0] - 30


def test_half_a_bar_below_zero():
    bars = Bars("mood", np.zeros(1), -4.0, 4.0, HIGH)
    assert bars.ends(-2.0) == (0.25, 0.5)
    assert bars.ends(9.0) == (0.5, 1.0)
    assert bars.colour_of(-2.0) == LOW
    assert Bars("boost", np.zeros(1), 1.0, 3.0, HIGH).ends(2.0) == (0.0, 0.5)


def test_edges_are_smooth():
    canvas = Canvas(20, 20)
    canvas.disc((10, 10), 6, (0, 0, 0))
    assert len(np.unique(canvas.array())) > 2


FACADES: dict[str, Any] = {"market_v0": market_v0.parallel_env, "recommend_v0": RecommendEnv}


@pytest.mark.parametrize("make", FACADES.values(), ids=FACADES)
def test_facades_give_pictures_and_go_on_as_without(make):
    rewards = []
    for mode in ("rgb_array", None):
        env = make("town", num_users=6, num_items=5, horizon=9, render_mode=mode)
        env.reset(seed=3)
        pictures, total = [env.render()], []
        for _ in range(9):
            total.append(env.step(1 if make is RecommendEnv else dict.fromkeys(env.agents, 1))[1])
            pictures.append(env.render())
        rewards.append(total)
        if mode is None:
            assert pictures == [None] * 10
        else:
            assert all(picture.shape == (480, 640, 3) and picture.dtype == np.uint8 for picture in pictures)
            assert all(not np.array_equal(a, b) for a, b in pairwise(pictures))
            env.reset(seed=3)
            assert np.array_equal(env.render(), pictures[0])
    assert rewards[0] == rewards[1]


def test_every_world_of_a_vector_environment_has_its_picture():
    batch = RecommendVectorEnv(2, "kale", horizon=3, render_mode="rgb_array")
    batch.reset(seed=0)
    first = batch.render()
    for _ in range(3):
        batch.step(np.array([1, 2]))
    assert not np.array_equal(*batch.render())
    batch.step(np.array([1, 2]))  # starts the next episode
    fresh = batch.render()
    assert np.array_equal(fresh[0], first[0])  # kale is the same in every world
    alone = RecommendEnv("kale", horizon=3, render_mode="rgb_array")
    alone.reset(seed=0)
    assert np.array_equal(alone.render(), first[0])


def test_a_window_needs_pygame(monkeypatch):
    monkeypatch.setattr(window, "find_spec", lambda name: None)
    for make in (*FACADES.values(), market_v0.env):
        with refused("render_mode", "human", "pygame", fix="pip install 'interplay[window]'"):
            make("kale", render_mode="human")


@pytest.fixture
def screen(monkeypatch):
    """A screen that nobody sees."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    return pytest.importorskip("pygame")


@pytest.mark.parametrize("make", FACADES.values(), ids=FACADES)
def test_a_window_shows_each_step(make, screen, monkeypatch):
    seen = []
    show = window.show
    monkeypatch.setattr(window, "show", lambda picture, *rest: seen.append(picture) or show(picture, title="", fps=1e6))
    env = make("kale", render_mode="human")
    env.reset(seed=0)
    for _ in range(2):
        env.step(1 if make is RecommendEnv else dict.fromkeys(env.agents, 1))
    assert env.render() is None
    assert len(seen) == 3
    assert not np.array_equal(seen[0], seen[1])
    assert np.array_equal(screen.surfarray.array3d(screen.display.get_surface()).swapaxes(0, 1), seen[2])
    env.close()
    assert not screen.display.get_init()


def test_gymnasium_shows_pictures_in_its_own_window(screen):
    env = gymnasium.wrappers.HumanRendering(gymnasium.make("interplay/Recommend-v0", preset="kale",
                                                           render_mode="rgb_array"))
    env.metadata["render_fps"] = 1000
    env.reset(seed=0)
    env.step(1)
    env.close()


def test_gymnasium_records_videos(tmp_path):
    pytest.importorskip("moviepy")
    inner = gymnasium.make("interplay/Recommend-v0", preset="kale", horizon=4, render_mode="rgb_array")
    env = gymnasium.wrappers.RecordVideo(inner, str(tmp_path / "videos"), disable_logger=True)
    env.reset(seed=0)
    for _ in range(4):
        env.step(1)
    env.close()
    assert os.listdir(tmp_path / "videos") == ["rl-video-episode-0.mp4"]
