"""Slates that a platform fills: what it sees, what it may show, and what comes of it."""

import pytest
import torch

from interplay.envs.presets import find_preset

TOWN = {"num_users": 5, "num_items": 7, "slate_size": 3, "budgets.start": 1.0}


def aged(market, steps=6):
    """Worlds in which items have died and users have left."""
    state = market.reset([0, 1, 2])
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        users = torch.randint(0, market.config.slate_size + 1, (3, market.config.num_users), generator=generator)
        state, _ = market.step(state, users, torch.zeros(3, market.config.num_items, dtype=torch.int64))
    return state


def test_a_platform_sees_of_each_candidate_what_users_see_of_it_in_the_first_slot():
    market = find_preset("town").market(**TOWN, position_bias=0.5)
    state = aged(market)
    assert not state.alive.all()
    seen = market.observe(state, "platform", expected=True)
    spec = market.platform_spec
    assert seen.options.shape == (3, 5, 7, len(spec.option_features))
    assert (spec.side, spec.num_options, spec.num_actions) == ("platform", 7, 8)
    assert torch.equal(seen.ids, torch.arange(7).expand(3, 5, 7))
    assert torch.equal(seen.mask[..., 1:], (state.alive.unsqueeze(1) & state.active.unsqueeze(2)))
    shown = market.offer(state, torch.tensor([4, 2, 7]).expand(3, 5, 3))
    users = market.observe(shown, "users", expected=True)
    assert torch.equal(users.options[..., 0, :], seen.options[..., 3, :])
    assert torch.allclose(users.expected[..., 1], seen.expected[..., 4])
    assert torch.allclose(users.expected[..., 2], seen.expected[..., 2] * 2.0**-0.5)
    assert torch.equal(users.own, seen.own)


def test_a_slate_holds_what_it_was_filled_with_and_nothing_twice_or_dead():
    market = find_preset("town").market(**TOWN)
    state = aged(market)
    dead = int((~state.alive[0]).nonzero()[0])
    living = [int(i) for i in state.alive[0].nonzero().flatten()]
    slots = torch.zeros(3, 5, 3, dtype=torch.int64)
    slots[0, 0] = torch.tensor([living[0] + 1, dead + 1, living[1] + 1])
    slots[0, 1] = torch.tensor([living[1] + 1, living[1] + 1, living[0] + 1])
    slots[0, 2] = torch.tensor([0, 99, -4])
    slots[0, 3] = torch.tensor([dead + 1, dead + 1, living[1] + 1])
    slate = market.offer(state, slots).slate
    assert slate.valid[0].tolist() == [[True, False, True], [True, False, True], [False] * 3, [False, False, True],
                                       [False] * 3]
    assert slate.items[0, 0, [0, 2]].tolist() == [living[0], living[1]]
    assert slate.log_propensity.isnan().all()
    given = torch.full((3, 5), -2.0)
    assert torch.equal(market.offer(state, slots, given).slate.log_propensity, given)


def test_what_was_offered_is_what_users_choose_from():
    market = find_preset("kale").market(response_mode="mean")
    state = market.offer(market.reset([0]), torch.tensor([[[3, 1, 0, 0]]]))
    _, step = market.step(state, torch.tensor([[1]]), torch.zeros(1, 4, dtype=torch.int64))
    assert step.chosen.item() == 2
    _, step = market.step(state, torch.tensor([[3]]), torch.zeros(1, 4, dtype=torch.int64))
    assert (step.position.item(), step.illegal_users.item()) == (0, 1)


@pytest.mark.parametrize("changes", [{"num_items": 40, "num_candidates": 6}, {}])
def test_candidates_are_those_that_the_market_itself_draws_from(changes):
    market = find_preset("town").market(num_users=30, **changes)
    state = market.reset(range(4))
    candidates = market.observe(state, "platform").ids
    assert candidates.shape[2] == market.platform_spec.num_options == changes.get("num_candidates", 32)
    held = (state.slate.items.unsqueeze(3) == candidates.unsqueeze(2)).any(3)
    assert held[state.slate.valid].all()
    assert len({tuple(sorted(row.tolist())) for row in candidates[0]}) == (4 if changes else 1)  # one list a segment


def test_candidates_of_a_log_are_the_pairs_that_it_holds(tmp_path):
    from interplay.envs.behaviour.logged import LoggedBehaviour, logged_market_config
    from interplay.envs.data import read_log
    from interplay.envs.market import Market

    pairs = [(u, i) for u in range(6) for i in range(8) if (u + i) % 3]
    (tmp_path / "log.csv").write_text("user,item,reward\n" + "".join(f"u{u},i{i},{u % 2}\n" for u, i in pairs))
    log = read_log(tmp_path / "log.csv")
    config = logged_market_config(log)
    market = Market(config, LoggedBehaviour(log, log, config, "mask", seed=0))
    seen = market.observe(market.reset([0]), "platform")
    found = {(f"{log.user_ids[u]}", f"{log.item_ids[int(i)]}") for u in range(6)
             for i, fine in zip(seen.ids[0, u], seen.mask[0, u, 1:], strict=True) if fine}
    assert found == {(f"u{u}", f"i{i}") for u, i in pairs}
