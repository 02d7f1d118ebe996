"""Planning by rollouts: better than its base policy, and never better than the optimum."""

import pytest
import torch

from interplay.envs.presets import find_preset
from interplay.experiments.cli.main import main
from interplay.experiments.evaluate import planning
from interplay.experiments.evaluate.evaluation import evaluate, stand_in
from interplay.experiments.evaluate.planning import Planned, _better, _promoted
from interplay.experiments.exact.oracles import solve
from interplay.experiments.loop.play import look
from interplay.experiments.loop.players import Players
from refusals import assert_said, refused


def players_in(market, users="greedy", items="rest"):
    return Players({"users": stand_in(market, "users", users, 0), "items": stand_in(market, "items", items, 0)})


@pytest.mark.parametrize(("preset", "horizon", "worlds", "rollouts"), [("kale", 16, 48, 8), ("viability", 32, 1, 1)])
def test_a_planner_lies_between_its_base_policy_and_the_optimum(preset, horizon, worlds, rollouts):
    market = find_preset(preset).market(horizon=horizon)
    exact, players = solve(market), players_in(market)
    base = evaluate(market, players, worlds).user_return.mean
    planned = evaluate(market, Planned(players, "users", rollouts), worlds)
    low, high = planned.user_return.ci95 or (planned.user_return.mean,) * 2
    assert planned.users == "planner(greedy)"
    assert base == pytest.approx(exact.greedy, rel=0.1)
    assert low > base + 0.25 * (exact.user_return - base)
    assert high - (high - low) <= exact.user_return + 1e-3


def test_where_being_myopic_is_optimal_a_planner_changes_nothing():
    market = find_preset("kale-null").market(horizon=4, satiation={"weight": 0.0})
    players = players_in(market)
    scores = [evaluate(market, each, 16).of_worlds for each in (players, Planned(players, "users", 4))]
    assert scores[0] == scores[1]


def test_items_plan_too():
    """Together they would not boost at all, which each alone does."""
    market = find_preset("contest").market(horizon=4)
    players = players_in(market, "first", "greedy")
    alone, together = (evaluate(market, each, 2) for each in (players, Planned(players, "items", 1)))
    assert together.items == "planner(greedy)"
    assert together.item_return.mean > alone.item_return.mean


@pytest.mark.slow
def test_many_agents_plan_at_once_and_each_finds_what_it_finds_alone(monkeypatch):
    """People of coach-large do not change each other's steps, so that both ways measure the same."""
    market = find_preset("coach-large").market(horizon=12, num_users=9)
    players = players_in(market)
    base, at_once = (evaluate(market, each, 4).of_worlds for each in (players, Planned(players, "users", 2)))
    monkeypatch.setattr(planning, "_IN_TURN", 9)
    in_turn = evaluate(market, Planned(players, "users", 2), 4).of_worlds
    assert sum(at_once) > 1.03 * sum(base)
    assert at_once == pytest.approx(in_turn, rel=0.05)


def test_gains_of_many_agents_are_those_of_their_own_actions():
    """In pigou's first step, where others deviate too, the fund of fixed return is worth exactly that."""
    market = find_preset("pigou").market(horizon=1, num_users=10, embedding_size=10)
    planner = Planned(players_in(market, "first"), "users", 64)
    state = market.reset(range(2))
    now = look(market, planner, state)
    action = planner._base.act(now.seen, explore=False)
    gain = planner._own_gains(market, state, action, now.seen["users"].mask)
    assert gain.shape == (2, 10, 3, 64)
    assert (gain[:, :, 1] == 0.0).all()  # its own
    torch.testing.assert_close(gain[:, :, 0], torch.full((2, 10, 64), -0.25))  # keeps its money
    others = gain[:, :, 2] + 0.25
    assert others.min() >= 0.0  # fund B pays 1 - share
    assert 0.5 < others.mean() < 0.8  # its share is 1/3 of the others and itself


def test_planning_changes_no_world_and_no_agent():
    """Its copies have noise of their own, and others act as they would without it."""
    market = find_preset("kale").market(horizon=4)
    players = players_in(market, "random")
    before = [player.state_dict() for player in players.each()]
    planned = Planned(players, "users", 2)
    first = evaluate(market, planned, 3).of_worlds
    assert str(before) == str([player.state_dict() for player in players.each()])
    assert evaluate(market, Planned(players, "users", 2), 3).of_worlds == first


def test_luck_alone_changes_no_action():
    gain = torch.tensor([[[0.0, 0.0], [9.0, -8.0], [5.0, 5.0]], [[0.0, 0.0], [9.0, -8.0], [1.0, 1.2]]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    assert _better(gain, mask, torch.tensor([0, 0])).tolist() == [0, 2]


def test_a_platform_plans_slates_that_earn_its_users_more():
    market = find_preset("feed").market(num_users=6, num_items=5, slate_size=2, horizon=8)
    players = Players({**players_in(market, "conditional-logit").by_side,
                       "platform": stand_in(market, "platform", "popularity", 0)})
    base, planned = (evaluate(market, each, 16) for each in (players, Planned(players, "platform", 4)))
    assert planned.platform == "planner(popularity)"
    assert planned.less(base).ci95[0] > 0.1 * base.user_return.mean


def test_a_candidate_goes_first_and_none_is_shown_twice():
    slots = torch.tensor([[[3, 5, 7], [3, 5, 7], [3, 5, 7], [3, 0, 0]]])
    first = torch.tensor([[7, 9, 0, 3]])
    assert _promoted(slots, first).tolist() == [[[7, 3, 5], [9, 3, 5], [3, 5, 7], [3, 0, 0]]]


def test_a_side_that_is_not_there_cannot_plan():
    market = find_preset("feed").market(num_users=2)
    with refused("side", "platform", fix=("users", "items")):
        Planned(players_in(market), "platform")


def test_the_command_line_plans_from_the_agents_of_a_run(tmp_path, capsys):
    sizes = ["--episodes", "1", "--num-worlds", "1", "--eval-worlds", "2", "--market", "horizon=4"]
    assert main(["train", "--preset", "kale", "--users", "greedy", "--items", "rest", *sizes, "--device", "cpu",
                 "--log-dir", str(tmp_path), "--name", "run"]) == 0
    assert main(["evaluate", str(tmp_path / "run"), "--plan", "users", "--rollouts", "2"]) == 0
    assert "lower bound by planning: users planner(greedy), items rest" in capsys.readouterr().out
    assert main(["evaluate", str(tmp_path / "run"), "--plan", "users", "--rollouts", "0"]) == 2
    assert_said(capsys.readouterr().err, "rollouts", 0, fix=1)
