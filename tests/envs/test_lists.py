"""Candidate lists of users' own: tables grow with the lists, and slates are those of one padded table."""

from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
import torch
from torch import Tensor

from interplay.envs import kernels, lists, slates
from interplay.envs.behaviour.logged import LoggedBehaviour, logged_market_config
from interplay.envs.data import make_log
from interplay.envs.lists import Lists
from interplay.envs.market import Market
from interplay.envs.noise import MOST, Stream, gumbel, uniform, uniform_rows, world_key
from interplay.envs.slate_draws import plackett_luce
from interplay.envs.slates import candidates_of, count_candidates
from interplay.envs.types import TensorRecord
from refusals import refused


def made(lengths: list[int], slate_size: int = 3, num_items: int = 50_000) -> Lists:
    """User u is offered the items u, u + 1, ..."""
    items = [torch.arange(user, user + length) for user, length in enumerate(lengths)]
    return Lists.make(torch.cat(items), torch.tensor(lengths), slate_size, num_items)


def cells(found: Lists) -> int:
    return sum(table.items.numel() for table in found.tables)


@pytest.mark.parametrize("lengths", [
    [1], [0, 2], [5, 3, 9], [700] + [2] * 500, [3000, 10, 1500] + [2] * 900 + [40] * 50, [0] * 400 + [900],
    list(range(1200))])
def test_every_user_has_its_list_and_tables_hold_little_padding(lengths: list[int]) -> None:
    found = made(lengths)
    items, valid = found.padded()
    assert valid.sum(1).tolist() == lengths
    assert items[valid].tolist() == [user + j for user, length in enumerate(lengths) for j in range(length)]
    assert found.longest == max(*lengths, 3) == items.shape[1]
    assert torch.cat([table.users for table in found.tables])[found.place].tolist() == list(range(len(lengths)))
    assert cells(found) <= 2 * sum(lengths) + 3 * len(lengths) + lists._SMALL


def test_a_long_list_does_not_widen_the_others() -> None:
    assert cells(made([4] * 40_000 + [5000])) == 40_000 * 4 + 5000


def test_lists_that_do_not_fit_the_items_are_rejected() -> None:
    for items, count in (([0, 1], [1, 2]), ([0, 5], [1, 1]), ([-1, 0], [1, 1])):
        with refused("candidates"):
            Lists.make(torch.tensor(items), torch.tensor(count), 1, 5)


def test_noise_has_rows_of_one_width_unless_indices_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = made([2, 5, 4], 1)
    assert found.num_draws == 15
    assert [table.first_draw.tolist() for table in found.tables] == [[0, 5, 10]]
    monkeypatch.setattr(lists, "MOST", 14)
    found = made([2, 5, 4], 1)
    assert found.num_draws == 16
    assert [table.first_draw.tolist() for table in found.tables] == [[0, 2, 7]]


@pytest.mark.parametrize("count", [1, 7, 300])
def test_rows_of_noise_are_those_of_one_long_row(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    key, starts = world_key(3, torch.arange(3)), [0, 5, 12_345, (1 << 31) - 2, MOST - count, *range(90)]
    first = torch.tensor(starts).to(torch.int32)
    rows = uniform_rows(key, 4, Stream.SLATE, first, count)
    for row, start in enumerate(starts):
        assert torch.equal(rows[:, row], uniform(key, 4, Stream.SLATE, (count,), start))
    monkeypatch.setattr(kernels, "available", lambda: False)
    assert torch.equal(rows, uniform_rows(key, 4, Stream.SLATE, first, count))


def logged(lengths: list[int], **changes: Any) -> Market:
    pairs = [(user, (user * 37 + j * 11) % 409) for user, length in enumerate(lengths) for j in range(length)]
    user, item = zip(*pairs, strict=True)
    log = make_log(pl.DataFrame({"user": user, "item": item, "reward": [u % 5 for u in user]}))
    config = logged_market_config(log, embedding_size=4, **changes)
    return Market(config, LoggedBehaviour(log, log, config))


@pytest.fixture
def skewed(monkeypatch: pytest.MonkeyPatch) -> Market:
    monkeypatch.setattr(lists, "_SMALL", 0)
    return logged([200, 3, 90, *[2] * 30, *[9] * 20])


def test_slates_are_those_of_one_padded_table(skewed: Market) -> None:
    found = skewed.constants.lists
    assert found is not None
    assert len(found.tables) > 2
    state = skewed.reset(range(2))
    items, valid = found.padded()
    score = state.user_vector @ state.population.item_vector.transpose(1, 2) / skewed.config.temperature
    score = score.gather(2, items.expand(2, -1, -1)).masked_fill(~valid, -torch.inf)
    noise = gumbel(state.key, state.time, Stream.SLATE, tuple(items.shape))
    index, shown, log_propensity = plackett_luce(score, noise, skewed.config.slate_size)
    assert torch.equal(state.slate.valid, shown)
    assert torch.equal(state.slate.items[shown], items.expand(2, -1, -1).gather(2, index)[shown])
    torch.testing.assert_close(state.slate.log_propensity, log_propensity, rtol=1e-5, atol=2e-5)


def test_a_platform_still_sees_every_candidate_in_one_width(skewed: Market) -> None:
    state = skewed.reset(range(2))
    seen = skewed.observe(state, "platform")
    assert seen.mask.shape[2] == 1 + skewed.spec_of("platform").num_options == 201
    assert seen.mask[0, :3, 1:].sum(1).tolist() == [200, 3, 90]
    count = count_candidates(skewed.constants, state)
    assert torch.equal(count, candidates_of(skewed.constants, state).valid.sum(2))


@pytest.mark.parametrize("named", [True, False])
def test_a_platform_sees_a_draw_of_lists_that_are_too_long(named: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "_SMALL", 0)
    monkeypatch.setattr(slates, "_MOST_CELLS", 1 << 22 if named else 53 * 200 - 1)  # 4 slates of 5 each
    market = logged([200, 3, 90, *[2] * 30, *[9] * 20], **({"num_candidates": 20} if named else {}))
    found, state = market.constants.lists, market.reset(range(3))
    assert found is not None
    assert [width for width in (table.items.shape[1] for table in found.tables) if width > 20]
    seen = market.observe(state, "platform")
    assert seen.mask.shape == (3, 53, 21)
    assert seen.mask[:, :, 1:].sum(2).tolist() == [[20, 3, 20, *[2] * 30, *[9] * 20]] * 3
    whole, valid = found.padded()
    for user in range(53):
        listed = set(whole[user, valid[user]].tolist())
        for world in range(3):
            items = seen.ids[world, user, seen.mask[world, user, 1:]].tolist()
            assert len({*items}) == len(items)
            assert {*items} <= listed
            own = state.slate.items[world, user, state.slate.valid[world, user]].tolist()
            assert {*own} <= {*items}  # the market draws its own slates so, and fewer
    assert {*seen.ids[0, 0].tolist()} != {*seen.ids[1, 0].tolist()}
    slots = torch.tensor([20, 3, 1, 2, 0]).expand(3, 53, 5)
    shown = market.offer(state, slots, torch.zeros(3, 53)).slate
    assert torch.equal(shown.items[:, 0, :4], seen.ids[:, 0, [19, 2, 0, 1]])
    assert shown.log_propensity.isnan().all()  # the chance of the first stage is not known


def held(record: Any) -> Iterator[Tensor]:
    """Every tensor of tuples and records, however deep."""
    if isinstance(record, Tensor):
        yield record
    elif isinstance(record, TensorRecord):
        yield from record.tensors()
    elif isinstance(record, tuple):
        for value in record:
            yield from held(value)


def test_tables_of_a_market_grow_with_the_rows() -> None:
    """Two heavy users among 3,000: case `one-heavy-user`."""
    def size(lengths: list[int]) -> int:
        market = logged(lengths)
        storage = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes()
                   for x in held((market.constants.lists, market.behaviour._tables))}  # type: ignore[attr-defined]
        return sum(storage.values())

    light = [4] * 3000
    assert size([409, *light, 300]) <= 1.2 * size(light)
