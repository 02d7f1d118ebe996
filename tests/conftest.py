"""Settings for all tests."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from interplay.agents import JointAgent, Setting, find_agent
from interplay.envs.market import Market
from interplay.envs.types import SIDES
from interplay.experiments.loop.players import Players

gc.set_threshold(50_000)  # each look for garbage goes through all that is imported: a tenth of the time of tests

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Real logs, beside the checkout; tests that need one skip where it is missing."""


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Small tensors and several test processes: torch's own threads would only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither read nor fill the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTERPLAY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def own_imports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test imports from its own folder or from examples/ is forgotten: others have files of the same names."""
    before = set(sys.modules)
    yield
    folders = (EXAMPLES, tmp_path_factory.getbasetemp().resolve())
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and any(Path(file).resolve().is_relative_to(folder) for folder in folders):
            del sys.modules[name]


@pytest.fixture
def interpreted() -> Callable[[str], None]:
    """Runs a file as a program in which Triton interprets kernels: it decides when it is imported whether to do so."""
    if find_spec("triton") is None:
        pytest.skip("Triton is not installed")

    def run(file: str) -> None:
        done = subprocess.run([sys.executable, file], env={**os.environ, "TRITON_INTERPRET": "1"}, check=False,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return run


@pytest.fixture
def players_of() -> Callable[..., Players]:
    """Makes players in which an agent plays all that it can of users and items, or else the platform."""

    def make(name: str, market: Market, setting: Setting, options: Callable[[type], Any]) -> Players:
        kind = find_agent(name)
        if issubclass(kind, JointAgent):
            return Players(dict.fromkeys(SIDES, kind(market.specs, setting, options(kind))))
        sides = [side for side in SIDES if side in kind.plays]
        players = {side: kind(market.specs[side], setting, options(kind)) if side in sides
                   else find_agent("random")(market.specs[side], setting) for side in SIDES}
        if not sides:
            players["platform"] = kind(market.platform_spec, setting, options(kind))
        return Players(players)

    return make


@pytest.fixture
def ml_100k() -> Path:
    """The folder of MovieLens-100K."""
    path = DATA / "ml-100k"
    if not (path / "u.data").is_file():
        pytest.skip("MovieLens-100K is not beside the checkout")
    return path


@pytest.fixture
def coat() -> Path:
    """The folder of Coat Shopping."""
    path = DATA / "coat"
    if not (path / "train.ascii").is_file():
        pytest.skip("Coat is not beside the checkout")
    return path
