"""Users of one run with items of another."""

import pytest

import interplay as ip
from interplay.experiments.cli.main import main
from interplay.experiments.evaluate.crossplay import cross_play, loaded
from refusals import refused

SMALL = {"episodes": 1, "num_worlds": 2, "eval_worlds": 4}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Users that take the first slot or nothing, with items that rest or boost."""
    folder = tmp_path_factory.mktemp("runs")
    market = ip.market("contest", horizon=10)
    return [ip.train(market, users=users, items=items, name=f"{users}-{items}", log_dir=folder, **SMALL).folder
            for users, items in (("first", "rest"), ("rest", "greedy"))]


def test_the_diagonal_is_what_each_run_earns(folders):
    found = cross_play(*loaded(folders))
    for place, folder in enumerate(folders):
        score = ip.load(folder).evaluate(4)
        assert found.users[place, place] == score.user_return.mean
        assert found.items[place, place] == score.item_return.mean
    assert found.names == ("first-rest", "rest-greedy")
    assert found.users[0, 1] > 0.0 == found.users[1, 0]
    assert found.items[0, 0] > found.items[0, 1] > found.items[1, 1]  # boosts cost the same but for nothing


def test_the_command_prints_and_draws(folders, tmp_path, capsys):
    picture = tmp_path / "matrix.png"
    assert main(["crossplay", *map(str, folders), "--out", str(picture)]) == 0
    said = capsys.readouterr().out
    assert "Return of all users" in said
    assert said.count("| first-rest") == 4
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_runs_that_cannot_be_mixed_are_refused(folders, tmp_path):
    other = ip.train(ip.market("contest", horizon=9), users="first", items="rest", log_dir=tmp_path, **SMALL)
    with refused(other.folder.name, "first-rest", fix="one market"):
        cross_play(*loaded([folders[0], other.folder]))
    with refused(1, fix="two"):
        cross_play(*loaded(folders[:1]))
    feed = ip.train(ip.market("feed", horizon=4), platform="random", log_dir=tmp_path, **SMALL)
    with refused(feed.folder.name, "platform"):
        cross_play(*loaded([feed.folder, feed.folder]))
