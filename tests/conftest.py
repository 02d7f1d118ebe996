"""Settings for all tests."""

from pathlib import Path

import pytest
import torch

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Real logs, beside the checkout; tests that need one skip where it is missing."""


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Small tensors and several test processes: torch's own threads would only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture
def ml_100k() -> Path:
    """The folder of MovieLens-100K."""
    path = DATA / "ml-100k"
    if not (path / "u.data").is_file():
        pytest.skip("MovieLens-100K is not beside the checkout")
    return path
