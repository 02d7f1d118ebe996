"""Device independence, proved without a GPU.

Tensors on the ``meta`` device have no values: reading one from the host raises, and so does mixing it with a tensor
that was made on the CPU by mistake. What runs there runs on any device without waiting for it.
"""

import pytest
import torch

from interplay.agents import Setting, find_agent
from interplay.envs.presets import find_preset
from interplay.envs.types import SIDES
from interplay.experiments.cast import Cast
from interplay.experiments.play import iterate, look

AGENTS = [("kale", "dqn", "rest"), ("kale", "q-learning", "rest"), ("town", "dqn", "dqn"), ("town", "greedy", "greedy"),
          ("viability", "q-learning", "rest"), ("contest", "first", "q-learning"), ("town", "popularity", "random")]


@pytest.mark.parametrize("preset", ["kale", "town", "viability", "contest"])
def test_a_core_step_never_touches_the_host(preset):
    market = find_preset(preset).market("meta")
    state = market.reset([3, 4])
    actions = [torch.zeros((2, market.specs[side].num_agents), dtype=torch.int64, device="meta") for side in SIDES]
    state, step = market.step(state, *actions)
    found = [*state.tensors(), *step.tensors()]
    for side in SIDES:
        found += market.observe(state, side, privileged=True).tensors()
    assert len(found) > 40
    assert {tensor.device.type for tensor in found} == {"meta"}


@pytest.mark.parametrize(("preset", "users", "items"), AGENTS)
def test_a_training_iteration_never_touches_the_host(preset, users, items):
    market = find_preset(preset).market("meta")
    setting = Setting(seed=1, device=market.device, total_steps=10)
    agents = {}
    for side, name in zip(SIDES, (users, items), strict=True):
        kind = find_agent(name)
        options = kind.Options(warm_up=2, batch_size=4) if name == "dqn" else None
        agents[side] = kind(market.specs[side], setting, options)
    cast = Cast(agents)
    now = look(market, cast, market.reset([0, 1]))
    for _ in range(3):
        now, step, metrics = iterate(market, cast, now)
    assert {tensor.device.type for tensor in [*now.state.tensors(), *step.tensors()]} == {"meta"}
    if "dqn" in (users, items):
        assert any(name.endswith("/loss") for name in metrics)  # a gradient step was among them


def test_the_meta_device_does_catch_a_read_from_the_host():
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.ones(1, device="meta").item()
    with pytest.raises(RuntimeError):
        torch.ones(3, device="meta") + torch.ones(3)
