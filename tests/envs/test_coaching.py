"""A coach's messages: the contract, and what happens in a step."""

import pytest
import torch

from interplay.envs.mechanisms.coaching import Coaching
from interplay.envs.presets import find_preset
from interplay.envs.testing import check_mechanism
from interplay.envs.transitions import transitions


@pytest.mark.parametrize("mechanism", [Coaching(), Coaching(context_noise=0.7, disengagement_start=0.6, hidden=True)])
def test_coaching_keeps_the_contract(mechanism: Coaching) -> None:
    check_mechanism(mechanism)


def wrong_message(market, state):
    return market.step(state, 3 - state["context"].argmax(2), torch.zeros(len(state.time), 3, dtype=torch.int64))


def test_a_wrong_message_too_many_drives_the_user_away_for_good() -> None:
    market = find_preset("coach").market()
    first = market.reset(range(4))
    second, step = wrong_message(market, first)
    torch.testing.assert_close(second["disengagement"], torch.full((4, 1), 0.5))
    torch.testing.assert_close(step.user_own, torch.full((4, 1), 0.1))
    assert not step.user_terminated.any()
    third, _ = wrong_message(market, second)
    fourth, step = wrong_message(market, third)
    assert step.user_terminated.all()
    assert not step.user_own.any()
    assert not fourth.active.any()
    assert market.constants.mechanisms.measures(fourth)["share of users disengaged"].tolist() == [1.0] * 4
    assert market.observe(fourth, "users").mask[..., 1:].sum() == 0
    _, step = wrong_message(market, fourth)
    assert not step.user_terminated.any()
    assert not step.user_own.any()
    seen = {side: market.observe(fourth, side) for side in ("users", "items")}
    nothing = {side: torch.zeros(4, market.specs[side].num_agents, dtype=torch.int64) for side in seen}
    assert not transitions(market, fourth, seen, nothing, step, seen)["users"].valid.any()


def test_users_see_how_likely_each_context_is() -> None:
    market = find_preset("coach").market(coaching={"context_noise": 1.0})
    state = market.reset(range(20_000))
    belief, context = state["belief"][:, 0, 1], state["context"][:, 0, 1]
    for low in (0.1, 0.3, 0.5, 0.7):
        some = (belief > low) & (belief < low + 0.2)
        assert some.sum() > 1_000
        assert context[some].mean() == pytest.approx(belief[some].mean().item(), abs=0.04)
    assert context.mean() == pytest.approx(0.5, abs=0.02)


def test_contexts_are_drawn_again_in_each_step() -> None:
    market = find_preset("coach").market()
    state, contexts = market.reset(range(2_000)), []
    for _ in range(3):
        contexts.append(state["context"][:, 0, 1])
        state, _ = market.step(state, torch.zeros(2_000, 1, dtype=torch.int64),
                               torch.zeros(2_000, 3, dtype=torch.int64))
    assert torch.corrcoef(torch.stack(contexts)).triu(1).abs().max() < 0.1
