"""The mechanism ``experience``: users see what the items on their slate paid them."""

import torch

from interplay.envs.mechanisms.experience import Experience
from interplay.envs.presets import find_preset
from interplay.envs.testing import check_mechanism


def test_the_contract_holds():
    check_mechanism(Experience(steps=3))


def test_users_see_what_they_took_lately_and_how_they_responded_the_last_time():
    market = find_preset("town").market(num_users=3, num_items=5, slate_size=5, horizon=8,
                                        mechanisms=[Experience(steps=2)])
    columns = [market.spec_of("users").option_features.index(name) for name in ("taken", "last_response")]
    state, rest, last = market.reset([0, 1], 5), torch.zeros(2, 5, dtype=torch.int64), []
    for action in (1, 2, 0, 3, 1):
        state, step = market.step(state, torch.full((2, 3), action), rest)[:2]
        last.append((torch.where(step.position > 0, step.chosen, -1), step.response))
        found = market.observe(state, "users").options[..., columns]
        expected = torch.zeros_like(found)
        for item, response in last[-2:]:  # the newer one last, which takes the place of the older one
            same = (state.slate.items == item.unsqueeze(2)) & state.slate.valid
            expected[same] = torch.stack([torch.ones_like(response), response], 2).unsqueeze(2).expand_as(found)[same]
        assert torch.equal(found, expected)
