"""A coach's messages: the contract, and what happens in a step."""

import pytest
import torch

from interplay.envs.mechanisms.coaching import Coaching
from interplay.envs.mechanisms.programmes import Programmes
from interplay.envs.presets import find_preset
from interplay.envs.testing import check_mechanism
from interplay.envs.transitions import transitions


@pytest.mark.parametrize("mechanism", [
    Coaching(context_noise=0.7, disengagement_start=0.6, hidden=True),
    *(pytest.param(each, marks=pytest.mark.slow) for each in (
        Programmes(spread=0.5, liking=0.5), Coaching(), Coaching(spread=0.5, liking=0.3)))])
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


class SameContexts(Programmes):
    """By its name it draws the contexts that ``coaching`` draws."""

    name = "coaching"


def some_steps(market, num_steps=12):
    """States and steps of play by any rule; all items keep what they do."""
    state, seen = market.reset(range(3)), []
    for number in range(num_steps):
        action = (torch.arange(3).unsqueeze(1) + torch.arange(market.config.num_users) + number) % 4
        state, step = market.step(state, action, torch.zeros(3, market.config.num_items, dtype=torch.int64))
        seen.append((state, step))
    return seen


def test_programmes_of_one_strength_and_people_alike_are_the_published_model() -> None:
    plain = some_steps(find_preset("coach").market())
    off = find_preset("coach").market(coaching=False, mechanisms=(SameContexts(intensities=(1.0, 1.0, 1.0)),))
    for (_, step), (state, other) in zip(plain, some_steps(off), strict=True):
        assert torch.equal(step.user_own, other.user_own)
        caused = (other.user_own - 0.1).clamp(min=0.0) * (other.position > 0)
        assert torch.allclose(state["steps_caused"].sum(1), caused.sum(1), atol=1e-4)


def test_people_differ_by_their_own_factors() -> None:
    market = find_preset("coach-large").market(num_users=400)
    state = market.reset([0])
    factor = state["traits"].exp()
    assert factor.log().std(1).squeeze(0).tolist() == pytest.approx([0.5] * 4, abs=0.06)
    after, _ = market.step(state, torch.ones(1, 400, dtype=torch.int64), torch.zeros(1, 9, dtype=torch.int64))
    expected = (0.1 + 0.05 * factor[..., 0]).clamp(max=1.0)
    torch.testing.assert_close(after["habituation"], expected)
    assert market.specs["users"].own_features[-5:-1] == (
        "habituation gain", "habituation decay", "disengagement gain", "steps of a message")


def test_a_stronger_message_moves_more_and_tires_more_from_the_next_step_on() -> None:
    market = find_preset("coach-large").market(**{"programmes.spread": 0.0, "programmes.liking": 0.0})
    state = market.reset(range(8))
    right = (state.slate.items % 3 == 1 + state["context"].argmax(2, keepdim=True))
    sent = torch.where(right.any(2), 1 + right.long().argmax(2), 0)
    strongest = torch.full((8, 9), 3, dtype=torch.int64)
    after, step = market.step(state, sent, strongest)
    assert step.user_own[sent > 0].tolist() == pytest.approx([0.1 + 200 * 0.85] * int((sent > 0).sum()), rel=1e-5)
    assert after["intensity"].unique().tolist() == [1.5]
    h, right = after["habituation"], after.slate.items % 3 == 1 + after["context"].argmax(2, keepdim=True)
    sent = torch.where(right.any(2), 1 + right.long().argmax(2), 0)
    last, step = market.step(after, sent, strongest)
    tired = (h + 0.075).clamp(max=1.0)[sent > 0]
    torch.testing.assert_close(last["habituation"][sent > 0], tired)
    torch.testing.assert_close(step.user_own[sent > 0], 0.1 + 1.5 * 200 * (1 - tired), rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(step.item_own.sum(1), (step.user_own - 0.1).sum(1), rtol=1e-5, atol=1e-2)
