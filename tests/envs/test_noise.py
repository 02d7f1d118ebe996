import math

import pytest
import torch
from scipy import stats

from interplay.envs.behaviour.synthetic import SyntheticBehaviour, TownPopulation
from interplay.envs.config import MarketConfig
from interplay.envs.market import Market
from interplay.envs.mechanisms.boosts import Boosts
from interplay.envs.mechanisms.drift import Drift
from interplay.envs.noise import MOST, Stream, any_of, gumbel, normal, uniform, world_key
from interplay.envs.presets import find_preset
from refusals import refused

KEY = world_key(7, torch.arange(4))


def test_uniform_draws_are_uniform():
    draws = uniform(KEY, 3, Stream.SLATE, (250_000,)).flatten().numpy()
    assert draws.min() > 0.0
    assert draws.max() < 1.0
    assert stats.kstest(draws, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(("draw", "law"), [(gumbel, "gumbel_r"), (normal, "norm")])
def test_other_laws(draw, law):
    assert stats.kstest(draw(KEY, 1, Stream.DRIFT, (100_000,)).flatten().numpy(), law).pvalue > 1e-3


NEIGHBOURS = {
    "step": lambda n: (uniform(KEY, 5, 2, (n,)), uniform(KEY, 6, 2, (n,))),
    "stream": lambda n: (uniform(KEY, 5, 2, (n,)), uniform(KEY, 5, 3, (n,))),
    "world": lambda n: (uniform(KEY[:2], 5, 2, (n,)), uniform(KEY[2:], 5, 2, (n,))),
    "index": lambda n: (uniform(KEY, 5, 2, (n,)), uniform(KEY, 5, 2, (n,), offset=1)),
    "seed": lambda n: (uniform(KEY, 5, 2, (n,)), uniform(world_key(8, torch.arange(4)), 5, 2, (n,))),
    "high bits of the seed": lambda n: (uniform(KEY, 5, 2, (n,)),
                                        uniform(world_key(7 + (1 << 40), torch.arange(4)), 5, 2, (n,))),
}


@pytest.mark.parametrize("what", NEIGHBOURS)
def test_neighbours_are_independent(what):
    one, other = (x.flatten() for x in NEIGHBOURS[what](100_000))
    assert not torch.equal(one, other)
    correlation = torch.corrcoef(torch.stack([one, other]))[0, 1].item()
    assert abs(correlation) < 5.0 / math.sqrt(len(one))


def test_steps_of_one_index_are_uniform_and_uncorrelated():
    draws = torch.cat([uniform(KEY[:1], step, Stream.RESPONSE, (1,)).flatten() for step in range(20_000)])
    assert stats.kstest(draws.numpy(), "uniform").pvalue > 1e-3
    assert abs(torch.corrcoef(torch.stack([draws[1:], draws[:-1]]))[0, 1].item()) < 5.0 / math.sqrt(len(draws))


def test_pieces_make_the_whole():
    whole = uniform(KEY, 9, Stream.SLATE, (100,))
    pieces = [uniform(KEY, 9, Stream.SLATE, (50,), offset=0), uniform(KEY, 9, Stream.SLATE, (50,), offset=50)]
    assert torch.equal(whole, torch.cat(pieces, dim=1))


def test_a_world_alone_draws_as_in_a_batch():
    alone = uniform(world_key(7, torch.tensor([2])), 9, Stream.SLATE, (100,))
    assert torch.equal(alone[0], uniform(KEY, 9, Stream.SLATE, (100,))[2])


def test_a_step_may_be_a_number_or_one_for_each_world():
    steps = torch.full((4,), 9, dtype=torch.int32)
    assert torch.equal(uniform(KEY, steps, 1, (10,)), uniform(KEY, 9, 1, (10,)))


def test_draws_never_reach_zero_or_one_and_never_change():
    """The extremes of 23 bits, and a golden value: other noise would be another world for everybody."""
    draws = uniform(KEY, 0, Stream.SLATE, (1 << 20,))
    assert torch.isfinite(gumbel(KEY, 0, Stream.SLATE, (1 << 20,))).all()
    assert 0.0 < draws.min() < 1e-6
    assert 1.0 - 1e-6 < draws.max() < 1.0
    assert uniform(KEY, 1, 1, (3,))[0].tolist() == pytest.approx(GOLDEN, abs=1e-7)


GOLDEN = [0.2004711, 0.8433996, 0.4374462]


def test_bins_fill_evenly_and_moments_are_those_of_the_law():
    draws = uniform(KEY, 4, Stream.SLATE, (250_000,)).flatten().double()
    counts = (draws * 1000).long().bincount(minlength=1000)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3
    assert abs(draws.mean().item() - 0.5) < 4.0 * math.sqrt(1 / 12 / len(draws))
    assert abs(draws.var().item() - 1 / 12) < 4.0 * math.sqrt(1 / 180 / len(draws))  # kurtosis of the uniform law


@pytest.mark.parametrize("what", NEIGHBOURS)
def test_neighbours_fill_the_square_evenly(what):
    """Stronger than correlation: pairs that do not overlap, over 16 x 16 cells."""
    one, other = (x.flatten()[::2] for x in NEIGHBOURS[what](100_000))
    counts = ((one * 16).long() * 16 + (other * 16).long()).bincount(minlength=256)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_no_two_streams_share_draws_at_any_steps():
    """2 x 23 bits of 9 streams in 400 steps: by chance none of the 3,600 pairs should come twice."""
    drawn = torch.stack([torch.cat([uniform(KEY[:1], step, stream, (2,)) for step in range(400)]) for stream in Stream])
    assert len(drawn.view(-1, 2).unique(dim=0)) == len(Stream) * 400


def test_consecutive_worlds_are_uniform_and_uncorrelated():
    draws = uniform(world_key(7, torch.arange(200_000)), 5, Stream.RESPONSE, (1,)).flatten()
    assert stats.kstest(draws.numpy(), "uniform").pvalue > 1e-3
    assert abs(torch.corrcoef(torch.stack([draws[1:], draws[:-1]]))[0, 1].item()) < 5.0 / math.sqrt(len(draws))


def test_each_world_is_drawn_at_its_own_step():
    steps = torch.tensor([9, 0, 3, 70_000], dtype=torch.int32)
    draws = uniform(KEY, steps, 1, (10,))
    for world, step in enumerate(steps.tolist()):
        assert torch.equal(draws[world], uniform(KEY, step, 1, (10,))[world])


MASK = torch.ones(4, 3, 2, dtype=torch.bool)


@pytest.mark.parametrize(("draw", "named"), [
    (lambda: uniform(KEY, 0, 1, (10,), offset=MOST - 9), [MOST + 1]),
    (lambda: uniform(KEY, 0, 1, (MOST, 2)), [2 * MOST]), (lambda: normal(KEY, 0, 1, (MOST // 2 + 1,)), [MOST + 2]),
    (lambda: any_of(KEY, 0, 1, MASK, offset=MOST - 5), [MOST + 1]),
    (lambda: uniform(KEY, MOST, 1, (1,)), ["step", MOST]),
    (lambda: world_key(-1, torch.arange(3)), ["seed", -1]),
    (lambda: world_key(0, torch.tensor([0, MOST])), ["worlds", 0, MOST]),
    (lambda: world_key(0, torch.tensor([-1])), ["worlds", -1])])
def test_what_would_repeat_draws_is_rejected(draw, named):
    with refused(*named):
        draw()


def test_the_last_draws_differ_from_the_first():
    last = uniform(KEY, 0, 1, (10,), offset=MOST - 10)
    assert torch.equal(any_of(KEY, 0, 1, MASK, offset=MOST - 6),
                       uniform(KEY, 0, 1, (3, 2), offset=MOST - 6).argmax(2))
    assert not torch.isin(last, uniform(KEY, 0, 1, (10,))).any()


def test_long_seeds_are_hashed_and_others_stay_as_they_are():
    """Gymnasium draws seeds of 128 bits."""
    numbers = torch.arange(3)
    assert not torch.equal(world_key(7 + (1 << 64), numbers), world_key(7, numbers))
    assert not torch.equal(world_key(7 + (1 << 64), numbers), world_key(7 + (1 << 65), numbers))
    assert world_key((1 << 64) - 1, numbers).shape == (3, 2)


@pytest.mark.parametrize(("what", "sizes"), [
    ("slates", {"num_users": 1 << 20, "num_items": 1 << 13}),
    ("drift of tastes", {"num_users": 1 << 29, "num_items": 4, "mechanisms": (Drift(noise=0.1),)}),
    ("actions of items", {"num_users": 1 << 7, "num_items": 1 << 24, "num_segments": 1 << 7,
                          "mechanisms": (Boosts(),)})])
def test_a_market_whose_steps_would_repeat_draws_cannot_be_made(what, sizes):
    config = MarketConfig(**sizes)
    population = find_preset("kale").market().behaviour.populate
    with refused(what, MOST, fix="sizes"):
        Market(config, SyntheticBehaviour(population))


def test_people_who_would_repeat_draws_cannot_be_made():
    with refused("population", MOST, fix="sizes"):
        TownPopulation(MarketConfig(num_users=1 << 29))


def test_exact_states_beyond_64_bits_cannot_be_numbered():
    with refused("own", fix=("none", "num_topics")):
        find_preset("kale").market(num_topics=28)
