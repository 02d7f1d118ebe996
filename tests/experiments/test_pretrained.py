"""What was learnt from a log is used: markets with its vectors, and lists by what agents made of them."""

import json
from dataclasses import replace

import numpy as np
import polars
import pytest
import torch

from interplay.agents import Setting
from interplay.agents.shared_critic import SharedCriticAgent, SharedCriticOptions
from interplay.envs.behaviour.logged import LoggedBehaviour, logged_market_config
from interplay.envs.data import make_log
from interplay.envs.data.population import Vectors
from interplay.envs.market import Market
from interplay.experiments.benchmark.command import BenchmarkSettings, planned
from interplay.experiments.cli.main import main
from interplay.experiments.loop.run import Run
from interplay.experiments.recommend.preferences import Preferences
from interplay.experiments.representation.fitting import fit
from interplay.experiments.representation.pretrained import Saved
from interplay.experiments.representation.recipe import Recipe
from refusals import assert_said, refused

USERS, ITEMS = 24, 18


def tastes():
    """Each user rates 9 items, those of its own half highly."""
    generator = np.random.default_rng(0)
    rows = [{"user": u, "item": i, "reward": 5.0 if i % 2 == u % 2 else 1.0 + float(i % 3)}
            for u in range(USERS) for i in generator.permutation(ITEMS)[:9]]
    return polars.DataFrame(rows)


def pretrain(folder, *arguments):
    return main(["pretrain", "--log", str(folder / "log.csv"), "--size", "4", "--epochs", "4", "--batch-size", "8",
                 "--no-baselines", "--log-dir", str(folder), *arguments])


def train(folder, *arguments):
    return main(["train", "--log", str(folder / "log.csv"), "--episodes", "1", "--eval-worlds", "1", "--items", "rest",
                 "--users", "dqn,warm_up=100,batch_size=16", "--market", "horizon=6", "--log-dir", str(folder),
                 *arguments])


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A log, a run of pretrain on it, and a run of train with its vectors."""
    folder = tmp_path_factory.mktemp("home")
    tastes().write_csv(folder / "log.csv")
    assert pretrain(folder, "--name", "towers") == 0
    assert train(folder, "--encoder", str(folder / "towers"), "--name", "run") == 0
    return folder


def orders(scores):
    return np.argsort(-scores, axis=1, kind="stable")


@pytest.mark.parametrize(("task", "encoder"), [("ranking", "mlp"), ("ranking", "gru"), ("responses", "mlp")])
def test_the_markets_vectors_rank_as_the_towers_do(task, encoder):
    log = make_log(tastes())
    fitted = fit(log, Recipe(task=task, encoder=encoder, size=8, epochs=3, batch_size=8), 3.0)
    vectors, scores = fitted.vectors(), fitted.scores(np.arange(USERS))
    product = vectors.user_vector @ vectors.item_vector.T + vectors.item_bias
    np.testing.assert_allclose(product, scores, atol=1e-5)
    population = LoggedBehaviour(log, log, logged_market_config(log, embedding_size=9),
                             vectors=vectors).populate(torch.zeros(1, 2, dtype=torch.int32))
    ranked = (population.user_vector[0].double() @ population.item_vector[0].double().T).numpy()
    # Ties of the market's float32 may fall otherwise: what it ranks first is as good by the towers.
    best = np.take_along_axis(scores, orders(ranked), 1)
    np.testing.assert_allclose(best, -np.sort(-scores, axis=1), atol=1e-4)
    assert torch.allclose(population.user_vector.norm(dim=2), torch.ones(1, USERS))


def test_what_ranks_by_no_product_gives_no_vectors():
    fitted = fit(make_log(tastes()), Recipe(scorer="concatenation", size=4, epochs=1), 3.0)
    with refused("scorer", "concatenation", fix="--scorer hadamard"):
        fitted.vectors()


def test_vectors_change_what_agents_see_and_nothing_that_they_are_paid():
    log = make_log(tastes())
    generator = np.random.default_rng(1)
    vectors = Vectors(generator.normal(size=(USERS, 3)), generator.normal(size=(ITEMS, 3)), np.zeros(ITEMS))
    plain = LoggedBehaviour(log, log, logged_market_config(log), "impute")
    other = LoggedBehaviour(log, log, logged_market_config(log, embedding_size=4), "impute", vectors=vectors)
    everything = torch.arange(ITEMS).expand(1, USERS, ITEMS)
    states = [Market(logged_market_config(log, embedding_size=d), b).reset([0]) for d, b in ((16, plain), (4, other))]
    paid = [b.response(state, everything, torch.zeros(1)) for b, state in zip((plain, other), states, strict=True)]
    assert torch.equal(*paid)
    assert states[1].population.item_vector.shape == (1, ITEMS, 4)


@pytest.mark.parametrize(("size", "rows", "named"), [
    (5, ITEMS, ["embedding_size", 5, 4]), (4, ITEMS - 1, ["24 users", "17 items", 24, 18])])
def test_vectors_that_do_not_fit_are_refused(size, rows, named):
    log = make_log(tastes())
    vectors = Vectors(np.ones((USERS, 3)), np.ones((rows, 3)), np.ones(rows))
    with refused("vectors", *named):
        LoggedBehaviour(log, log, logged_market_config(log, embedding_size=size), vectors=vectors)


def test_a_run_with_an_encoder_is_loaded_and_goes_on_with_it(home, capsys):
    config = json.loads((home / "run" / "config.json").read_text())
    assert config["encoder"] == str((home / "towers").resolve())
    run = Run.load(home / "run")
    assert run.task.market.config.embedding_size == 5
    vectors = Saved.load(home / "towers").on(run.task.parts.train).vectors()
    taste = run.now.state.population.user_vector[0, :, :-1]
    length = np.linalg.norm(vectors.user_vector, axis=1)
    cosine = (taste * torch.from_numpy(vectors.user_vector)).sum(1) / taste.norm(dim=1) / torch.from_numpy(length)
    assert torch.allclose(cosine, torch.ones(USERS).double(), atol=1e-5)
    found = json.loads((home / "run" / "results.json").read_text())
    assert found["preset"] == "log+towers"
    capsys.readouterr()
    assert main(["evaluate", str(home / "run")]) == 0
    assert f"| {found['evaluation']['user_return']['mean']:.3f}" in capsys.readouterr().out
    assert main(["train", "--resume", str(home / "run")]) == 0
    assert "vectors    from" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "named"), [
    (["--held-out", "0.3"], ["encoder", "held_out=0.2", 0.3]), (["--seed", "1"], ["encoder", "seed=0", 1]),
    (["--implicit-above", "3"], ["encoder", "implicit_above=None", 3.0]),
    (["--market", "embedding_size=16"], ["embedding_size=16", 5]), (["--encoder", "nowhere"], ["nowhere", "pretrain"])])
def test_towers_that_saw_other_rows_are_refused(arguments, named, home, capsys):
    assert train(home, "--encoder", str(home / "towers"), *arguments) == 2
    assert_said(capsys.readouterr().err, *named)


def test_a_log_that_has_changed_is_noticed(tmp_path, capsys):
    tastes().write_csv(tmp_path / "log.csv")
    assert pretrain(tmp_path, "--name", "towers") == 0
    tastes().with_columns(polars.col("reward").reverse()).write_csv(tmp_path / "log.csv")
    assert train(tmp_path, "--encoder", str(tmp_path / "towers")) == 2
    assert_said(capsys.readouterr().err, "encoder", tmp_path / "towers", "log", fix="pretrain")


def test_an_encoder_needs_its_log(capsys):
    assert main(["train", "--preset", "kale", "--encoder", "runs/films"]) == 2
    assert_said(capsys.readouterr().err, "--encoder", "runs/films", fix="--log")


def test_a_benchmark_plays_a_log_with_and_without_the_vectors_of_each_seed(home, tmp_path):
    assert pretrain(home, "--seeds", "2", "--held-out", "0.25", "--name", "seeds") == 0
    settings = BenchmarkSettings(log=home / "log.csv", encoder=home / "seeds", held_out=0.25, agents=("dqn",), seeds=2,
                                 workers=1, out=tmp_path)
    jobs = planned(settings.checked())
    assert [job.name for job in jobs] == ["log-dqn-s0", "log-dqn-s1", "log+seeds-dqn-s0", "log+seeds-dqn-s1"]
    assert [job.encoder for job in jobs] == [None, None, home / "seeds", home / "seeds"]
    assert {job.held_out for job in jobs} == {0.25}
    for job in jobs[2:]:
        run = Run.start(replace(job, episodes=1), tmp_path)
        own = Saved.load(home / "seeds" / f"s{job.seed}").on(run.task.parts.train).vectors()
        assert np.array_equal(run.task.pretrained.vectors().item_vector, own.item_vector)
    with refused("encoder", home / "seeds", "0, 1", 2, fix="--seeds 3"):
        planned(replace(settings, seeds=3).checked())


def recommended(run, capsys, *arguments):
    capsys.readouterr()
    assert main(["recommend", "--run", str(run), "--format", "json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_an_agents_lists_are_what_it_scores_highest_of_what_is_new(home, capsys):
    lines = recommended(home / "run", capsys, "--user", "3", "7", "-k", "4")
    assert [(line["user"], line["rank"], line["source"]) for line in lines] == [
        (user, rank, "agent") for user in ("3", "7") for rank in range(1, 5)]
    run = Run.load(home / "run")
    all_users = run.task.market.observe_all(run.task.market.reset([0]), torch.arange(USERS))
    values = run.players["users"].scores(all_users)[0, :, 1:]
    for user in (3, 7):
        met = tastes().filter(polars.col("user") == user)["item"].to_list()
        values[user, met] = -torch.inf
        best = values[user].topk(4)
        mine = [line for line in lines if line["user"] == str(user)]
        assert [int(line["item"]) for line in mine] == best.indices.tolist()
        assert [line["score"] for line in mine] == pytest.approx(best.values.tolist(), rel=1e-4)


def test_each_user_gets_an_agents_list_and_strangers_what_is_popular(home, capsys):
    lines = recommended(home / "run", capsys, "-k", "2")
    assert len(lines) == USERS * 2
    assert {line["source"] for line in lines} == {"agent"}
    stranger = recommended(home / "run", capsys, "--user", "unknown", "-k", "1")[0]
    count = np.bincount(tastes()["item"].to_numpy())
    assert (stranger["source"], stranger["item"]) == ("popularity", str(int(count.argmax())))


def test_a_user_that_has_held_out_rows_alone_gets_what_is_popular_and_new(tmp_path, capsys):
    """By time, the newest row of all is held out: that of a user who has no other."""
    rows = tastes().with_row_index("time")
    count = np.bincount(rows["item"].to_numpy())
    late = polars.DataFrame({"time": [9999], "user": [99], "item": [int(count.argmax())], "reward": [3.0]})
    polars.concat([rows.with_columns(polars.col("time").cast(polars.Int64)), late.select(rows.columns)]).write_csv(
        tmp_path / "log.csv")
    assert train(tmp_path, "--time-column", "time", "--split", "global-time", "--users", "popularity", "--name",
                 "run") == 0
    line = recommended(tmp_path / "run", capsys, "--user", "99", "-k", "1")[0]
    assert line["source"] == "popularity"
    assert count[int(line["item"])] == sorted(count)[-2]
    assert int(line["item"]) != int(count.argmax())


def test_users_are_scored_alike_alone_and_together(home):
    agent = Preferences.load(home / "run")
    together = agent.scores(np.arange(USERS))
    np.testing.assert_allclose(agent.scores(np.array([5, 2])), together[[5, 2]], rtol=1e-5)


def test_all_items_are_seen_as_a_platform_sees_its_candidates():
    log = make_log(tastes())
    config = logged_market_config(log)
    market = Market(config, LoggedBehaviour(log, log, config, "zero"))
    state = market.reset([0, 1])
    chosen = torch.tensor([4, 1])
    some, whole = market.observe_all(state, chosen), market.observe(state, "platform")
    for name in ("own", "options", "mask", "ids"):
        assert torch.equal(getattr(some, name), getattr(whole, name)[:, chosen]), name


@pytest.mark.parametrize(("arguments", "named", "fix"), [
    (["--preset", "kale", "--users", "q-learning"], ["kale"], "train --log"),
    (["--log", "LOG", "--users", "greedy"], ["greedy"], ("dqn", "Agent.scores")),
    (["--log", "LOG", "--users", "q-learning,fit_steps=999"], ["q-learning", 999], "fit_steps")])
def test_runs_that_can_give_no_lists_are_refused(arguments, named, fix, home, tmp_path, capsys):
    words = [str(home / "log.csv") if word == "LOG" else word for word in arguments]
    assert main(["train", *words, "--items", "rest", "--episodes", "1", "--eval-worlds", "1", "--num-worlds", "1",
                 "--log-dir", str(tmp_path), "--name", "run"]) == 0
    assert main(["recommend", "--run", str(tmp_path / "run")]) == 2
    assert_said(capsys.readouterr().err, *named, fix=fix)


@pytest.mark.parametrize("agent", [
    "matrix-factorisation", "linucb", "linear-thompson", "beta-bernoulli", "pqn", "shared-critic", "ippo",
    "q-learning,fit_steps=3,num_kinds=2,num_clusters=2", "dqn,sharing=independent"])
def test_every_learner_of_a_log_gives_lists(agent, home, tmp_path, capsys):
    assert train(home, "--users", agent, "--log-dir", str(tmp_path), "--name", "run") == 0
    lines = recommended(tmp_path / "run", capsys, "--user", "5", "11", "-k", "3")
    assert [line["source"] for line in lines] == ["agent"] * 6
    scores = [line["score"] for line in lines]
    assert scores[:3] == sorted(scores[:3], reverse=True)


@pytest.mark.parametrize("encoder", ["cnn", "gru", "transformer"])
def test_a_shared_critic_starts_as_the_towers_left_off(encoder):
    """It reads a history as they did, before it sees more of it, and has their vectors of items."""
    log = make_log(tastes())
    fitted = fit(log, Recipe(encoder=encoder, size=4, history_length=5, epochs=1, batch_size=8), 3.0)
    config = logged_market_config(log, history_length=5)
    market = Market(config, LoggedBehaviour(log, log, config))
    agent = SharedCriticAgent(market.specs, Setting(), SharedCriticOptions(encoder=encoder, hidden=4, embed_ids=True))
    before = market.reset([0])
    assert agent.warm_start(fitted.pretrained()) == "its item vectors: taken; its history encoder: taken"
    assert torch.equal(agent.online.towers._id.weight, fitted.model.items())
    assert all(torch.equal(one, other) for one, other in zip(agent.online.parameters(), agent.target.parameters(),
                                                             strict=True))
    liked = torch.rand(1, USERS, 5, generator=torch.Generator().manual_seed(0)).round()
    taken = torch.arange(USERS * 5).view(1, USERS, 5) % ITEMS + 1
    seen = market.observe(replace(before, taken=taken, responses=liked), "users")
    theirs = fitted.model.history_encoder(torch.stack([torch.ones_like(liked), liked], dim=-1), taken)
    own = agent.online.towers._encoder(seen.history, seen.history_ids)
    assert bool((theirs != 0.0).any())
    torch.testing.assert_close(own, theirs)


@pytest.mark.parametrize(("encoder", "options", "market", "message"), [
    ("gru", "embed_ids=true,hidden=4", "history_length=3", "its item vectors: taken; its history encoder: taken"),
    ("gru", "embed_ids=true,hidden=4", "horizon=3",
     "vectors: taken; its history encoder: not taken, since the market keeps no histories: --market history_length=50"),
    ("gru", "embed_ids=true,hidden=8", "history_length=3", "its item vectors: not taken, which takes embed_ids=true "
     "and hidden=4; its history encoder: not taken, which takes encoder=gru, embed_ids=true and hidden=4"),
    ("gru", "embed_ids=true,hidden=4,encoder=cnn", "history_length=3", "which takes encoder=gru, embed_ids=true and"),
    ("mlp", "embed_ids=true,hidden=4", "history_length=3", "not taken, since it adds up what was met in no order"),
    ("transformer", "embed_ids=true,hidden=4,encoder=transformer", "history_length=51",
     "not taken, which takes --market history_length=50 at most")])
def test_what_a_shared_critic_takes_is_said(encoder, options, market, message, home, tmp_path, capsys):
    assert pretrain(home, "--encoder", encoder, "--log-dir", str(tmp_path), "--epochs", "1", "--name", "towers") == 0
    agent = f"shared-critic,{options},warm_up=100,batch_size=16"
    assert train(home, "--encoder", str(tmp_path / "towers"), "--users", agent, "--market", market,
                 "--log-dir", str(tmp_path), "--name", "run") == 0
    printed = capsys.readouterr().out
    assert message in next(line for line in printed.splitlines() if line.startswith("shared-critic starts from the"))
    assert main(["evaluate", str(tmp_path / "run")]) == 0
