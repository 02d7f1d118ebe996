"""Reproductions beside pricing: parts against code that is easy to read, and each study from end to end in small."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from interplay.experiments.common.reports import rendered
from interplay.experiments.studies.reproductions import arena, boredom, coaching, coat, satisfaction
from interplay.experiments.studies.reproductions.arena_market import Arena, Content, Learnt, Market, by_engagement, gini
from interplay.experiments.studies.reproductions.arena_nets import Episode, Learners, Stacked, clip_each
from interplay.experiments.studies.reproductions.boredom_sessions import (
    Boredom,
    Sessions,
    careful,
    catalogue,
    greedy,
    interests,
    returns,
)
from interplay.experiments.studies.reproductions.findings import beside, finding, findings_table, reached


def cells(table, row):
    return [cell.strip() for cell in table.splitlines()[2 + row].split("|")[1:-1]]


# What a table of findings says


def test_a_figure_is_reached_within_its_tolerance():
    rows = [finding("a", "near", [1.0, 1.2], 1.0, 0.2), finding("a", "far", [1.0, 1.2], 1.0, 0.05),
            finding("a", "alone", 3.25, digits=2)]
    assert [reached(row) for row in rows] == [True, False, None]
    table = findings_table(rows)
    assert cells(table, 0) == ["a", "near", "1.0 ± 0.2", "1.1 (1.0 to 1.2, n = 2)", "reached"]
    assert cells(table, 1)[-1] == "not reached"
    assert cells(table, 2) == ["a", "alone", "", "3.25 (exact)", ""]


def test_the_next_value_lies_beside_the_others_in_95_of_100_cases():
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((4_000, 9))
    inside = [abs(row[:8].mean() - row[8]) <= beside(row[:8].tolist()) for row in draws]
    true = [abs(row[:8].mean()) <= beside(row[:8].tolist(), of_one=False) for row in draws]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)
    assert np.mean(true) == pytest.approx(0.95, abs=0.015)
    assert beside([1.0]) == 0.0


# SARDINE


def slowly(rules, items, taste, slates, clicks):
    """Tastes and bored topics after each slate, of one user, as lists."""
    taste, bored, timer, log, found = taste.copy(), set(), {}, [], []
    for step, (slate, click) in enumerate(zip(slates, clicks, strict=True)):
        taken = [item for item, hit in zip(slate, click, strict=True) if hit]
        log = [*log, *((int(items[item].argmax()), step) for item in taken)][-rules.remembered:]
        counted = [topic for topic, when in log if when > step - rules.window]
        timer = {topic: timer[topic] - 1 for topic in bored}
        bored = {topic for topic in bored if timer[topic] > 0}
        for topic in set(counted):
            if counted.count(topic) >= rules.threshold and topic not in bored:
                bored, timer = bored | {topic}, timer | {topic: rules.window}
        if taken:
            mean = items[taken].mean(0) if not rules.averages_numbers else items[taken].mean()
            taste = 0.95 * taste + 0.05 * mean
            taste = taste / np.linalg.norm(taste)
        found.append((taste.copy(), set(bored)))
    return found


@pytest.mark.parametrize("slate_size", [1, 10])
@pytest.mark.parametrize("averages", [False, True])
def test_users_get_bored_and_are_influenced_as_one_after_the_other(slate_size, averages):
    rules = Boredom(slate_size=slate_size, num_items=40, averages_numbers=averages, slope=8.0, offset=0.3)
    items = catalogue(rules, np.random.default_rng(1))
    sessions = Sessions(rules, items, 6, np.random.default_rng(2))
    sessions._clicked[:] = False  # as if the first slate had not been shown
    before, slates, clicks, path = sessions.taste.copy(), [], [], []
    for _ in range(60):
        slate = greedy(sessions)
        clicks.append(sessions.show(slate))
        slates.append(slate)
        path.append((sessions.taste.copy(), sessions.bored.copy()))
    assert any(bored.any() for _, bored in path)
    for user in range(6):
        expected = slowly(rules, items, before[user], [s[user] for s in slates], [c[user] for c in clicks])
        for (taste, bored), (tastes, all_bored) in zip(expected, path, strict=True):
            np.testing.assert_allclose(tastes[user], taste, rtol=1e-12)
            assert set(np.flatnonzero(all_bored[user])) == bored


def test_catalogues_and_users_have_the_published_numbers_of_topics():
    rules, rng = Boredom(), np.random.default_rng(4)
    items, users = catalogue(rules, rng), interests(rules, 2_000, rng)
    assert set((items > 0).sum(1)) == {2, 3}
    assert set((users > 0).sum(1)) == {3, 4, 5}
    np.testing.assert_allclose(np.linalg.norm(items, axis=1), 1.0)
    np.testing.assert_allclose(np.linalg.norm(users, axis=1), 1.0)


def test_a_bored_user_clicks_on_nothing():
    rules = Boredom(slope=0.0)  # each item is clicked in half of the cases
    sessions = Sessions(rules, catalogue(rules, np.random.default_rng(1)), 50, np.random.default_rng(2))
    sessions.rules = replace(rules, slope=100.0)
    sessions.bored[:, 3] = True
    assert not sessions.scores().any()
    assert not sessions.show(greedy(sessions)).any()


@pytest.mark.parametrize("slate_size", [1, 10])
def test_careful_slates_bore_no_user_and_show_the_best_of_the_rest(slate_size):
    rules = Boredom(slate_size=slate_size, num_items=300)
    items = catalogue(rules, np.random.default_rng(5))
    sessions = Sessions(rules, items, 20, np.random.default_rng(6))
    for _ in range(30):
        slate, score = careful(sessions), sessions.scores()
        left = rules.threshold - 1 - sessions.counted
        shown = (sessions.topic[slate][:, :, None] == np.arange(10)).sum(1)
        assert (shown <= np.maximum(left, 0)).all()
        best = np.where(np.take_along_axis(left, sessions.topic[None].repeat(20, 0), 1) > 0, score, -1.0).max(1)
        np.testing.assert_allclose(np.take_along_axis(score, slate, 1)[:, 0], best)
        sessions.show(slate)
        assert not sessions.bored.any()


def test_greedy_users_of_single_items_are_bored_half_of_the_time():
    rules = Boredom(influence=0.0)
    found = returns(rules, greedy, catalogue(rules, np.random.default_rng(1)), 50, np.random.default_rng(2))
    assert found.mean() == pytest.approx(50.0, abs=2.0)


def test_the_study_of_boredom_writes_its_report_and_picture(tmp_path):
    said = boredom.study(boredom.BoredomSettings(tmp_path, catalogues=2, users=5))
    assert (tmp_path / "report.md").read_text() == said == rendered(tmp_path)
    assert (tmp_path / "clicks.png").stat().st_size > 1_000
    rows = json.loads((tmp_path / "report.json").read_text())["data"]["rows"]
    assert len(rows) == 12
    assert {row["published"] for row in rows} == {9.3, 50.7, 42.4, 147.2, None}


# Long-term satisfaction


@pytest.mark.slow
def test_the_study_of_satisfaction_writes_its_report_and_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(satisfaction, "PRESETS", ("lts",))
    said = satisfaction.study(satisfaction.SatisfactionSettings(tmp_path, seeds=2, episodes=1))
    assert (tmp_path / "report.md").read_text() == said == rendered(tmp_path)
    assert (tmp_path / "planning.png").stat().st_size > 1_000
    rows = json.loads((tmp_path / "report.json").read_text())["data"]["rows"]
    verdicts = {(row["where"], row["figure"]): reached(row) for row in rows if row["exact"]}
    assert verdicts["lts", "optimum"] is verdicts["lts", "greedy"] is True
    assert [len(row["values"]) for row in rows if not row["exact"]] == [2]


# StepCountJITAI


def test_nothing_that_was_published_is_above_what_can_be_reached():
    for (seen, noise), published in coaching.PUBLISHED.items():
        if noise in (0.0, 0.6):
            assert max(published) <= coaching.optimum(seen, noise)


def test_a_label_is_as_good_as_probabilities_where_both_are_sure_and_worse_elsewhere():
    assert coaching.optimum("label", 0.0) == pytest.approx(coaching.optimum("probability", 0.0), rel=1e-9)
    assert coaching.optimum("label", 0.8) < coaching.optimum("probability", 0.8) - 50.0


def test_the_study_of_coaching_writes_its_report_and_picture(tmp_path, monkeypatch):
    few = {key: value for key, value in coaching.PUBLISHED.items() if key[1] == 0.4}
    monkeypatch.setattr(coaching, "PUBLISHED", few)
    said = coaching.study(coaching.CoachingSettings(tmp_path, seeds=1, episodes=1))
    assert (tmp_path / "report.md").read_text() == said == rendered(tmp_path)
    assert (tmp_path / "returns.png").stat().st_size > 1_000


# Coat


def coat_folder(folder):
    """Ratings of 12 people and 15 coats, of which some pairs are in both parts."""
    rng = np.random.default_rng(6)
    folder.mkdir()
    for name, share in (("train", 0.5), ("test", 0.3)):
        np.savetxt(folder / f"{name}.ascii", rng.integers(1, 6, (12, 15)) * (rng.random((12, 15)) < share), fmt="%d")
    np.savetxt(folder / "propensities.ascii", 0.1 + 0.8 * rng.random((12, 15)))


def test_the_study_of_coat_writes_its_report_and_picture(tmp_path):
    coat_folder(tmp_path / "coat")
    out = tmp_path / "out"
    said = coat.study(coat.CoatSettings(data=tmp_path, out=out, seeds=1, sizes=(0,), ridges=(0.1, 100.0), folds=2))
    assert (out / "report.md").read_text() == said == rendered(out)
    assert (out / "errors.png").stat().st_size > 1_000
    data = json.loads((out / "report.json").read_text())["data"]
    assert 0 < data["shared"] < data["test"]
    assert [(row["part"], row["way"]) for row in data["fits"]] == [
        (part, way) for part in (coat.ALL, coat.DISJOINT) for way in ("naive", "IPS")]


def test_pairs_of_both_parts_have_smaller_errors_only_where_they_were_learnt(tmp_path):
    """A ridge so small learns each rating by heart."""
    coat_folder(tmp_path / "coat")
    coat.study(coat.CoatSettings(data=tmp_path, out=tmp_path / "out", seeds=1, sizes=(12,), ridges=(1e-3,), folds=2))
    fits = json.loads((tmp_path / "out" / "report.json").read_text())["data"]["fits"]
    test, train = (np.loadtxt(tmp_path / "coat" / f"{name}.ascii") for name in ("test", "train"))
    both = (test > 0) & (train > 0)
    by_heart = ((train - test)[both] ** 2).mean()
    found = {row["part"]: row["MSE of the shared pairs"] for row in fits if row["way"] == "naive"}
    assert found[coat.ALL] == pytest.approx(by_heart, rel=0.05)
    assert found[coat.DISJOINT] > 0.0


# recsim-arena


def test_gini_is_0_where_all_have_as_many_and_nears_1_where_one_has_all():
    clicks = torch.tensor([[5.0, 5.0, 5.0, 5.0], [0.0, 0.0, 0.0, 8.0], [1.0, 2.0, 3.0, 4.0]])
    assert gini(clicks).tolist() == pytest.approx([0.0, 0.75, 0.25])


def test_networks_side_by_side_are_as_networks_alone():
    chance = torch.Generator().manual_seed(0)
    nets = Stacked(3, (4, 5, 2), (1.0, 1.0), torch.tanh, chance)
    x = torch.randn(3, 7, 4)
    for k in range(3):
        hidden = torch.tanh(x[k] @ nets.weights[0][k] + nets.biases[0][k])
        torch.testing.assert_close(nets(x)[k], hidden @ nets.weights[1][k] + nets.biases[1][k])
    nets(x).square().sum().backward()
    grads = [p.grad.clone() for p in nets.parameters()]
    norms = torch.stack([g.flatten(1).square().sum(1) for g in grads]).sum(0).sqrt()
    most = float(norms.sort().values[1])
    clip_each(list(nets.parameters()), most)
    after = torch.stack([p.grad.flatten(1).square().sum(1) for p in nets.parameters()]).sum(0).sqrt()
    torch.testing.assert_close(after, norms.clamp(max=most), rtol=1e-4, atol=1e-4)


def test_learners_find_the_action_that_pays():
    """One state, one action: the reward is highest at tanh(raw) = .5."""
    learners = Learners(4, 3, 1, torch.Generator().manual_seed(1))
    learners._optimiser.param_groups[0]["lr"] = 1e-2
    seen = torch.ones(4, 64, 3)
    for _ in range(60):
        raw, log_prob, value = learners.act(seen)
        reward = -(raw[..., 0].tanh() - 0.5).square()
        learners.learn(Episode(seen, raw, log_prob, value, reward))
    mean, _, _ = learners._forward(seen[:, :1])
    assert mean.tanh().flatten().tolist() == pytest.approx([0.5] * 4, abs=0.2)


class Fixed:
    """A ranking model whose towers and scores are given."""

    def __init__(self, near, score):
        self.near, self.score = near, score

    def scores(self, users, creators, extra):
        return self.near, self.score


def test_the_gate_lets_quality_pass_and_fills_up_with_the_best_of_the_rest():
    near = torch.arange(20.0).flip(0).view(1, 1, 20)       # creators 0 to 9 are retrieved
    score = torch.arange(20.0).view(1, 1, 20)              # the higher the number, the better it is ranked
    quality = torch.full((1, 20), 0.2)
    quality[0, :3] = 0.9                                   # three pass
    bait = torch.full((1, 20), 0.5)
    bait[0, 7] = bait[0, 8] = 0.4                          # the best two of the rest
    content = Content(torch.zeros(1, 20, 16), quality, bait)
    plain = Learnt(Fixed(near, score), 5, gated=False)(torch.zeros(1, 1, 16), content)
    gated = Learnt(Fixed(near, score), 5, gated=True)(torch.zeros(1, 1, 16), content)
    assert sorted(plain.topk(5).indices.flatten().tolist()) == [5, 6, 7, 8, 9]
    assert sorted(gated.topk(5).indices.flatten().tolist()) == [0, 1, 2, 7, 8]


def test_a_round_pays_a_click_of_each_user_and_adds_its_bait_to_fatigue():
    market = Market(Arena(users=8, creators=6, size=4, slate=2), 3, lambda chance: by_engagement(), seed=1)
    content = market._content(torch.rand(3, 6, 6) * 2.0 - 1.0)
    torch.testing.assert_close(content.vector.norm(dim=2), torch.ones(3, 6))
    clicks, fatigue = market._round(content, torch.full((3, 8), 2.0))
    assert clicks.sum(1).tolist() == [8.0] * 3
    consumed = (fatigue - 0.95 * 2.0).sum(1)
    torch.testing.assert_close(consumed, (clicks * content.bait).sum(1))
    relevance = (market.taste @ content.vector.transpose(1, 2)) + 0.5 * content.bait.unsqueeze(1)
    shown = torch.zeros(3, 6).scatter_(1, relevance.topk(2, dim=2).indices.flatten(1), 1.0)
    assert not clicks[shown == 0.0].any()


def test_the_study_of_the_arena_writes_its_report_and_picture_and_keeps_what_was_played(tmp_path, monkeypatch):
    settings = arena.ArenaSettings(tmp_path, sessions=3, sessions_of_others=2, episodes=2, episodes_of_temperatures=1,
                                   rounds=12)
    said = arena.study(settings)
    assert (tmp_path / "report.md").read_text() == said == rendered(tmp_path)
    assert (tmp_path / "creators.png").stat().st_size > 1_000
    rows = json.loads((tmp_path / "report.json").read_text())["data"]["rows"]
    assert [row["episode"] for row in rows if row["of"]["name"] == "M1"] == [[0, 1]]
    assert {row["of"]["name"] for row in rows if len(row["gini"][0]) == 3} == {"M1", "by chance", "M1, temperature 1"}
    assert len(rows) == 9
    assert all(claim in said for claim in ("H1, ", "of 3 sessions", "H2, ", "of 2 sessions", "H3, ", "H4, "))
    monkeypatch.setattr(arena, "_played", lambda ranking, of: pytest.fail("it has been played"))
    assert arena.study(settings) == said
