"""FSRS-6 against its own package, and against values worked out by hand."""

import math
from datetime import UTC, datetime, timedelta

import pytest
import torch

from interplay.envs.mechanisms.memory import DEFAULT_WEIGHTS, FSRS, Memory

HISTORIES, REVIEWS = 1_000, 12


@pytest.fixture(autouse=True)
def _in_double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_a_memory_is_recalled_by_nine_tenths_after_as_many_days_as_its_stability():
    days = torch.tensor([0.5, 3.0, 400.0])
    torch.testing.assert_close(FSRS().recall(days, days), torch.full((3,), 0.9))


def test_the_first_reviews_by_hand():
    first = FSRS().first(torch.tensor([3]))
    assert first.stability.item() == 2.3065
    assert first.difficulty.item() == pytest.approx(6.4133 + 1.0 - math.exp(2 * 0.8334))
    later = FSRS().review(first, torch.tensor([2.3065]), torch.tensor([3]))
    growth = math.exp(1.8722) * (11.0 - first.difficulty.item()) * 2.3065**-0.1666 * (math.exp(0.1 * 0.796) - 1.0)
    assert later.stability.item() == pytest.approx(2.3065 * (1.0 + growth))


def test_a_thousand_random_histories_are_those_of_the_package():
    fsrs = pytest.importorskip("fsrs")
    assert tuple(fsrs.Scheduler().parameters) == DEFAULT_WEIGHTS
    generator = torch.Generator().manual_seed(0)
    rating = torch.randint(1, 5, (REVIEWS, HISTORIES), generator=generator)
    days = torch.randint(0, 60, (REVIEWS, HISTORIES), generator=generator)
    days[torch.rand(days.shape, generator=generator) < 0.2] = 0  # a second review on the same day
    found, memory = [], FSRS().first(rating[0])
    for step in range(1, REVIEWS):
        found.append(torch.stack([FSRS().recall(memory.stability, days[step]), *memory]))
        memory = FSRS().review(memory, days[step], rating[step])
    expected = [_history(fsrs, days[:, n].tolist(), rating[:, n].tolist()) for n in range(HISTORIES)]
    torch.testing.assert_close(torch.stack(found), torch.stack(expected, dim=2), rtol=1e-6, atol=1e-6)


def _history(fsrs, days, ratings):
    """Recall before each review but the first, and stability and difficulty until then, ``[REVIEWS - 1, 3]``."""
    scheduler = fsrs.Scheduler(enable_fuzzing=False)
    now, card, rows = datetime(2025, 1, 1, tzinfo=UTC), fsrs.Card(), []
    card, _ = scheduler.review_card(card, fsrs.Rating(ratings[0]), now)
    for passed, rating in zip(days[1:], ratings[1:], strict=True):
        now += timedelta(days=passed)
        rows.append([scheduler.get_card_retrievability(card, now), card.stability, card.difficulty])
        card, _ = scheduler.review_card(card, fsrs.Rating(rating), now)
    return torch.tensor(rows)


def test_memories_of_any_shape():
    memory = Memory(torch.full((2, 3, 4), 5.0), torch.full((2, 3, 4), 5.0))
    after = FSRS().review(memory, torch.full((2, 3, 4), 2.0), torch.full((2, 3, 1), 3))
    assert after.stability.shape == after.difficulty.shape == (2, 3, 4)
