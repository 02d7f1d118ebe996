"""Pictures in which every agent can be told from the others."""

from collections import Counter

import numpy as np
import pytest

from interplay.experiments.benchmark import plots
from interplay.experiments.benchmark.curves import CURVES
from interplay.experiments.benchmark.plots import looks_of, plot_folders
from interplay.experiments.benchmark.scores import Row, write_rows
from interplay.experiments.common.pictures import Picture

AGENTS = [f"shared-critic,encoder=transformer,hidden={k}" for k in range(18)]
PANELS = {"town": AGENTS[:5] + AGENTS[10:14], "kale": AGENTS[4:11], "feed": AGENTS[9:]}


def drawn(panel):
    """Colour and marker of each line that stands for an agent."""
    return [(line.get_color(), line.get_marker()) for line in panel.get_lines() if line.get_marker() != "None"]


@pytest.fixture
def figures(tmp_path, monkeypatch):
    """Both pictures of a benchmark with 18 agents, 2 baselines and 3 seeds."""
    rows = [Row(market, agent, "learner", seed, "user_return", "rest", {"score": 10.0 * k + seed})
            for market, agents in PANELS.items() for k, agent in enumerate(agents) for seed in range(3)]
    rows += [Row(market, agent, "baseline", 0, "user_return", "rest", {"score": 1.0})
             for market in PANELS for agent in ("random", "greedy")]
    write_rows(rows, tmp_path / "scores.csv")
    lines = [f'{market},"{agent}",{seed},{step},{step * k}' for market, agents in PANELS.items()
             for k, agent in enumerate(agents) for seed in range(3) for step in (1, 2, 3)]
    (tmp_path / CURVES).write_text("\n".join(["market,agent,seed,env_steps,score", *lines]) + "\n")
    kept, write = [], Picture.write
    monkeypatch.setattr(Picture, "write", lambda figure, path: (kept.append(figure), write(figure, path))[1])
    plot_folders([tmp_path], tmp_path)
    return kept


def test_no_two_agents_of_a_panel_have_one_look_or_colour(figures):
    for figure in figures:
        for panel, agents in zip(figure.axes, PANELS.values(), strict=False):
            looks = drawn(panel)
            assert len(looks) >= len(agents)
            assert max(Counter(looks).values()) == 1
            colours = [colour for colour, _ in looks if colour != plots._GREY]
            assert max(Counter(colours).values()) == 1


def test_the_legend_lies_within_the_picture(figures):
    (legend,) = figures[1].legends
    box, page = legend.get_window_extent(), figures[1].bbox
    assert page.x0 <= box.x0 < box.x1 <= page.x1
    assert page.y0 <= box.y0 < box.y1 <= page.y1
    assert len(legend.get_texts()) == 18


def test_a_long_name_lies_within_the_legend_of_one_panel():
    name = "ippo,hidden=64,num_epochs=4,rollout_length=25,num_minibatches=4,learning_rate=0.001"
    figure = plots.curves_picture([Row("town", name, "learner", 0, "user_return", "rest", {"score": 1.0})],
                                  {("town", name): [(np.arange(3.0), np.arange(3.0))]}, ())
    figure.canvas.draw()
    box, page = figure.legends[0].get_window_extent(), figure.bbox
    assert page.x0 <= box.x0 < box.x1 <= page.x1


def test_more_agents_than_colours_still_have_looks_of_their_own():
    looks = looks_of([[f"a{k}" for k in range(60)]], ["random", "greedy"])
    assert len(set(looks.values())) == 62
