"""Ranking without an order of ties, without scores that are not finite, and of what counts as taken."""

import csv
import itertools
import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from interplay.envs.data import make_log
from interplay.experiments.cli.main import main
from interplay.experiments.recommend import command, recommending
from interplay.experiments.recommend.recommending import Catalogue
from interplay.experiments.representation import fitting
from interplay.experiments.representation.baselines import ease, item_knn, popularity
from interplay.experiments.representation.ranking import interactions, make_trial, rank
from interplay.experiments.representation.settings import PretrainSettings
from refusals import assert_said, refused


def orders(scores):
    """Every order of the items, the highest score first."""
    return [order for order in itertools.permutations(range(len(scores)))
            if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))]


def of_order(order, held_out, k):
    """The figures of one list, by their definitions."""
    hit = np.array([item in held_out for item in order])
    places, discount, best = np.flatnonzero(hit[:k]), 1.0 / np.log2(np.arange(2, k + 2)), min(k, len(held_out))
    precise = sum(hit[:place + 1].mean() for place in places) / best
    first = 1.0 / (1 + hit.argmax()) if hit.any() else 0.0
    return [len(places) / len(held_out), len(places) / k, discount[places].sum() / discount[:best].sum(), precise,
            len(places) > 0, first]


def by_brute_force(scores, held_out, k):
    """Means over all orders of equal scores, and the chance of each item to be in no list."""
    figures, absent = [], np.ones(scores.shape[1])
    for row, own in zip(scores, held_out, strict=True):
        every = orders(row)
        figures.append(np.mean([of_order(order, set(np.flatnonzero(own)), k) for order in every], axis=0))
        absent *= 1.0 - np.mean([np.isin(np.arange(len(row)), order[:k]) for order in every], axis=0)
    return [*np.mean(figures, axis=0), 1.0 - absent.mean()]


def figures_of(ranking):
    return [*(estimate.mean for estimate in ranking[:-1]), ranking.coverage]


@pytest.mark.parametrize("seed", range(30))
def test_ties_count_as_the_mean_over_all_their_orders(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, rng.integers(1, 5), (3, 6)).astype(float)
    held_out = rng.random((3, 6)) < 0.4
    held_out[:, 0] |= ~held_out.any(1)
    k = int(rng.integers(1, 8))
    found = rank(lambda users: scores[users], csr_matrix((3, 6)), csr_matrix(held_out.astype(float)), k)
    assert figures_of(found) == pytest.approx(by_brute_force(scores, held_out, k))


@pytest.mark.parametrize("baseline", [popularity, item_knn, ease])
def test_another_numbering_of_items_changes_no_figure(baseline):
    """Rare items, of which many were met by the same users: their scores are equal."""
    rng = np.random.default_rng(0)
    chance = np.r_[np.full(10, 0.4), np.full(40, 0.02)]
    met = rng.random((60, 50)) < chance
    seen, held_out = met & (rng.random(met.shape) < 0.7), np.zeros_like(met)
    held_out = met & ~seen
    found = [rank(baseline(csr_matrix(seen[:, order].astype(float))), csr_matrix(seen[:, order].astype(float)),
                  csr_matrix(held_out[:, order].astype(float)))
             for order in (np.arange(50), *(rng.permutation(50) for _ in range(5)))]
    for other in found[1:]:
        assert figures_of(other) == pytest.approx(figures_of(found[0]), abs=1e-12)


def test_equal_scores_do_not_win():
    """One held-out item among 1,000 equals is first in 1 of 1,000 orders, with any number."""
    held_out = csr_matrix(([1.0], ([0], [0])), shape=(1, 1_000))
    found = rank(lambda users: np.zeros((1, 1_000)), csr_matrix((1, 1_000)), held_out, k=10)
    assert found.hit_rate.mean == pytest.approx(0.01)
    assert found.mrr.mean == pytest.approx((1.0 / np.arange(1, 1_001)).sum() / 1_000)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_scores_that_are_not_finite_have_no_rank(bad):
    scores = np.arange(10.0).reshape(2, 5)
    scores[1, 2] = bad
    with refused("scores", 1, 10, fix="learning rate"):
        rank(lambda users: scores[users], csr_matrix((2, 5)), csr_matrix(np.eye(2, 5)))


def some_log():
    """Items 7, 3 and 5 were met by two users each, 1 by three, and 9 only by user 0, who disliked it."""
    pairs = [(0, 9), (1, 7), (2, 7), (1, 3), (2, 3), (1, 5), (3, 5), (1, 1), (2, 1), (3, 1)]
    (users, items), rewards = zip(*pairs, strict=True), [item != 9 for _, item in pairs]
    return make_log(pl.DataFrame({"user": users, "item": items, "reward": np.array(rewards, float)}))


def test_equal_items_of_a_list_go_by_popularity_and_then_by_id():
    log = some_log()
    catalogue = Catalogue(log, log, "model", lambda users: np.zeros((len(users), 5)), np.ones(4, bool))
    assert [line.item for line in catalogue.lists(["0"], 4)] == ["1", "3", "5", "7"]


def test_what_is_not_above_makes_no_item_popular_but_is_met():
    log = some_log()
    settings = PretrainSettings(log=Path("some.csv"), liked_above=0.5)
    assert len(PretrainSettings().liked(log)) == 10
    assert len(settings.liked(log)) == len(replace(settings, liked_above=None, implicit_above=3.0).liked(log)) == 9
    known = np.array([False, True, True, True])
    catalogue = Catalogue(log, settings.liked(log), "model", lambda users: np.zeros((len(users), 5)), known)
    assert [line.item for line in catalogue.lists(["0"], 9)] == ["1", "3", "5", "7"]
    assert [line.score for line in catalogue.lists(["stranger"], 9)] == [3.0, 2.0, 2.0, 2.0, 0.0]


def test_lists_of_scores_that_are_not_finite_are_refused():
    log = some_log()
    catalogue = Catalogue(log, log, "model", lambda users: np.full((len(users), 5), np.nan), np.ones(4, bool))
    with refused("scores", 5):
        list(catalogue.lists(["0"], 3))


def stars(path):
    """Items 0 to 39 are always rated 5, 40 to 79 always 1; each of 60 users rates about a third of each."""
    rng = np.random.default_rng(0)
    rows = [(u, i, 5 if i < 40 else 1) for u in range(60) for i in range(80) if rng.random() < 0.3]
    path.write_text("user,item,reward\n" + "".join(f"{u},{i},{r}\n" for u, i, r in rows))
    return sum(reward == 5 for *_, reward in rows), len(rows)


@pytest.mark.parametrize("flag", ["--implicit-above", "--liked-above"])
def test_pairs_that_are_not_liked_are_in_no_training_baseline_figure_or_list(flag, tmp_path, capsys, monkeypatch):
    liked, count = stars(tmp_path / "stars.csv")
    trials, learnt = [], []
    for module in (command, fitting):
        monkeypatch.setattr(module, "make_trial", lambda *logs: trials.append(make_trial(*logs)) or trials[-1])
    fit = command.fit
    monkeypatch.setattr(command, "fit", lambda log, *rest: learnt.append(log) or fit(log, *rest))
    log = ["--log", str(tmp_path / "stars.csv"), "--log-dir", str(tmp_path), "--epochs", "30", "--patience", "10"]
    assert main(["pretrain", *log, "--name", "run", flag, "3"]) == 0
    assert f"liked    {liked:,} of {count:,} pairs" in capsys.readouterr().out
    assert len(trials) == 3, "strengths of baselines, epochs of two towers, and what is held out"
    for trial in trials:
        assert trial.liked[:, 40:].nnz == trial.wanted[:, 40:].nnz == 0
        assert trial.met[:, 40:].nnz > 0, "a disliked item was met, and is listed no more"
        assert trial.met.multiply(trial.wanted).nnz == 0
    assert learnt[0].pairs().key.size + trials[-1].wanted.nnz == liked
    assert main(["recommend", "--run", str(tmp_path / "run"), "-k", "8", "--format", "json"]) == 0
    lists = json.loads(capsys.readouterr().out)
    assert len(lists) == 60 * 8
    assert max(int(line["item"]) for line in lists) < 40


@pytest.mark.parametrize("flag", ["--implicit-above", "--liked-above"])
def test_what_is_not_liked_is_not_popular_in_lists_of_an_agent(flag, tmp_path):
    stars(tmp_path / "stars.csv")
    words = shlex.split("--users popularity --items rest --episodes 1 --num-worlds 1 --eval-worlds 1 --name run")
    log = ["--log", str(tmp_path / "stars.csv"), "--log-dir", str(tmp_path)]
    assert main(["train", *log, *words, flag, "3"]) == 0
    lists = list(recommending.catalogue_of(tmp_path / "run", False).lists(["a stranger"], 40))
    assert max(int(line.item) for line in lists) < 40


def test_both_thresholds_at_once_are_refused(tmp_path, capsys):
    stars(tmp_path / "stars.csv")
    assert main(["pretrain", "--log", str(tmp_path / "stars.csv"), "--liked-above", "3", "--implicit-above", "3"]) == 2
    assert_said(capsys.readouterr().err, "--liked-above", 3.0, "--implicit-above")


@pytest.mark.parametrize(("arguments", "named", "fix"), [
    (["--implicit-above", "3", "--scale-rewards", "log"], ["scale_rewards", "log", "implicit_above", 3], ()),
    (["--learning-rate", "nan"], ["learning_rate", "nan"], 0),
    (["--learning-rate", "inf"], ["learning_rate", "inf"], 0),
    (["--weight-decay", "nan"], ["weight_decay", "nan"], 0),
    *((["--learning-rate", "1e30", "--epochs", "20", *more], [], "learning rate") for more in (
        [], ["--task", "responses"], ["--encoder", "gru"], ["--batch-size", "9999"]))])
def test_a_training_that_diverges_ends_in_one_line(arguments, named, fix, tmp_path, capsys):
    stars(tmp_path / "stars.csv")
    log = ["--log", str(tmp_path / "stars.csv"), "--log-dir", str(tmp_path), "--name", "run", "--size", "8"]
    assert main(["pretrain", *log, "--no-baselines", *arguments]) == 2
    assert_said(capsys.readouterr().err, *named, fix=fix)
    assert not (tmp_path / "run" / "model.pt").exists()


def test_formulas_in_ids_are_escaped_on_request(tmp_path, capsys, monkeypatch):
    rows = [("=1+1", "@a"), ("=1+1", "-b"), ("u", "+c"), ("u", "@a"), ("v", "d|<e>")]
    users, items = zip(*rows, strict=True)
    log = make_log(pl.DataFrame({"user": users, "item": items, "reward": np.ones(len(rows))}))
    catalogue = Catalogue(log, log, "model", lambda n: -np.ones((len(n), 4)), np.ones(3, bool))
    monkeypatch.setattr(recommending, "catalogue_of", lambda *run: catalogue)

    def written(*arguments):
        assert main(["recommend", "--run", "x", "--user", "=1+1", *arguments]) == 0
        return capsys.readouterr().out

    plain, safe = (list(csv.reader(written("--format", "csv", *flag).splitlines()))[1:]
                   for flag in ((), ("--spreadsheet-safe",)))
    assert {(row[0], row[2]) for row in plain} == {("=1+1", "+c"), ("=1+1", "d|<e>")}
    assert {(row[0], row[2]) for row in safe} == {("'=1+1", "'+c"), ("'=1+1", "d|<e>")}
    assert [row[3] for row in safe] == [row[3] for row in plain], "numbers stay numbers"
    assert "d\\|&lt;e>" in written()
    assert main(["recommend", "--run", "x", "--spreadsheet-safe"]) == 2


def test_interactions_are_those_of_pairs():
    assert interactions(some_log()).nnz == 10
