"""What people write today: an algorithm in one file on the Gymnasium view, one world, one environment step at a time.

The algorithms and their hyper-parameters are those of ``dqn`` and ``pqn`` here (DQN double, Huber, Polyak averaging;
PQN with Peng's Q(lambda) and normalised layers). What differs is what a single file has: one world, a network with an
output for each action, and a learning rate and a share of random actions that stay as they are.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import interplay  # noqa: F401  # registers the environment
from interplay.agents.dqn import DQNOptions
from interplay.agents.parts.networks import draw_weights, linear_layer
from interplay.agents.parts.schedules import check_above_zero
from interplay.agents.pqn import PQNOptions
from interplay.envs.checking import Checked
from interplay.envs.types import InterplayError

_DQN, _PQN = DQNOptions(), PQNOptions()
_DISCOUNT, _EPSILON, _WARM_UP = 0.97, 0.1, 500


class Moved(NamedTuple):
    """One step of the environment.

    Attributes:
        before: what was seen.
        action: what was done.
        reward: what that earned.
        after: what was seen next, in the same episode.
        mask: what was allowed then.
        terminated: whether the episode ended.
        truncated: whether it was cut off.
    """

    before: NDArray[np.float32]
    action: int
    reward: float
    after: NDArray[np.float32]
    mask: NDArray[np.bool_]
    terminated: bool
    truncated: bool


class SingleWorld(ABC):
    """A recommender of one user learns by values.

    Must be overridden: ``_learn``.

    Args:
        preset: the market.
        seed: of all of its chance.
        options: an instance of the class's ``Options``.
        layer_norm: whether hidden layers are normalised.

    Attributes:
        count: steps taken.
    """

    Options: ClassVar[type]

    def __init__(self, preset: str, seed: int = 0, options: Any = None, layer_norm: bool = False) -> None:
        self._env = gymnasium.make("interplay/Recommend-v0", preset=preset)
        self._rng = np.random.default_rng(seed)
        self.options = options if options is not None else self.Options()
        box, choices = self._env.observation_space, self._env.action_space
        assert isinstance(box, gymnasium.spaces.Box)
        assert isinstance(choices, gymnasium.spaces.Discrete)
        self._size, self._num_actions = box.shape[0], int(choices.n)
        self._online = _network((self._size, _DQN.hidden, _DQN.hidden, self._num_actions), layer_norm)
        draw_weights(self._online, seed, "single")
        self._adam = torch.optim.Adam(self._online.parameters(), lr=self.options.learning_rate)
        self.count = 0
        self._seen, self._info = self._env.reset(seed=seed)

    def play(self) -> None:
        """One step of the environment, and the updates after it."""
        before, action = self._seen, self._act()
        seen, reward, terminated, truncated, info = self._env.step(action)
        self.count += 1
        self._seen, self._info = self._env.reset() if terminated or truncated else (seen, info)
        self._learn(Moved(before, action, float(reward), seen, info["action_mask"].astype(np.bool_), terminated,
                          truncated))

    def best(self, seen: NDArray[np.float32], mask: NDArray[np.int8]) -> NDArray[np.int64]:
        """The actions of highest value, int64 ``[N]``, for rows ``seen [N, F]`` and their masks ``[N, 1 + K]``."""
        with torch.no_grad():
            values = self._online(torch.from_numpy(seen)).numpy()
        choice: NDArray[np.int64] = np.argmax(np.where(mask, values, -np.inf), axis=-1)
        return choice

    @abstractmethod
    def _learn(self, step: Moved) -> None:
        """Take a step in, and learn if it is time."""

    def _act(self) -> int:
        mask = self._info["action_mask"]
        if self._rng.random() < _EPSILON:
            return int(np.argmax(self._rng.random(len(mask)) * mask))
        return int(self.best(self._seen, mask))

    def _value(self, before: Tensor, action: Tensor) -> Tensor:
        value: Tensor = self._online(before).gather(1, action.unsqueeze(1)).squeeze(1)
        return value


@dataclass(frozen=True)
class SingleDQNOptions(Checked):
    """Hyper-parameters of ``SingleWorldDQN``."""

    learning_rate: float = _DQN.learning_rate
    """Adam's step."""
    target_rate: float = _DQN.target_rate
    """How far the target network moves to the online one at each update."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_above_zero(self, "learning_rate", "target_rate")


class SingleWorldDQN(SingleWorld):
    """Double DQN: an update from memory follows every step."""

    Options: ClassVar[type] = SingleDQNOptions

    def __init__(self, preset: str, seed: int = 0, options: SingleDQNOptions | None = None) -> None:
        super().__init__(preset, seed, options, layer_norm=False)
        self._target = copy.deepcopy(self._online)
        size = _DQN.capacity
        self._before, self._after = (np.zeros((size, self._size), np.float32) for _ in range(2))
        self._masks = np.zeros((size, self._num_actions), np.bool_)
        self._actions, self._rewards = np.zeros(size, np.int64), np.zeros(size, np.float32)
        self._ended = np.zeros(size, np.float32)

    def _learn(self, step: Moved) -> None:
        at = (self.count - 1) % _DQN.capacity
        self._before[at], self._actions[at], self._rewards[at] = step.before, step.action, step.reward
        self._after[at], self._masks[at], self._ended[at] = step.after, step.mask, step.terminated
        if self.count >= _WARM_UP:
            self._update()

    def _update(self) -> None:
        rows = self._rng.integers(0, min(self.count, _DQN.capacity), _DQN.batch_size)
        before, after, masks, actions, rewards, ended = (torch.from_numpy(table[rows]) for table in (
            self._before, self._after, self._masks, self._actions, self._rewards, self._ended))
        with torch.no_grad():
            choice = self._online(after).masked_fill(~masks, -torch.inf).argmax(1, keepdim=True)
            target = rewards + _DISCOUNT * (1.0 - ended) * self._target(after).gather(1, choice).squeeze(1)
        self._adam.zero_grad()
        nn.functional.smooth_l1_loss(self._value(before, actions), target).backward()  # type: ignore[no-untyped-call]
        self._adam.step()
        with torch.no_grad():
            for kept, moved in zip(self._target.parameters(), self._online.parameters(), strict=True):
                kept.lerp_(moved, self.options.target_rate)


@dataclass(frozen=True)
class SinglePQNOptions(Checked):
    """Hyper-parameters of ``SingleWorldPQN``."""

    learning_rate: float = _PQN.learning_rate
    """Adam's step."""
    rollout_length: int = 128
    """Steps between two rounds of updates: one world needs more of them than many do."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_above_zero(self, "learning_rate")
        if _PQN.num_minibatches > self.rollout_length:
            raise InterplayError(f"num_minibatches={_PQN.num_minibatches} of a rollout of {self.rollout_length} steps: "
                                 "each needs a step, make rollouts longer")


class SingleWorldPQN(SingleWorld):
    """PQN: a few passes over every rollout, with no replay and no target network."""

    Options: ClassVar[type] = SinglePQNOptions

    def __init__(self, preset: str, seed: int = 0, options: SinglePQNOptions | None = None) -> None:
        super().__init__(preset, seed, options, layer_norm=True)
        self._rollout: list[Moved] = []

    def _learn(self, step: Moved) -> None:
        self._rollout.append(step)
        if len(self._rollout) == self.options.rollout_length:
            self._update()
            self._rollout.clear()

    def _update(self) -> None:
        before = torch.from_numpy(np.stack([step.before for step in self._rollout]))
        action = torch.tensor([step.action for step in self._rollout])
        returns = torch.tensor(self._returns(), dtype=torch.float32)
        for _ in range(_PQN.num_epochs):
            for part in np.array_split(self._rng.permutation(len(returns)), _PQN.num_minibatches):
                self._fit(before[part], action[part], returns[part])

    def _returns(self) -> list[float]:
        """What ``lambda_returns`` gives, by plain numbers, because tensors of one number each would take longer."""
        with torch.no_grad():
            values = self._online(torch.from_numpy(np.stack([step.after for step in self._rollout]))).numpy()
        ahead = np.where([step.mask for step in self._rollout], values, -np.inf).max(1).tolist()
        decay, later = _PQN.trace_decay, ahead[-1]
        returns: list[float] = []
        for value, step in zip(reversed(ahead), reversed(self._rollout), strict=True):
            mixed = value if step.truncated else (1.0 - decay) * value + decay * later
            later = step.reward + (0.0 if step.terminated else _DISCOUNT * mixed)
            returns.append(later)
        return returns[::-1]

    def _fit(self, before: Tensor, action: Tensor, returns: Tensor) -> None:
        self._adam.zero_grad()
        nn.functional.smooth_l1_loss(self._value(before, action), returns).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._online.parameters(), _PQN.max_norm)
        self._adam.step()


SINGLES: dict[str, type[SingleWorld]] = {"single-dqn": SingleWorldDQN, "single-pqn": SingleWorldPQN}
"""Single-file learners by name: ``single-`` and the agent that has the same algorithm."""


def _network(widths: Sequence[int], layer_norm: bool) -> nn.Sequential:
    """Linear layers with rectifiers between them; weights are not drawn yet."""
    cpu, layers = torch.device("cpu"), list[nn.Module]()
    for inputs, outputs in pairwise(widths):
        layers += [linear_layer(inputs, outputs, cpu), *([nn.LayerNorm(outputs)] if layer_norm else []), nn.ReLU()]
    return nn.Sequential(*layers[:-1 - layer_norm])  # the last layer's numbers are values as they are
