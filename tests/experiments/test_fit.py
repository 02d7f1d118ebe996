"""``interplay fit``: each part by hand or on data whose law is known, and the commands that take what it writes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import interplay as ip
from interplay.envs.data import InteractionLog, split_log
from interplay.envs.mechanisms.visits import AT_LOWEST
from interplay.envs.presets import find_preset
from interplay.envs.presets.folders import MARKET, FittedPreset, save_preset
from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import rendered
from interplay.experiments.fit import carrying, taking
from interplay.experiments.fit.choosing import clearly, fit_responses
from interplay.experiments.fit.fitting import fit_log
from interplay.experiments.fit.people import plausible_responses
from interplay.experiments.fit.rows import rows_of
from interplay.experiments.fit.visiting import fit_hazard, fit_visits
from refusals import assert_said, refused

USERS, ITEMS = 40, 12


def made_log(seed=0, steps=8, gap=60.0):
    """Users who take items without repeats by taste and popularity, and like what suits them."""
    rng = np.random.default_rng(seed)
    taste, vector, appeal = rng.normal(size=(USERS, 2)), rng.normal(size=(ITEMS, 2)), rng.normal(size=ITEMS)
    user, item, reward, time = [], [], [], []
    for u in range(USERS):
        score = taste[u] @ vector.T + appeal
        for number, i in enumerate(np.argsort(-(score + rng.gumbel(size=ITEMS)))[:rng.integers(2, steps)]):
            user.append(u)
            item.append(int(i))
            reward.append(float(np.clip(np.round(3 + score[i] + rng.logistic()), 1, 5)))
            time.append(u * 1e6 + number * gap + (9000.0 if number >= 3 else 0.0))
    return InteractionLog(np.array(user), np.array(item), np.array(reward, dtype=np.float32), tuple(range(USERS)),
                          tuple(range(ITEMS)), (1.0, 5.0), time=np.array(time))


def test_rows_are_in_the_order_of_each_user_with_sessions_and_their_past():
    log = InteractionLog(np.array([1, 0, 1, 1]), np.array([0, 1, 2, 0]), np.array([1, 2, 3, 5], dtype=np.float32),
                         ("a", "b", "c"), (7, 8, 9), (1.0, 5.0), time=np.array([50.0, 0.0, 10.0, 5000.0]))
    rows = rows_of(log, gap=1800.0)
    assert rows.user.tolist() == [0, 1, 1, 1]
    assert rows.item.tolist() == [1, 2, 0, 0]
    assert rows.people.tolist() == [0, 1]
    assert rows.session.tolist() == [0, 1, 1, 2]
    assert rows.first.tolist() == [True, True, True, False]
    assert rows.open_end.tolist() == [False, True]
    assert rows.past is not None
    assert rows.past.gap[2:].tolist() == [1.0, 3.0]  # the session before is two steps of absence away
    assert (rows.past.gap[:2] >= 1e4).all()  # nothing came before
    assert rows.stay.tolist() == [1, 1, 2, 1]
    assert rows.ends.tolist() == [-1, 0, 1, -1]


def clocked(*times):
    """Rows of two users, the first of whom comes at these seconds; a step takes a second, a session ends after 4."""
    user = np.array([0] * len(times) + [1] * 40)
    time = np.r_[times, np.arange(20.0), 1000.0 + np.arange(20.0)]
    log = InteractionLog(user, np.zeros(len(user), dtype=np.int64), np.ones(len(user), dtype=np.float32), (0, 1), (0,),
                         (0.0, 1.0), time=time)
    return rows_of(log, 4.0, 1.0)


def test_a_clock_counts_the_steps_of_sessions_and_absences():
    rows = clocked(0.0, 2.0, 12.0, 1000.0)
    assert rows.stay[:4].tolist() == [1, 3, 1, 1]
    assert rows.past is not None
    assert rows.past.gap[1:4].tolist() == [2.0, 10.0, 988.0]
    assert rows.ends[:4].tolist() == [0, 1, 1, -1]
    assert rows.absent[:3].tolist() == [0.0, 6.0, 3.0]  # the second is cut off by the log's interruption at 19
    assert rows.returned[:3].tolist() == [False, True, False]
    assert fit_visits(rows, 0).return_rate == pytest.approx(2.0 / 11.0)


def test_a_session_that_reaches_an_interruption_is_not_over():
    rows = clocked(16.0, 18.0, 1000.0)
    assert rows.ends[:3].tolist() == [0, -1, -1]
    assert rows.ends[-21] == -1


def test_all_rows_of_some_users_are_held_out():
    log = made_log()
    train, held_out = split_log(log, 0.25, "users", seed=3)
    assert len(np.unique(held_out.user)) == USERS // 4
    assert not set(train.user) & set(held_out.user)
    assert len(train) + len(held_out) == len(log)


def brute_force(scores, rate, rows):
    """The log-likelihood of rows in their order, one after the other."""
    total = 0.0
    for u in range(rows.num_users):
        weight = np.exp(scores[u])
        for i in rows.item[rows.user == u]:
            total += np.log(weight[i] / weight.sum())
            if weight[i] == np.exp(scores[u, i]):
                weight[i] *= rate
    return total


@pytest.mark.parametrize("rate", [0.0, 0.4, 3.0])
def test_the_likelihood_of_takes_is_that_of_draws_without_what_was_taken(rate):
    log = made_log()
    if rate > 0.0:
        log = InteractionLog(np.r_[log.user, log.user], np.r_[log.item, log.item], np.r_[log.reward, log.reward],
                             log.user_ids, log.item_ids, log.reward_range)
    rows = rows_of(log, 1800.0)
    scores = torch.randn(USERS, ITEMS, generator=torch.Generator().manual_seed(1))
    (_, (chunk,)) = taking._chunks(rows)
    found = taking._in_order(scores, torch.tensor(rate), chunk).sum()
    assert float(found) == pytest.approx(brute_force(scores.double().numpy(), rate, rows), rel=1e-5)


def test_an_item_whose_weight_is_0_in_float64_is_not_likely():
    """After all that is likely was taken, 0 / 0 would count as infinitely likely."""
    rows = taking._Chunk(*(torch.tensor(column) for column in ([0, 0], [0, 1], [True, True], [0, 1], [True, True],
                                                               [0, 0])))
    scores = torch.tensor([[0.0, -1000.0, -1100.0]], requires_grad=True)
    found = taking._in_order(scores, torch.zeros(()), rows).sum()
    assert -1000.0 < float(found.detach()) <= 0.0
    (slope,) = torch.autograd.grad(found, scores)
    assert bool(torch.isfinite(slope).all())
    assert float(slope[0, 1]) >= 0.0


def slates_of_two(shares=(0.5, 0.3, 0.2)):
    """Users who take the later item of a slate of two, whose first items have these shares."""
    rng = np.random.default_rng(3)
    slate = np.array([rng.choice(3, 2, replace=False, p=shares) for _ in range(40 * USERS)])
    item = slate.max(1)
    return InteractionLog(np.repeat(np.arange(USERS), 40), item, (item == 2).astype(np.float32), tuple(range(USERS)),
                          (0, 1, 2), (0.0, 1.0), time=np.arange(len(item)) * 60.0, shown=slate[:, 0])


def shares_of(fitted):
    return torch.softmax(fitted.takes.scores(slice(None)), 1).mean(0)


def test_slates_say_what_users_are_shown_however_they_choose():
    log = slates_of_two()
    assert shares_of(fit_log(log, "shown", 1800.0, 0)).tolist() == pytest.approx([0.5, 0.3, 0.2], abs=0.07)
    unknown = replace(log, shown=np.full(len(log), -1))
    taken, alone = (shares_of(fit_log(each, "taken", 1800.0, 0)) for each in (unknown, replace(log, shown=None)))
    assert taken.tolist() == pytest.approx(alone.tolist(), abs=1e-4)
    assert float(taken[2]) > 0.4


def test_what_is_shown_is_new_until_its_user_has_taken_it():
    log = InteractionLog(np.array([0, 0, 0, 1]), np.array([1, 0, 1, 1]), np.ones(4, dtype=np.float32), (0, 1),
                         (0, 1, 2), (0.0, 1.0), time=np.arange(4.0), shown=np.array([1, 1, 2, 0]))
    rows = rows_of(log, 1800.0)
    assert rows.offered.tolist() == [1, 1, 2, 0]
    assert rows.offered_new.tolist() == [True, False, True, True]
    assert rows.first.tolist() == [True, True, False, True]


def test_cuts_and_effects_are_found_again():
    rng = np.random.default_rng(1)
    users, items, cuts = 60, 16, np.array([-1.0, 0.5])
    bias = rng.normal(size=items)
    user, item = np.divmod(np.arange(users * items), items)
    place = (cuts < (bias[item] + rng.logistic(size=len(item)))[:, None]).sum(1)
    log = InteractionLog(user, item, np.array([0.0, 0.5, 1.0], dtype=np.float32)[place], tuple(range(users)),
                         tuple(range(items)), (0.0, 1.0))
    model = fit_responses(rows_of(log, 1.0), torch.ones(items, 1), (0.1,), seed=0)
    assert np.abs(model.item_bias.numpy() - model.cuts.numpy()[0] - (bias - cuts[0])).mean() < 0.25
    assert float(model.cuts.diff()) == pytest.approx(1.5, abs=0.25)


@pytest.mark.slow
def test_the_mood_is_found_where_there_is_one_and_only_there():
    rng = np.random.default_rng(2)
    user, item, reward = np.repeat(np.arange(20), 60), rng.integers(0, 4, 1200), np.zeros(1200)
    for weight in (0.0, 2.0):
        mood = 0.0
        for row in range(1200):
            mood = 0.0 if row % 60 == 0 else mood
            reward[row] = float(rng.random() < 1.0 / (1.0 + np.exp(1.5 * (weight > 0) - weight * mood)))
            mood = 0.5 * mood + reward[row]
        log = InteractionLog(user, item, reward.astype(np.float32), tuple(range(20)), tuple(range(4)), (0.0, 1.0),
                             time=np.arange(1200.0))
        found = fit_responses(rows_of(log, 1800.0), torch.ones(4, 1), (0.1,), seed=0).carry
        assert found.has_mood == (weight > 0.0)
    assert float(found.item_effect(4).mean()) == pytest.approx(2.0, rel=0.4)


def test_satiation_counts_the_topics_of_earlier_rows():
    topics = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    log = InteractionLog(np.zeros(3, dtype=np.int64), np.array([0, 1, 0]), np.array([1, 1, 1], dtype=np.float32),
                         (0,), (0, 1), (0.0, 1.0), time=np.arange(3.0))
    rows = rows_of(log, 1800.0)
    assert rows.past is not None
    carry = carrying.Carry(has_satiation=True, raw_satiation_decay=torch.logit(torch.tensor(0.5 / 0.99)),
                           raw_recovery=torch.tensor(-40.0),
                           raw_satiation=torch.tensor(0.5413249))  # a decay of a half, a weight of 1
    found = carrying.History.of(rows.past, topics).carried(carry)
    assert found.shift.tolist() == pytest.approx([0.0, 0.0, -0.5])


def leavers(steps=40, users=60):
    """Users who take items of effects 1 and -1 on their mood by chance, and leave when it is -3."""
    rng, rows = np.random.default_rng(4), []
    for u in range(users):
        mood, time = 0.0, 0
        while time < 12 * steps:
            item = int(rng.integers(2))
            rows.append((u, item, float(rng.random() < 1.0 / (1.0 + np.exp(-1.0 - 0.5 * mood))), time))
            mood = 0.9 * mood + rows[-1][2] * (1.0 - 2.0 * item)
            left = mood < -3.0
            mood, time = (0.0, time + 30) if left else (mood, time + 1)
    user, item, reward, time = (np.array(column) for column in zip(*rows, strict=True))
    return InteractionLog(user, item, reward.astype(np.float32), tuple(range(users)), (0, 1), (0.0, 1.0),
                          time=time.astype(np.float64))


def test_fits_of_leaving_begin_where_users_in_a_neutral_mood_stay():
    mood = torch.linspace(-3.0, 2.0, 1001)
    found = carrying.leavings(carrying.Carry(has_mood=True), mood, (0.1, 0.2))
    assert [float(carry.bound) for carry in found] == pytest.approx([3.0, 2.995, 2.95], abs=1e-3)
    for carry in found:
        assert float(torch.sigmoid(AT_LOWEST - carry.slope * carry.bound)) < 1e-3
        assert torch.sigmoid(carry.raw_hazard).tolist() == pytest.approx([0.1, 0.2])


@pytest.mark.slow
def test_a_mood_at_which_users_leave_is_found_and_plays_its_part_in_the_market():
    fitted = fit_log(leavers(), "leavers", 10.0, 0, 1.0)
    carry = fitted.responses.carry
    assert carry.leaves
    first, second = carry.item_effect(2).tolist()
    assert first > 0.2
    assert second < -0.2
    visits = next(m for m in fitted.preset.config.mechanisms if m.name == "visits")
    mood = next(m for m in fitted.preset.config.mechanisms if m.name == "mood")
    assert mood.max == visits.lowest_mood == pytest.approx(3.0, rel=0.4)
    assert mood.decay == pytest.approx(0.9, abs=0.06)
    assert visits.mood_slope > 1.0


def test_gains_are_clear_only_beyond_the_chance_of_users():
    user = np.repeat(np.arange(10), 5)
    assert clearly(torch.ones(50), user)
    assert not clearly(torch.ones(50), np.zeros(50, dtype=np.int64))
    assert not clearly(torch.from_numpy(np.where(user == 3, 5.0, -0.1)), user)


def test_hazards_of_lengths_are_those_of_their_bins():
    length = np.repeat([1, 2, 3, 4], [50, 25, 12, 13])
    hazard = fit_hazard(length, length > 0, 1, prior=1e-9)
    assert hazard.rate.tolist() == pytest.approx([0.5, 0.5, 25 / 38])
    found = hazard.log_likelihood(np.array([1, 3, 3]), np.array([True, True, False]))
    last = 25 / 38
    assert found.tolist() == pytest.approx(np.log([0.5, 0.25 * last, 0.25 * (1 - last)]).tolist())


def test_slices_have_the_mean_of_the_distribution():
    length = np.random.default_rng(0).geometric(0.05, 4000)
    found = fit_hazard(length, length > 0, 0).slices(64)
    assert (np.diff(found) >= 0.0).all()
    assert found.mean() == pytest.approx(20.0, rel=0.05)
    assert found[-1] == pytest.approx(np.sort(length)[-62:].mean(), rel=0.15)


def test_equal_lengths_stay_equal():
    rows = rows_of(made_log(steps=3), 1800.0)
    assert set(rows.lifetimes) == {2}
    found = fit_visits(rows, 0).activity.slices(16)
    assert np.allclose(found[:-1], 2.0, atol=0.05)
    assert found[-1] < 3.0  # a user's last session is not over when the log ends


@pytest.fixture(scope="module")
def rows():
    """Without times, so that nothing carries over, which takes most of a fit."""
    return rows_of(replace(made_log(), time=None), 1800.0)


@pytest.fixture(scope="module")
def likeliest(rows):
    return fit_responses(rows, torch.ones(ITEMS, 1), (0.1,), seed=0)


def test_plausible_people_differ_more_than_the_likeliest(rows, likeliest):
    drawn = plausible_responses(likeliest, rows, torch.Generator().manual_seed(0))
    assert drawn.user_bias.var() > likeliest.user_bias.var()
    assert torch.equal(drawn.item_bias, likeliest.item_bias)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A market that was fitted by the command, with its log."""
    path, log = tmp_path_factory.mktemp("fit"), made_log()
    lines = [f"u{u},i{i},{r:g},{t:.0f}" for u, i, r, t in zip(log.user, log.item, log.reward, log.time, strict=True)]
    (path / "log.csv").write_text("\n".join(["user,item,reward,time", *lines]) + "\n", encoding="utf-8")
    assert main(["fit", str(path / "log.csv"), "--out", str(path / "market")]) == 0
    return path


def test_the_report_follows_from_its_rows(folder):
    market = folder / "market"
    assert (market / "report.md").read_text(encoding="utf-8") == rendered(market)
    parts = [row["part"] for row in json.loads((market / "report.json").read_text(encoding="utf-8"))["data"]["rows"]]
    assert parts == ["what users take", "repeats", "how users respond", "mood", "satiation", "who comes how often",
                     "how long sessions are"]


def test_a_folder_is_a_preset(folder, capsys):
    preset = find_preset(str(folder / "market"))
    assert isinstance(preset, FittedPreset)
    assert preset.name == "market"
    state = preset.market(num_users=3).reset([0])
    assert state.population.item_vector.shape[1] == ITEMS
    assert ip.market(preset).settings["preset"] == str(folder / "market")


def test_fits_of_one_seed_are_equal(folder):
    again = ip.fit(folder / "log.csv", folder / "again")
    first, second = (preset.market().reset([0, 1]) for preset in (find_preset(str(folder / "market")), again))
    assert all(torch.equal(a, b) for a, b in zip(first.tensors(), second.tensors(), strict=True))


def test_commands_take_the_folder(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    small = ["--episodes", "1", "--num-worlds", "1", "--eval-worlds", "1", "--market", "horizon=3"]
    assert main(["train", "--preset", "market", "--name", "run", *small]) == 0
    assert main(["fidelity", "--preset", "market", "--resamples", "20", "--out", "like"]) == 0
    out = capsys.readouterr().out
    assert "compared with the log's 8 users that are held out" in out
    assert "0 skips" in out
    monkeypatch.chdir("/")  # the run knows where its market is
    assert main(["recommend", "--run", str(folder / "runs" / "run"), "-k", "2", "--format", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 2 * USERS
    assert sum(line.split(",")[5] == "popularity" for line in lines[1:]) == 2 * 8  # who is held out


@pytest.mark.slow
def test_fitted_markets_are_compared_and_watched(folder, monkeypatch):
    monkeypatch.chdir(folder)
    short = ["--seeds", "1", "--scale", "0.03", "--market", "horizon=4", "--workers", "1", "--keep-checkpoints"]
    agents = ["--agents", "dqn,warm_up=8,batch_size=8"]
    assert main(["benchmark", "--presets", "market", *agents, *short, "--out", "compared"]) == 0
    report = (folder / "compared" / "report.md").read_text(encoding="utf-8")
    assert "## market" in report
    assert "popularity" in report
    (run,) = (path for path in (folder / "compared" / "runs").iterdir() if path.is_dir())
    assert main(["watch", str(run), "--out", "film.gif"]) == 0
    assert (folder / "film.gif").read_bytes().startswith(b"GIF8")


def test_what_cannot_be_fitted_is_said_in_a_line(folder, capsys, tmp_path):
    assert main(["fit"]) == 2
    assert_said(capsys.readouterr().err, "fit", "log", fix="file")
    (tmp_path / "market.pt").write_bytes(b"no market")
    assert main(["train", "--preset", str(tmp_path)]) == 2
    assert_said(capsys.readouterr().err, tmp_path / "market.pt", fix="fit")


def test_a_sample_of_the_catalogue_stands_for_all_of_it(monkeypatch, rows, likeliest):
    takes = taking._start(rows, torch.ones(ITEMS, 1), likeliest, 2, 1.0, 0)

    def sums(sample):
        monkeypatch.setattr(taking, "_SAMPLE", sample)
        users, chunks = taking._sampled(rows)
        totals = [taking._weights(takes.scores(some, own.items), own)[2]
                  for some, own in zip(users, chunks, strict=True)]
        return torch.cat(totals), [own.log_count.exp().sum() for own in chunks]

    full, _ = sums(1000)
    some, counts = sums(4)
    assert [float(count) for count in counts] == pytest.approx([ITEMS] * len(counts))
    assert float((some.log() - full.log()).abs().mean()) < 0.2


def test_a_preset_that_cannot_be_written_leaves_the_older_one(tmp_path, monkeypatch):
    fitted = fit_log(made_log(steps=3), "fitted", 1800.0, 0)
    save_preset(tmp_path, fitted.preset, fitted.tables)
    before = (tmp_path / MARKET).read_bytes()

    def full(state, path):
        path.write_bytes(b"a part")
        raise RuntimeError("no space left\non the disk")

    monkeypatch.setattr(torch, "save", full)
    with refused(tmp_path, "no space left"):
        save_preset(tmp_path, fitted.preset, fitted.tables)
    assert (tmp_path / MARKET).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [MARKET]
