"""Concepts that build on each other: the contract, and what a student learns."""

import pytest
import torch

from interplay.envs.mechanisms.curriculum import Curriculum
from interplay.envs.presets import find_preset
from interplay.envs.testing import MechanismError, check_mechanism
from refusals import refused


@pytest.mark.parametrize("mechanism", [
    Curriculum(spread=0.5, known=0.3, ordering=2.0, advanced=1.0),
    *(pytest.param(each, marks=pytest.mark.slow) for each in (Curriculum(), Curriculum(prerequisites=0, known=1.0)))])
def test_the_contract(mechanism):
    check_mechanism(mechanism)


def test_weights_that_float32_cannot_hold_are_refused():
    """25 ** 30 is infinite there, and the mean recall was no number."""
    with refused("curriculum.advanced", 30.0, "num_items", 25, fix="lower"):
        find_preset("town").market(num_items=25, mechanisms=(Curriculum(advanced=30.0),)).reset([0])


def studied(market, order):
    """States and rewards of one student that studies these items, with fixed slates."""
    state, rewards = market.reset([0]), []
    for item in order:
        action = torch.tensor([[1 + item]])
        state, step = market.step(state, action, torch.zeros(1, market.config.num_items, dtype=torch.int64))
        rewards.append(step.user_own.item())
    return state, rewards


def test_without_prerequisites_it_is_the_model_of_tutor():
    tutor = find_preset("tutor-null")
    like = tutor.market(tutoring=False, user_state="none", mechanisms=(
        Curriculum(delay=5.0, forgetting=0.2, prerequisites=0, known=1.0),))
    order = [0, 2, 1, 1, 0, 2, 0, 1]
    assert studied(like, order)[1] == pytest.approx(studied(tutor.market(), order)[1], rel=1e-6)


def chain(**changes):
    """Three concepts, each of which builds on the one before."""
    mechanism = Curriculum(prerequisites=1, reach=1, forgetting=0.1, **changes)
    return find_preset("tutor").market(tutoring=False, user_state="none", mechanisms=(mechanism,))


def test_nothing_is_learnt_of_a_concept_whose_prerequisite_is_not_recalled():
    market = chain()
    assert market.reset([0])["needs"].tolist() == [[[0, 0, 0], [1, 0, 0], [0, 1, 0]]]
    state, rewards = studied(market, [2, 1, 0, 1])
    assert rewards[:2] == [0.0, 0.0]
    assert rewards[2] == pytest.approx(1 / 3)
    recall = torch.exp(torch.tensor(-0.1 / 2.0)).item()  # of concept 0, a step after it was studied with stability 2
    assert state["learnt"][0, 0].tolist() == pytest.approx([1.0, recall, 0.0])
    assert state["stability"][0, 0].tolist() == pytest.approx([2.0, 1.0 + recall, 1.0])
    assert rewards[3] == pytest.approx(2 * recall / 3)


def test_greedy_students_know_what_they_will_earn():
    market = find_preset("tutor-large").market()
    state = market.reset(range(4))
    for number in range(10):
        seen = market.observe(state, "users", expected=True)
        action = (torch.arange(16) + number).expand(4, -1) % 7
        action = torch.where(seen.mask.gather(2, action.unsqueeze(2)).squeeze(2), action, 0)
        state, step = market.step(state, action, torch.zeros(4, 24, dtype=torch.int64))
        torch.testing.assert_close(step.user_own, seen.expected.gather(2, action.unsqueeze(2)).squeeze(2))


def test_later_concepts_count_more():
    (_, one), (_, other) = (studied(chain(advanced=advanced), [0, 1]) for advanced in (0.0, 1.0))
    assert other[0] == pytest.approx(one[0] / 2)  # the first of three counts 1 of 1 + 2 + 3
    assert other[1] > one[1] * 0.7


def test_slates_prefer_what_a_student_is_ready_for():
    ready = []
    for ordering in (0.0, 4.0):
        market = find_preset("tutor-large").market(**{"curriculum.ordering": ordering})
        state = market.reset(range(16))
        seen = market.observe(state, "users")
        ready.append(seen.options[..., market.specs["users"].option_features.index("readiness")].mean().item())
    assert ready[1] > ready[0] + 0.1


def test_prerequisites_lie_within_reach_before_a_concept():
    needs = find_preset("tutor-large").market().reset(range(30))["needs"]
    row, column = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
    outside = (column >= row) | (column < row - 6)
    assert not needs[:, outside].any()
    assert (needs[:, 6:].sum(2) == 1.0).all()
    assert (needs[:, 0] == 0.0).all()
    assert needs[:, ~outside].count_nonzero() > 0


def test_a_platform_sees_of_candidates_what_users_see_of_their_slots():
    market = find_preset("tutor-large").market()
    state = market.reset(range(3))
    place = [market.specs["users"].option_features.index(name) for name in ("recall", "readiness", "forgetting")]
    seen, every = market.observe(state, "users"), market.observe(state, "platform")
    assert every.options.shape[2] == 24
    items = seen.ids.unsqueeze(3).expand(-1, -1, -1, 3)
    torch.testing.assert_close(every.options[..., place].gather(2, items), seen.options[..., place])
    some = market.observe_all(state, torch.tensor([5, 2]))
    torch.testing.assert_close(some.options[..., place], every.options[:, [5, 2]][..., place])


@pytest.mark.parametrize(("change", "named", "fix"), [
    (lambda seen: seen[..., :-1], "[3, 5, 3, 4]", "[3, 5, 3, 5]"), (lambda seen: seen * 10.0 + 5.0, 20, "[-4, 4]"),
    (lambda seen: seen * torch.arange(seen.shape[1]).view(1, -1, 1, 1) / 9, "users 3 and 1", "update")])
def test_the_contract_looks_at_what_users_see_of_slots(change, named, fix):
    class Odd(Curriculum):
        def see_options(self, state, items):
            return change(super().see_options(state, items))

    with refused("see_options", named, fix=fix, kind=MechanismError):
        check_mechanism(Odd)
