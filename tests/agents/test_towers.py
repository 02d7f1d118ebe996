import sys
from dataclasses import replace

import pytest
import torch

from interplay.agents import Setting
from interplay.agents.encoders import NONE, encoders, find_encoder
from interplay.agents.ippo import IPPOAgent, IPPOOptions
from interplay.agents.parts.networks import draw_weights
from interplay.agents.parts.towers import Embedded, Situation, Towers
from interplay.envs.presets import find_preset
from refusals import refused

CPU = torch.device("cpu")


@pytest.fixture
def market():
    return find_preset("town").market(num_users=5, num_items=7, history_length=4)


@pytest.fixture
def towers(market):
    return draw_weights(Towers(market.specs, 16, CPU, encoder="gru"), 1, "towers")


def test_the_articles_worked_example_with_the_right_values():
    """Section 4.3: W . (u * i) + b = [0.495, 0.375], where it says [0.5, 0.6]."""
    scorer = Towers(find_preset("kale").market().specs, 5, CPU)._response
    scorer._out = torch.nn.Linear(5, 2)
    weight = [[0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.4, 0.3, 0.2, 0.1]]
    scorer._out.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor([0.1, 0.2])})
    user, item = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]), torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])
    logit = scorer(user, item.unsqueeze(0))[0]
    assert logit.tolist() == pytest.approx([0.495, 0.375])
    assert torch.sigmoid(logit)[0].item() == pytest.approx(0.621, abs=5e-4)


@pytest.mark.parametrize("scorer", ["hadamard", "concatenation"])
def test_an_option_is_scored_alike_in_every_place(market, scorer):
    towers = draw_weights(Towers(market.specs, 16, CPU, scorer=scorer), 1, "towers")
    seen = market.observe(market.reset([0, 1]), "users")
    turned = seen.map(lambda x: x)
    turned = type(seen)(seen.own, seen.options.flip(2), seen.mask, seen.ids.flip(2))
    one, other = (towers.scores("users", towers.embed("users", o)) for o in (seen, turned))
    assert one.shape == seen.mask.shape
    assert torch.allclose(one[..., 1:], other[..., 1:].flip(2), atol=1e-6)
    assert torch.equal(one[..., 0], other[..., 0])
    assert one[..., 1:].std() > 0.01


@pytest.mark.parametrize("side", ["users", "items"])
def test_an_option_is_valued_in_view_of_the_others_in_any_order(market, towers, side):
    situation = draw_weights(Situation(market.specs, 16, CPU), 1, "situation")
    embedded = towers.embed(side, market.observe(market.reset([0]), side))

    def values(options):
        levels = max(1, market.specs[side].num_levels)
        flat = towers.scores(side, situation(side, Embedded(embedded.agent, options)))
        return flat[..., 0], flat[..., 1:].unflatten(-1, (-1, levels))

    options = embedded.options
    nothing, scores = values(options)
    turned_nothing, turned = values(options.flip(2))
    assert torch.allclose(turned.flip(2), scores, atol=1e-5)
    assert torch.allclose(turned_nothing, nothing, atol=1e-5)
    changed = options.clone()
    changed[:, :, 1] += 1.0
    other_nothing, other = values(changed)
    assert (other - scores)[:, :, 0].abs().min() > 1e-5  # an option that is as it was
    assert (other_nothing - nothing).abs().min() > 1e-5


def test_both_sides_see_an_item_through_the_same_tower(market, towers):
    """The columns that both name (appeal, mood_effect, energy, topics), with all others at 0."""
    users, items = market.specs["users"], market.specs["items"]
    shared = [name for name in items.own_features if name in users.option_features]
    assert {"appeal", "mood_effect", "energy", "topic_0"} <= set(shared)
    of_users, of_items = torch.zeros(len(users.option_features)), torch.zeros(len(items.own_features))
    for number, name in enumerate(shared):
        of_users[users.option_features.index(name)] = of_items[items.own_features.index(name)] = 1.0 + number
    assert torch.equal(towers._items("users", of_users), towers._items("items", of_items))
    of_items[items.own_features.index("margin")] = 1.0  # which users do not see
    assert not torch.equal(towers._items("users", of_users), towers._items("items", of_items))


def test_items_are_scored_for_each_segment_and_level(market, towers):
    seen = market.observe(market.reset([0]), "items")
    embedded = towers.embed("items", seen)
    scores = towers.scores("items", embedded)
    assert scores.shape == seen.mask.shape
    segment, levels = 2, market.specs["items"].num_levels
    alone = towers.scores("items", Embedded(embedded.agent, embedded.options[:, :, segment : segment + 1]))
    assert torch.allclose(alone[..., 1:], scores[..., 1 + segment * levels :][..., :levels], atol=1e-6)


def test_items_that_can_only_rest_have_one_score():
    market = find_preset("kale").market()
    towers = draw_weights(Towers(market.specs, 16, CPU), 1, "towers")
    assert towers.scores("items", towers.embed("items", market.observe(market.reset([0]), "items"))).shape == (1, 4, 1)


@pytest.mark.parametrize("kind", encoders())
def test_every_encoder_reads_order_responses_and_ids(kind):
    encoder = find_encoder(kind)(3, 6, 5, 16, CPU)
    draw_weights(encoder, 2, "encoder")
    generator = torch.Generator().manual_seed(0)
    history, ids = torch.randn(2, 4, 6, 3, generator=generator), torch.randint(6, (2, 4, 6), generator=generator)
    code = encoder(history, ids)
    assert code.shape == (2, 4, 16)
    assert torch.allclose(encoder(history[1], ids[1]), code[1], atol=1e-6)  # leading axes are only carried along
    swapped = [0, 2, 1, 3, 4, 5]
    for other in ((history[:, :, swapped], ids[:, :, swapped]), (history, (ids + 1) % 6), (history + 0.5, ids)):
        assert (encoder(*other) - code).abs().max() > 1e-3


def test_without_an_id_table_ids_are_not_read():
    encoder = find_encoder("gru")(3, 6, 0, 16, CPU)
    draw_weights(encoder, 2, "encoder")
    history = torch.randn(2, 6, 3)
    assert torch.equal(encoder(history, torch.zeros(2, 6).long()), encoder(history, torch.ones(2, 6).long()))


def test_weights_are_drawn_by_seed_and_never_from_torch(market):
    before = torch.random.get_rng_state()
    for encoder in (NONE, *encoders()):
        one, other, third = (
            draw_weights(Towers(market.specs, 16, CPU, encoder=encoder, embed_ids=True), seed, "towers").state_dict()
            for seed in (1, 1, 2))
        assert all(torch.isfinite(value).all() and value.abs().max() < 4.0 for value in one.values())
        assert all(torch.equal(one[name], other[name]) for name in one)
        assert any(not torch.equal(one[name], third[name]) for name in one)
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_encoder_may_come_from_a_file_of_ones_own(market, tmp_path, monkeypatch):
    (tmp_path / "my_encoder.py").write_text('''
from interplay.agents.encoders import HistoryEncoder
from interplay.agents.parts.networks import linear_layer


class Last(HistoryEncoder):
    name = "last"

    def make(self, length, size, device):
        self.layer = linear_layer(size, size, device)

    def code(self, rows):
        return self.layer(rows[:, -1])
''')
    monkeypatch.syspath_prepend(str(tmp_path))
    options = IPPOOptions(encoder="my_encoder:Last", hidden=8)
    agent = IPPOAgent(market.specs, Setting(seed=1), options)
    seen = market.observe(market.reset([0, 1]), "users")
    changed = replace(seen, history=seen.history.index_fill(2, torch.tensor([3]), 1.0))
    assert not torch.equal(agent.scores("users", seen), agent.scores("users", changed))
    changed = replace(seen, history=seen.history.index_fill(2, torch.tensor([0, 1, 2]), 1.0))
    assert torch.equal(agent.scores("users", seen), agent.scores("users", changed))
    monkeypatch.setattr(sys.modules["my_encoder"].Last, "code", lambda self, rows: self.layer(rows))
    with refused("encoder Last", "code", fix="[S, size]"):
        agent.scores("users", seen)


@pytest.mark.parametrize("name", ["lstm", "collections:deque", "my"])
def test_an_encoder_that_does_not_exist_is_named(name):
    with refused("encoder", name):
        IPPOOptions(encoder=name)
