"""Memories keep numbers of items in place of what follows from these, and give back the same bits."""

import numpy as np
import pytest
import torch

from interplay.envs.behaviour.logged import LoggedBehaviour
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.loop.run import Run


@pytest.fixture
def log(tmp_path):
    """Twelve users and nine items; not all have met."""
    rng = np.random.default_rng(0)
    lines = [f"{user},{item},{rng.integers(1, 6)}" for user in range(12) for item in range(9) if rng.random() < 0.7]
    file = tmp_path / "log.csv"
    file.write_text("\n".join(["user,item,reward", *lines]))
    return file


def trained(log, folder, steps, **players):
    chosen = {"users": "random", "items": "rest", "num_worlds": 2} | players
    run = Run.start(TrainSettings(log=log, device="cpu", **chosen), folder)
    for _ in range(steps):
        run.step()
    return run


CASES = {
    "platform": {"platform": "dqn,warm_up=20,hidden=16"}, "slateq": {"platform": "slateq,warm_up=20,hidden=16"},
    "priority and several steps": {"users": "dqn,warm_up=20,priority=0.5,num_steps=2,hidden=16", "missing": "zero"},
    "history": {"users": "shared-critic,warm_up=20,hidden=16", "market": ("user_sees=history", "history_length=3")},
    "another mechanism": {"users": "dqn,warm_up=20,sharing=independent,batch_size=24", "mechanism": ("clock",)}}


@pytest.mark.parametrize("case", CASES)
def test_agents_learn_the_same_bits_whether_columns_are_kept_or_gathered(case, log, tmp_path, monkeypatch):
    side, weights = "platform" if "platform" in CASES[case] else "users", []
    for same_items, steps in ((True, 12), (False, 12), (False, 0)):
        monkeypatch.setattr(LoggedBehaviour, "same_items", same_items)
        run = trained(log, tmp_path, steps, **CASES[case])
        assert (run.task.market.specs["users"].catalogue is not None) == same_items
        weights.append(torch.cat([weight.flatten() for weight in run.players.by_side[side].online.parameters()]))
    gathered, kept, at_first = weights
    assert not torch.equal(kept, at_first)
    assert torch.equal(gathered, kept)


@pytest.mark.parametrize("case", ["platform", "history", "another mechanism"])
def test_what_was_seen_comes_back_to_the_bit_and_is_smaller(case, log, tmp_path):
    run = trained(log, tmp_path, 3, **CASES[case])
    side = "platform" if case == "platform" else "users"
    spec, state = run.task.market.spec_of(side), run.now.state
    seen = run.task.market.observe(state, side)
    assert not state.slate.valid.all() or case != "platform" or not seen.mask[..., 1:].all()  # empty slots stay empty
    kept = spec.catalogue.without(seen)
    columns = [spec.option_features[place] for place in spec.catalogue.kept.tolist()]
    expected = ["wearout", "energy", "popularity", "examination"]
    assert columns == (expected if case != "another mechanism" else [
        *expected, *(name for name in spec.option_features if name.startswith("match"))])
    assert kept.options.shape[-1] == len(columns)
    again = spec.catalogue.restored(kept)
    assert torch.equal(again.options, seen.options)
    assert torch.equal(again.ids, seen.ids)
    assert again.ids.dtype == seen.ids.dtype


def test_a_memory_of_numbers_is_saved_and_resumed(log, tmp_path):
    run = trained(log, tmp_path, 6, **CASES["platform"])
    other = trained(log, tmp_path, 0, **CASES["platform"])
    other.players.load_state_dict(run.players.state_dict())
    (one,), (two,) = (r.players.by_side["platform"]._replay.at(torch.tensor([3, 7]))[:1] for r in (run, other))
    assert all(torch.equal(a, b) for a, b in zip(one.tensors(), two.tensors(), strict=True))


def test_rows_without_a_catalogue_are_kept_as_they_are(log, tmp_path, monkeypatch):
    monkeypatch.setattr(LoggedBehaviour, "same_items", False)
    run = trained(log, tmp_path, 1, **CASES["platform"])
    assert "_catalogue" not in run.players.by_side["platform"]._replay.state_dict()
