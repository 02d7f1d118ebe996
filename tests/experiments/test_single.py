"""What is written in single-file style here: that it learns, and that PQN's returns are those of the agent."""

import numpy as np
import pytest
import torch

from interplay.agents.parts.returns import lambda_returns
from interplay.agents.pqn import PQNOptions
from interplay.experiments.studies.speed.single import SINGLES, Moved, SingleWorldPQN

_STEPS = {"single-dqn": 2_000, "single-pqn": 6_000}  # a learner that uses each step once or twice needs more of them


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.slow) for name in ("single-dqn", "single-pqn")])
def test_it_learns_to_take_what_pays(name: str) -> None:
    """On the market where being myopic costs nothing, a little training beats chance, which earns .4 a step."""
    agent = SINGLES[name]("kale-null", seed=3)
    paid: list[float] = []
    learn = agent._learn

    def watched(step: Moved) -> None:
        paid.append(step.reward)
        learn(step)

    agent._learn = watched  # type: ignore[method-assign]
    for _ in range(_STEPS[name]):
        agent.play()
    assert agent.count == _STEPS[name]
    assert np.mean(paid[-500:]) > 0.5 > np.mean(paid[:100])


def test_returns_are_those_of_the_agent() -> None:
    agent = SingleWorldPQN("kale")
    rng = np.random.default_rng(0)
    ended, cut = [False, True, False, False, False], [False, False, False, True, False]
    mask = np.arange(agent._num_actions) < 3
    agent._rollout = [Moved(rng.random(agent._size, np.float32), 0, float(n), rng.random(agent._size, np.float32), mask,
                            ended[n], cut[n]) for n in range(5)]
    after = torch.from_numpy(np.stack([step.after for step in agent._rollout]))
    with torch.no_grad():
        ahead = agent._online(after)[:, :3].amax(1)
    discount = torch.tensor([0.0 if end else 0.97 for end in ended])
    wanted = lambda_returns(torch.arange(5.0), discount, torch.tensor(cut), ahead, PQNOptions().trace_decay)
    assert torch.allclose(torch.tensor(agent._returns()), wanted)
