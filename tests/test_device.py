"""Device independence, proved without a GPU.

Tensors on the ``meta`` device have no values: reading one from the host raises, and so does mixing it with a tensor
that was made on the CPU by mistake. What runs there runs on any device without waiting for it.
"""

import pytest
import torch

from interplay.agents import Setting, agents, find_agent
from interplay.envs.presets import find_preset
from interplay.envs.types import SIDES
from interplay.experiments.loop.play import iterate, look

SMALL = {"warm_up": 2, "batch_size": 4, "rollout_length": 2, "num_minibatches": 1}
"""Options that make deep agents take a gradient step in their second step."""


@pytest.mark.parametrize("preset", ["kale", "town", "viability", "contest"])
def test_a_core_step_never_touches_the_host(preset):
    market = find_preset(preset).market("meta")
    state = market.reset([3, 4])
    actions = [torch.zeros((2, market.specs[side].num_agents), dtype=torch.int64, device="meta") for side in SIDES]
    state, step = market.step(state, *actions)
    found = [*state.tensors(), *step.tensors()]
    for side in SIDES:
        found += market.observe(state, side, expected=True).tensors()
    assert len(found) > 40
    assert {tensor.device.type for tensor in found} == {"meta"}


def small(kind):
    return kind.Options(**{k: v for k, v in SMALL.items() if k in kind.Options.__dataclass_fields__})


@pytest.mark.parametrize(("name", "preset"), [
    *((name, "kale-partial") for name in agents()),  # with a history
    *(pytest.param(name, "town", marks=[] if name in ("dqn", "mappo") else pytest.mark.slow)  # with all that items do
      for name in agents())])
def test_a_training_iteration_never_touches_the_host(name, preset, players_of):
    """``q-learning`` fits clusters, which it does once and on the host, after these steps."""
    market = find_preset(preset).market("meta")
    players = players_of(name, market, Setting(seed=1, device=market.device, total_steps=10), small)
    now = look(market, players, market.reset([0, 1]))
    losses = set()
    for _ in range(2):
        now, step, metrics = iterate(market, players, now)
        losses |= {metric for metric in metrics if metric.endswith("/loss")}
    assert {tensor.device.type for tensor in [*now.state.tensors(), *step.tensors()]} == {"meta"}
    if set(SMALL) & set(find_agent(name).Options.__dataclass_fields__):
        assert losses  # a gradient step was among them


def test_the_meta_device_does_catch_a_read_from_the_host():
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.ones(1, device="meta").item()
    with pytest.raises(RuntimeError):
        torch.ones(3, device="meta") + torch.ones(3)
