"""Targets of a logged market: each kind by hand, unbiased over logs where they claim it, and never what is played."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from interplay.agents import Setting, find_agent
from interplay.envs.behaviour.logged import LoggedBehaviour, logged_market_config
from interplay.envs.data import fit_factors, make_log
from interplay.envs.data.propensity import pair_weights, popularity_propensity, row_propensity, thinned
from interplay.envs.market import Market
from interplay.experiments.loop.play import iterate, look
from interplay.experiments.loop.players import Players
from refusals import refused

PROPENSITY = np.array([0.5, 0.25, 1.0, 0.1])


def some_log(propensity=PROPENSITY):
    """Two users, three items, four of six pairs."""
    log = make_log(pl.DataFrame({"user": [0, 0, 1, 1], "item": [0, 1, 1, 2], "reward": [1.0, 0.0, 0.5, 1.0]}))
    return replace(log, propensity=propensity)


def market(targets, missing="zero", log=None, clip=np.inf, **changes):
    log = some_log() if log is None else log
    config = logged_market_config(log, slate_size=3, embedding_size=2, num_segments=1, horizon=4, **changes)
    return Market(config, LoggedBehaviour(log, log, config, missing, targets=targets, clip=clip))


def all_pairs(made, shift=0.0, took=True, bias=1.0):
    """Targets of every pair, as if each were taken in a world of its own: worlds are items, ``[I, U]``."""
    num_users, num_items = shape = made.config.num_users, made.config.num_items
    items = torch.arange(num_items).unsqueeze(1).expand(num_items, num_users)
    state = made.reset([0])
    full = torch.full(shape[::-1], shift)
    response = made.behaviour.response(state, items.unsqueeze(2), full.unsqueeze(2)).squeeze(2) * bias * took
    return made.behaviour.targets(items, torch.full_like(items, took, dtype=torch.bool), response, full,
                                  torch.full_like(full, bias)), response


LOGGED = torch.tensor([[True, False], [True, True], [False, True]])
REWARD = torch.tensor([[1.0, 0.0], [0.0, 0.5], [0.0, 1.0]])
INVERSE = torch.tensor([[2.0, 0.0], [4.0, 1.0], [0.0, 10.0]])


def guesses(log, weight=None):
    user, item = np.indices((2, 3))
    found = fit_factors(log, 1, weight=weight).predict(user.ravel(), item.ravel()).clip(0.0, 1.0).reshape(2, 3)
    return torch.from_numpy(found.T).float()


def test_actual_responses_are_no_targets_of_their_own():
    assert not market("actual").behaviour.has_targets
    assert market("replay").behaviour.has_targets


def test_replay_knows_the_logged_pairs_alone():
    targets, _ = all_pairs(market("replay"))
    assert torch.equal(targets.valid, LOGGED)
    assert torch.equal(targets.reward, REWARD)
    assert torch.equal(targets.weight, LOGGED.float())


def test_inverse_propensities_weigh_the_same_with_mean_one():
    targets, _ = all_pairs(market("ips"))
    assert torch.equal(targets.valid, LOGGED)
    assert torch.allclose(targets.weight, INVERSE / 4.25)
    assert targets.weight[LOGGED].mean().item() == pytest.approx(1.0)
    clipped, _ = all_pairs(market("ips", clip=4.0))
    assert torch.allclose(clipped.weight, INVERSE.clamp(max=4.0) / 2.75)
    skipped, _ = all_pairs(market("ips"), took=False)
    assert skipped.valid.all()
    assert torch.allclose(skipped.weight, torch.full((3, 2), 1.0 / 4.25))  # certain


def test_guesses_stand_where_nothing_is_known():
    targets, _ = all_pairs(market("imputed"))
    assert targets.valid.all()
    assert torch.allclose(targets.reward, torch.where(LOGGED, REWARD, guesses(some_log())), atol=1e-6)


def test_doubly_robust_targets_are_corrected_guesses_of_a_model_without_the_pair():
    log = some_log()
    item, user = torch.arange(3).unsqueeze(1), torch.arange(2)
    seen = [log.take((log.user + log.item) % 4 != fold, "of a fold") for fold in range(4)]
    guess = torch.stack([guesses(part, 1.0 / part.propensity) for part in seen])[(item + user) % 4, item, user]
    for missing in ("zero", "impute"):
        targets, _ = all_pairs(market("doubly-robust", missing))
        assert torch.allclose(targets.reward, guess + INVERSE * (REWARD - guess), atol=1e-4)
        assert targets.valid.all()
        assert (targets.weight == 1.0).all()
    skipped, _ = all_pairs(market("doubly-robust"), took=False)
    assert not skipped.reward.any()


def test_guesses_move_with_states_and_positions_as_responses_do():
    plain, _ = all_pairs(market("imputed"))
    moved, response = all_pairs(market("imputed"), shift=-1.0, bias=0.5)
    expected = 0.5 * torch.sigmoid(torch.logit(plain.reward.clamp(0.01, 0.99)) - 1.0)
    assert torch.allclose(moved.reward, expected, atol=1e-6)
    assert torch.equal(moved.reward[LOGGED], response[LOGGED])


@pytest.mark.slow
def test_they_are_right_in_the_mean_over_logs():
    """A world that logs each pair with its propensity: IPS and doubly robust sums are the truth's, replay's is not."""
    rng = np.random.default_rng(0)
    user, item = (axis.ravel() for axis in np.indices((4, 5)))
    reward = rng.random(20)
    chance = 0.2 + 0.7 * reward  # what is liked is logged
    frame = pl.DataFrame({"user": user, "item": item, "reward": reward})
    whole = replace(make_log(frame), propensity=chance, reward_range=(0.0, 1.0))
    found = {name: [] for name in ("replay", "ips", "doubly-robust")}
    for _ in range(100):
        log = whole.take(rng.random(20) < chance, "not logged")
        for name, values in found.items():
            made = market(name, log=log)
            targets, _ = all_pairs(made)
            scale = made.behaviour.weights.weight.mean() if name == "ips" else 1.0
            values.append(scale * targets.mean() if name != "replay" else targets.normalised_mean())
    mean = {name: np.mean(values) for name, values in found.items()}
    assert mean["ips"] == pytest.approx(reward.mean(), abs=0.03)
    assert mean["doubly-robust"] == pytest.approx(reward.mean(), abs=0.03)
    assert mean["replay"] > reward.mean() + 0.05


def test_worlds_go_on_by_responses_for_all_targets():
    """The same actions, the same states, steps and evaluations; other targets."""
    found = {}
    for targets in ("actual", "replay", "imputed", "ips", "doubly-robust"):
        made = market(targets, satiation={"weight": 0.5, "gain": 1.0})
        transitions = []
        setting = Setting(total_steps=4)
        users, items = (find_agent(name)(made.specs[side], setting) for name, side in (("first", "users"),
                                                                                      ("rest", "items")))
        users.learns = True
        users.learn = lambda transition, transitions=transitions: transitions.append(transition) or {}
        now = look(made, Players({"users": users, "items": items}), made.reset([0, 1]), explore=True)
        for _ in range(4):
            now, step, _ = iterate(made, Players({"users": users, "items": items}), now)
        found[targets] = now.state, step, transitions
    state, step, transitions = found.pop("actual")
    for name, (other, last, learnt) in found.items():
        assert all(map(torch.equal, state.tensors(), other.tensors())), name
        assert all(map(torch.equal, step.tensors(), last.tensors())), name
        own, actual = learnt[0], transitions[0]
        assert torch.equal(own.response, actual.response)
        assert not all(torch.equal(getattr(own, column), getattr(actual, column))
                       for column in ("reward", "valid", "weight")), name


def test_a_held_out_market_gives_no_targets():
    made = market("ips")
    held_out = made.behaviour.answering(some_log())
    assert held_out.weights is None
    assert not held_out.has_targets


def test_targets_need_no_values_on_another_device():
    made = market("doubly-robust")
    there = Market(made.config, made.behaviour, "meta")
    state = there.reset([0])
    zeros = (torch.zeros(1, n, dtype=torch.int64, device="meta") for n in (2, 3))
    _, step = there.step(state, *zeros)
    assert there.targets(state, step).reward.device.type == "meta"


@pytest.mark.parametrize(("targets", "missing", "fix"), [
    ("replay", "mask", "actual"), ("doubly-robust", "mask", ("actual", "ips", "missing")),
    ("imputed", "impute", "missing"), ("snips", "zero", ("actual", "replay"))])
def test_what_makes_no_sense_is_said(targets, missing, fix):
    with refused("targets", targets, *(["missing", missing] if targets != "snips" else []), fix=fix):
        market(targets, missing)
    with refused("targets", "ips", "team", 0.5, fix="team=0"):
        market("ips", team=0.5)


def test_weights_of_pairs():
    log = some_log()
    log = replace(log, user=np.array([0, 0, 1, 0]), item=np.array([1, 0, 0, 1]))
    found = pair_weights(log, clip=3.5)
    assert found.weight.tolist() == pytest.approx([3.5, 1 / 0.3, 1.0])  # the pair (0, 1) has 0.5 and 0.1
    assert found.clipped == pytest.approx(1 / 3)
    assert found.effective == pytest.approx(found.weight.sum() ** 2 / (found.weight**2).sum() / 3)
    assert found.source == "of the log"
    assert pair_weights(replace(log, propensity=None)).source == "by popularity"
    assert np.array_equal(row_propensity(replace(log, propensity=None)), popularity_propensity(log))


def test_propensities_are_of_the_training_part():
    log = some_log()
    part = log.take(np.array([True, False, True, False]), "held out")
    assert thinned(part, log).propensity.tolist() == [0.25, 0.5]
    own = replace(log, split=np.array([False, True, False, False]))
    assert thinned(part, own).propensity == pytest.approx(np.array([0.5, 1.0]) * 2 / 3)
    assert thinned(replace(part, propensity=None), log).propensity is None
