"""The mechanism ``visits``: sessions end at random, and nobody acts for longer than its steps last."""

import torch

from interplay.envs.mechanisms.visits import Visits
from interplay.envs.presets import find_preset
from interplay.envs.testing import check_mechanism
from refusals import refused

USERS, WORLDS = 8, 4


def presence(visits, horizon):
    """Which users are there in each step, bool ``[T, B, U]``, and the market."""
    market = find_preset("town").market(num_users=USERS, horizon=horizon, mood=False, mechanisms=(visits,))
    state, found = market.reset(range(WORLDS), 5), []
    skip = torch.zeros(WORLDS, USERS, dtype=torch.int64), torch.zeros(WORLDS, 32, dtype=torch.int64)
    for _ in range(horizon):
        found.append(state.active)
        state, _ = market.step(state, *skip)
    return torch.stack(found), market


def test_the_contract_holds():
    check_mechanism(Visits(steps=(2.0, 5.0), hazard=(0.3, 0.2), return_rate=0.5))


def test_users_are_present_for_as_many_steps_as_they_have_the_later_the_longer():
    active, _ = presence(Visits(steps=(2.0, 5.0), hazard=(0.3, 0.1)), horizon=60)
    assert active.sum(0).tolist() == [[2] * (USERS // 2) + [5] * (USERS // 2)] * WORLDS


def test_a_fraction_of_a_step_is_one_more_for_some():
    active, _ = presence(Visits(steps=(2.5,), hazard=(0.0,)), horizon=6)
    assert set(active.sum(0).flatten().tolist()) == {2, 3}


def test_sessions_end_by_the_hazard_of_their_step():
    active, _ = presence(Visits(steps=(90.0,), hazard=(0.0, 1.0), return_rate=1.0), horizon=9)
    assert active.all((1, 2)).tolist() == [True, True, False] * 3
    assert active.any(2).any(1).tolist() == [True, True, False] * 3


def test_users_who_are_away_may_return_unless_the_market_says_that_they_never_do():
    _, market = presence(Visits(), horizon=2)
    assert market.config.users_return
    assert not market.config.without_return().users_return


def test_users_leave_near_their_lowest_mood():
    def left(lowest_mood):
        visits = Visits(steps=(90.0,), hazard=(0.0,), return_rate=0.0, mood_slope=1.0, lowest_mood=lowest_mood)
        if lowest_mood < 1.0:
            check_mechanism(visits)
        return 1.0 - presence(visits, horizon=2)[0][1].float().mean()  # whose mood is 0

    assert left(50.0) == 0.0
    assert 0.7 < left(1e-6) < 1.0


def test_a_hazard_above_one_is_refused():
    with refused("hazard", (0.1, 1.5)):
        Visits(hazard=(0.1, 1.5))
