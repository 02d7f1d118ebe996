"""Reproductions: the protocols against loops that are easy to read, and each study from end to end in small."""

import json

import numpy as np
import pytest

from interplay.envs.mechanisms.logit_prices import LogitPrices
from interplay.experiments.exact.pricing import PricingGame
from interplay.experiments.studies.reproductions import pricing
from interplay.experiments.studies.reproductions.price_loop import CHEAPEST, INCUMBENT, winner
from interplay.experiments.studies.reproductions.price_sessions import Display, Protocol, Sessions, followed


@pytest.fixture
def profit():
    return PricingGame(LogitPrices(lowest=1.4, highest=2.0, num_prices=4), 2).table()


def by_hand(profit, protocol, seed, num_sessions, periods):
    """The published update, cell by cell, with the draws that the vectorised sessions make."""
    rng, m = np.random.default_rng(seed), profit.shape[1]
    first = [profit[0].mean(1), profit[1].mean(0)]
    values = [{(s, i, a): first[i][a] / (1 - protocol.discount) for s in range(m * m) for i in (0, 1) for a in range(m)}
              for _ in range(num_sessions)]
    states = list(rng.integers(m * m, size=num_sessions))
    explores = rng.random((periods, num_sessions, 2))
    anything = rng.integers(m, size=explores.shape)
    for t in range(periods):
        for k, table in enumerate(values):
            s = states[k]
            a = [int(anything[t, k, i]) if explores[t, k, i] < np.exp(-protocol.decay * t)
                 else max(range(m), key=lambda b, i=i, s=s, table=table: table[s, i, b]) for i in (0, 1)]
            after = a[0] * m + a[1]
            ahead = [max(table[after, i, b] for b in range(m)) for i in (0, 1)]
            for i in (0, 1):
                target = profit[i][tuple(a)] + protocol.discount * ahead[i]
                table[s, i, a[i]] = (1 - protocol.rate) * table[s, i, a[i]] + protocol.rate * target
            states[k] = after
    return values, states


def test_sessions_learn_by_the_published_update(profit):
    protocol = Protocol(decay=0.02, patience=10**9)
    sessions = Sessions(profit, protocol, 3, seed=4)
    sessions.play(200)
    values, states = by_hand(profit, protocol, 4, 3, 200)
    assert sessions.state.tolist() == states
    for k, table in enumerate(values):
        for (s, i, a), value in table.items():
            assert sessions.values[k, i, s, a] == pytest.approx(value, rel=1e-12)


def test_the_firm_that_is_shown_is_the_cheapest_or_an_incumbent():
    for last, holder, action, rule, advantage, shown in (
            ((2, 2), 0, (1, 2), CHEAPEST, 0, 0), ((2, 2), 0, (2, 1), CHEAPEST, 0, 1),
            ((2, 2), 0, (2, 1), INCUMBENT, 0, 1), ((2, 2), 0, (2, 1), INCUMBENT, 1, 0),
            ((2, 2), 0, (3, 3), INCUMBENT, 1, 1), ((2, 2), 1, (0, 1), INCUMBENT, 1, 1)):
        found = winner(np.array(action), last[0] * 4 + last[1], holder, 0.9, 4, rule, advantage)
        assert found == shown
    drawn = [winner(np.array([2, 2]), 0, 0, luck, 4, CHEAPEST, 0) for luck in (0.1, 0.4, 0.6, 0.9)]
    assert drawn == [0, 0, 1, 1]


def test_sessions_in_which_one_is_shown_pay_that_firm_alone(profit):
    alone = (0.1, 0.2, 0.3, 0.4)
    for rule in (CHEAPEST, INCUMBENT):
        sessions = Sessions(profit, Protocol(decay=0.0, patience=10**9, discount=0.0, rate=1.0), 3, 4,
                            Display(rule, alone, 1))
        first = sessions.values.copy()
        sessions.play(400)
        changed = sessions.values[sessions.values != first]
        assert set(np.round(changed, 12)) == {0.0, *alone}
        assert sessions.values.shape[2] == (32 if rule == INCUMBENT else 16)


def test_a_session_converges_once_its_strategies_stay(profit):
    sessions = Sessions(profit, Protocol(decay=1e-3, patience=2_000, most=100_000), 4, seed=1)
    sessions.run()
    assert (sessions.converged > 2_000).all()
    assert (sessions.converged < 100_000).all()
    still = sessions.values.argmax(3)
    assert (sessions.strategy.max(), sessions.strategy.min()) <= (3, 0)
    assert (still == sessions.strategy).mean() > 0.9


def test_what_never_converges_ends_all_the_same(profit):
    sessions = Sessions(profit, Protocol(patience=10**9, most=1_500), 2, seed=1)
    sessions.run()
    assert sessions.converged.tolist() == [1_500, 1_500]
    assert (sessions.strategy == sessions.values.argmax(3)).all()


def test_learners_without_a_future_end_at_static_equilibria_or_beside_them():
    """Some stay one price beside, with values from a time when the rival explored."""
    game = PricingGame(LogitPrices(lowest=1.3, highest=2.0, num_prices=8), 2)
    sessions = Sessions(game.table(), Protocol(decay=1e-4, discount=0.0, patience=3_000, most=100_000), 8, seed=2)
    sessions.run()
    settled = followed(sessions, sessions.place, 50).action[-1]
    known = np.searchsorted(np.array(game.model.prices) + 1e-9, game.grid_equilibria())
    distance = np.abs(settled[:, None] - known).max(2).min(1)
    assert distance.max() <= 1
    assert (distance == 0).mean() > 0.5


def test_a_forced_price_is_set_once(profit):
    sessions, strategy = Sessions(profit, Protocol(), 2, seed=0), np.zeros((2, 2, 16), dtype=np.int64)
    strategy[:, 1, 12:] = 2  # firm 1 sets 2 after firm 0 has set 3
    sessions.strategy = strategy
    path = followed(sessions, np.zeros(2, dtype=np.int64), 3, np.array([[3, -1], [-1, -1]])).action
    assert path[:, 0].tolist() == [[3, 0], [0, 2], [0, 0]]
    assert path[:, 1].tolist() == [[0, 0]] * 3


def test_the_study_writes_its_report_and_picture(tmp_path):
    said = pricing.study(pricing.PricingSettings(tmp_path, sessions=5, decay=0.01, patience=500, most=2_000))
    assert (tmp_path / "report.md").read_text() == said
    assert (tmp_path / "prices.png").stat().st_size > 1_000
    cases = json.loads((tmp_path / "report.json").read_text())["data"]["cases"]
    assert list(cases) == list(pricing.CASES)
    for case in cases.values():
        assert len(case["price"]) == len(case["profit gain"]) == 5
        assert all(1.4 < price < 2.0 for price in case["price"])
