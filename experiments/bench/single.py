"""What people write today: DQN in one file on the Gymnasium view, one world, one environment step at a time.

The algorithm, its network and its update are those of ``dqn`` here (double, Huber, Polyak averaging), so that the
difference is in the world and the loop alone.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import interplay  # noqa: F401  # registers the environment
from interplay.agents.parts.networks import draw_weights, linear_layer

_HIDDEN, _BATCH, _CAPACITY, _WARM_UP = 64, 256, 100_000, 500
_DISCOUNT, _EPSILON = 0.97, 0.1


class SingleWorldDQN:
    """A recommender of one user learns; an update follows every step of the environment.

    Args:
        preset: the market.
        seed: of all of its chance.
        learning_rate: Adam's step.
        target_rate: how far the target network moves to the online one at each update.

    Attributes:
        count: steps taken.
    """

    def __init__(self, preset: str, *, seed: int = 0, learning_rate: float = 1e-3, target_rate: float = 0.01) -> None:
        self._env = gymnasium.make("interplay/Recommend-v0", preset=preset)
        self._rng, self._target_rate = np.random.default_rng(seed), target_rate
        box, choices = self._env.observation_space, self._env.action_space
        assert isinstance(box, gymnasium.spaces.Box)
        assert isinstance(choices, gymnasium.spaces.Discrete)
        size, self._num_actions = box.shape[0], int(choices.n)
        widths, cpu = (size, _HIDDEN, _HIDDEN, self._num_actions), torch.device("cpu")
        first, second, third = (linear_layer(a, b, cpu) for a, b in pairwise(widths))
        self._online = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)
        draw_weights(self._online, seed)
        self._target = copy.deepcopy(self._online)
        self._adam = torch.optim.Adam(self._online.parameters(), lr=learning_rate)
        self._before, self._after = (np.zeros((_CAPACITY, size), np.float32) for _ in range(2))
        self._masks = np.zeros((_CAPACITY, self._num_actions), np.bool_)
        self._actions, self._rewards = np.zeros(_CAPACITY, np.int64), np.zeros(_CAPACITY, np.float32)
        self._ended = np.zeros(_CAPACITY, np.float32)
        self.count = 0
        self._seen, self._info = self._env.reset(seed=seed)

    def play(self) -> None:
        """One step of the environment, remembered, and an update."""
        action = self._act()
        seen, reward, terminated, truncated, info = self._env.step(action)
        at = self.count % _CAPACITY
        self._before[at], self._after[at], self._actions[at] = self._seen, seen, action
        self._rewards[at], self._ended[at], self._masks[at] = reward, terminated, info["action_mask"]
        self.count += 1
        self._seen, self._info = self._env.reset() if terminated or truncated else (seen, info)
        if self.count >= _WARM_UP:
            self._update()

    def best(self, seen: NDArray[np.float32], mask: NDArray[np.int8]) -> NDArray[np.int64]:
        """The actions of highest value, int64 ``[N]``, for rows ``seen [N, F]`` and their masks ``[N, 1 + K]``."""
        with torch.no_grad():
            values = self._online(torch.from_numpy(seen)).numpy()
        choice: NDArray[np.int64] = np.argmax(np.where(mask, values, -np.inf), axis=-1)
        return choice

    def _act(self) -> int:
        mask = self._info["action_mask"]
        if self._rng.random() < _EPSILON:
            return int(np.argmax(self._rng.random(len(mask)) * mask))
        return int(self.best(self._seen, mask))

    def _update(self) -> None:
        rows = self._rng.integers(0, min(self.count, _CAPACITY), _BATCH)
        before, after, masks, actions, rewards, ended = (torch.from_numpy(table[rows]) for table in (
            self._before, self._after, self._masks, self._actions, self._rewards, self._ended))
        with torch.no_grad():
            choice = self._online(after).masked_fill(~masks, -torch.inf).argmax(1, keepdim=True)
            target = rewards + _DISCOUNT * (1.0 - ended) * self._target(after).gather(1, choice).squeeze(1)
        value = self._online(before).gather(1, actions.unsqueeze(1)).squeeze(1)
        self._adam.zero_grad()
        nn.functional.smooth_l1_loss(value, target).backward()  # type: ignore[no-untyped-call]
        self._adam.step()
        with torch.no_grad():
            for kept, moved in zip(self._target.parameters(), self._online.parameters(), strict=True):
                kept.lerp_(moved, self._target_rate)
