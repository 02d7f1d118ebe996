"""`dqn`: deep Q-learning with one network for a side, which scores each option.

Mnih et al., "Human-level control through deep reinforcement learning" (Nature 2015), with the double target of
van Hasselt et al., "Deep reinforcement learning with double Q-learning" (AAAI 2016), equation 4:

    target = r + discount * Q_target(s', argmax_a' Q(s', a')),

the arg max over allowed actions. The target network follows by Polyak averaging (Lillicrap et al. 2016). All
agents of the side share weights and memory: what tells them apart is what they see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from interplay.agents.base import Agent, Setting
from interplay.agents.parts.choosing import best, epsilon_greedy, linear
from interplay.agents.parts.networks import OptionScorer
from interplay.agents.parts.replay import Replay
from interplay.envs.noise import Stream
from interplay.envs.types import InterplayError, Observation, SideSpec, Transition


@dataclass(frozen=True)
class DQNOptions:
    """Hyper-parameters of ``dqn``."""

    learning_rate: float = 1e-3
    """Adam's step at the start; it falls linearly to a tenth."""
    hidden: int = 64
    """Width of the network."""
    batch_size: int = 256
    """Single-agent transitions of one update."""
    updates_per_step: int = 1
    """Updates for each step of the worlds."""
    capacity: int = 100_000
    """Single-agent transitions in memory."""
    warm_up: int = 2_000
    """Transitions in memory before the first update."""
    target_rate: float = 0.01
    """How far the target network moves to the online one at each update."""
    epsilon_start: float = 1.0
    """Share of random actions at the start."""
    epsilon_end: float = 0.05
    """Share of random actions from ``exploration_fraction`` on."""
    exploration_fraction: float = 0.5
    """Part of the training over which the share falls."""

    def __post_init__(self) -> None:
        if self.learning_rate <= 0.0:
            raise InterplayError(f"learning_rate={self.learning_rate} must be above 0")
        for name in ("hidden", "batch_size", "updates_per_step", "capacity"):
            if getattr(self, name) < 1:
                raise InterplayError(f"{name}={getattr(self, name)} must be at least 1")


class DQNAgent(Agent):
    """Double DQN with masks, on whatever device the market lives."""

    name: ClassVar[str] = "dqn"
    learns: ClassVar[bool] = True
    Options: ClassVar[type] = DQNOptions

    def __init__(self, spec: SideSpec, setting: Setting, options: DQNOptions | None = None) -> None:
        super().__init__(spec, setting, options)
        self.options: DQNOptions
        device = setting.device
        self.online = OptionScorer(spec, self.options.hidden, setting.seed, device)
        self.target = OptionScorer(spec, self.options.hidden, setting.seed, device)
        self.target.requires_grad_(False)
        # Off the CPU, Adam's own step counter must live on the device too, or each update waits for the host.
        self._optimiser = torch.optim.Adam(self.online.parameters(), lr=self.options.learning_rate,
                                           capturable=device.type == "cuda")
        self._replay = Replay(self.options.capacity)
        self._learned = 0

    @property
    def progress(self) -> float:
        """Part of the training that is done, 0 to 1."""
        return self._learned / max(1, self.setting.total_steps)

    @property
    def epsilon(self) -> float:
        """Share of random actions now."""
        o = self.options
        return linear(o.epsilon_start, o.epsilon_end, self.progress / o.exploration_fraction)

    @torch.no_grad()
    def act(self, observation: Observation, explore: bool) -> Tensor:
        """Epsilon-greedy on the online network."""
        values = self.online(observation.own, observation.options)
        if explore:
            return epsilon_greedy(self, values, observation.mask, self.epsilon)
        return best(values, observation.mask)

    def learn(self, transition: Transition) -> Mapping[str, Tensor]:
        """Remember the step, then update from memory."""
        self._learned += 1
        self._replay.add(_lean(transition))
        metrics: Mapping[str, Tensor] = {}
        if self._replay.size >= self.options.warm_up:
            for group in self._optimiser.param_groups:
                group["lr"] = linear(self.options.learning_rate, 0.1 * self.options.learning_rate, self.progress)
            for _ in range(self.options.updates_per_step):
                metrics = self._update()
        return {**metrics, "epsilon": torch.tensor(self.epsilon)}

    def _update(self) -> Mapping[str, Tensor]:
        sample = self._replay.sample(self.draw(self.options.batch_size, stream=Stream.REPLAY))
        seen = sample.observation
        values = self.online(seen.own, seen.options)
        value = values.gather(-1, sample.action.unsqueeze(-1)).squeeze(-1)
        error = torch.nn.functional.smooth_l1_loss(value, self._targets(sample), reduction="none")
        weight = sample.valid.float()
        loss = (error * weight).sum() / weight.sum().clamp(min=1.0)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._follow()
        return {"loss": loss.detach(), "value": value.detach().mean()}

    @torch.no_grad()
    def _targets(self, sample: Transition) -> Tensor:
        """Double-Q targets, float32 ``[S]``. What was cut off is bootstrapped through; what ended is not."""
        after = sample.next_observation
        chosen = best(self.online(after.own, after.options), after.mask)
        ahead = self.target(after.own, after.options).gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
        return sample.reward + self.setting.discount * torch.where(sample.terminated, 0.0, ahead)

    @torch.no_grad()
    def _follow(self) -> None:
        for slow, fast in zip(self.target.parameters(), self.online.parameters(), strict=True):
            slow.lerp_(fast, self.options.target_rate)

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimiser, memory and schedule."""
        return super().state_dict() | {
            "online": self.online.state_dict(), "target": self.target.state_dict(),
            "optimiser": self._optimiser.state_dict(), "replay": self._replay.state_dict(),
            "learned": self._learned}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        super().load_state_dict(state)
        self.online.load_state_dict(state["online"])
        self.target.load_state_dict(state["target"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._replay.load_state_dict(state["replay"], self.setting.device)
        self._learned = state["learned"]


def _lean(transition: Transition) -> Transition:
    """Without what the network does not read."""
    return replace(transition, observation=replace(transition.observation, state=None, expected=None),
                   next_observation=replace(transition.next_observation, state=None, expected=None))
