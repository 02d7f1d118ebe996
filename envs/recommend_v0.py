"""The market as a Gymnasium environment: one recommender serves one user, everybody else is simulated.

``gymnasium.make("interplay/Recommend-v0", preset="kale")`` gives a ``RecommendEnv``; ``gymnasium.make_vec`` with
``num_envs`` gives a ``RecommendVectorEnv``, which plays all its worlds as one batch.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Literal, TypeVar

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.flat import as_action, check_choice, describe, feature_box, flatten, make_market, num_features
from interplay.envs.market import Market
from interplay.envs.noise import Stream, any_of
from interplay.envs.presets import Preset
from interplay.envs.types import InterplayError, TensorRecord
from interplay.envs.world import State

Others = Literal["random", "first"]
Items = Literal["rest", "random"]
Record = TypeVar("Record", bound=TensorRecord)


class RecommendVectorEnv(gymnasium.vector.VectorEnv[NDArray[np.float32], NDArray[np.int64], NDArray[Any]]):
    """``num_envs`` worlds of ``RecommendEnv`` in one batch; observation, action and reward are as there.

    Start: ``reset(seed=s)`` starts worlds 0 to num_envs - 1 under seed s. When world k of the batch ends, or all
    are reset without a seed, its place goes to world k + num_envs, then k + 2 num_envs ... So what happens in
    one place depends on the seed and the actions there alone, and a ``RecommendEnv`` can replay it.

    End: autoreset is ``NEXT_STEP``: the step after a world's end ignores the action there, starts the next
    episode and pays 0.

    Infos: ``"action_mask"``, int8 ``[num_envs, 1 + K]``, and ``"_action_mask"``, True for each world.

    Args:
        num_envs: worlds.
        preset: as for ``RecommendEnv``, and so are all that follow.
        market: as there.
        others: as there.
        items: as there.
        render_mode: ``"ansi"`` = ``render()`` returns a text for each world.
        **market_options: as there.

    Attributes:
        market: the core that is played.
        illegal_actions: how many actions became 0 since the environment was made.

    Versions: v0, the first.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  # Gymnasium declares it as an instance's
        "render_modes": ["ansi"], "render_fps": 4, "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, num_envs: int = 1, preset: str | Preset = "town", *, market: Market | None = None,
                 others: Others = "random", items: Items = "rest", render_mode: Literal["ansi"] | None = None,
                 **market_options: Any) -> None:
        check_choice("others", others, ("random", "first"))
        check_choice("items", items, ("rest", "random"))
        check_choice("render_mode", render_mode, (None, "ansi"))
        if num_envs < 1:
            raise InterplayError(f"num_envs={num_envs} must be at least 1")
        self.num_envs, self.others, self.items, self.render_mode = num_envs, others, items, render_mode
        self.market = make_market(preset, market, market_options)
        self.illegal_actions = 0
        spec = self.market.specs["users"]
        self.single_observation_space = feature_box(num_features(spec))
        self.single_action_space = Discrete(spec.num_actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._state: State | None = None
        self._seed, self._numbers = 0, np.arange(num_envs)

    def reset(self, *, seed: int | None = None,
              options: dict[str, Any] | None = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode in every world, see ``Start`` above; ``options`` are not used.

        Returns:
            Observations float32 ``[num_envs, F]`` and infos.
        """
        super().reset(seed=seed)
        if seed is None and self._state is not None:
            self._numbers = self._numbers + self.num_envs
        else:
            self._seed, self._numbers = self.np_random_seed or 0, np.arange(self.num_envs)
        self._ended = np.zeros(self.num_envs, dtype=np.bool_)
        state = self.market.reset(self._numbers.tolist(), self._seed)
        self._response = torch.zeros_like(state.mood)
        return self._look(state)

    def step(self, actions: NDArray[np.int64]) -> tuple[
            NDArray[np.float32], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Recommend a slot to the user of each world, 0 = nothing.

        Args:
            actions: integers ``[num_envs]``; what the mask forbids or is out of range counts as 0.

        Returns:
            Observations, rewards float64, terminated, truncated, all ``[num_envs, ...]``, and infos.

        Raises:
            InterplayError: before the first reset, or the actions are not integers of that shape.
        """
        before, goes_on = self._begun("step"), ~self._ended
        state, happened = self.market.step(before, self._users(before, actions), self._items(before))
        self._response = happened.response
        self.illegal_actions += int(_host(happened.illegal_users)[goes_on].sum())
        reward = np.where(goes_on, _host(happened.response[:, 0]).astype(np.float64), 0.0)
        terminated = _host(happened.user_terminated[:, 0]) & goes_on
        truncated = _host(happened.truncated) & goes_on & ~terminated
        observation, info = self._look(self._restarted(state))
        self._ended = terminated | truncated
        return observation, reward, terminated, truncated, info

    def render(self) -> tuple[str, ...] | None:
        """With ``render_mode="ansi"`` a short text of each world."""
        state = self._begun("render")
        if self.render_mode is None:
            return None
        horizon = self.market.config.horizon
        return tuple(describe(state, self._response, horizon, world) for world in range(self.num_envs))

    def _begun(self, call: str) -> State:
        if self._state is None:
            raise InterplayError(f"{call}() before the first reset(): call reset() first")
        return self._state

    def _look(self, state: State) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Keep the state, and tell what the user sees in each world."""
        seen = self.market.observe(state, "users")
        self._state, self._mask = state, seen.mask
        flat = flatten(seen.map(lambda rows: rows[:, :1]))
        told = np.ones(self.num_envs, dtype=np.bool_)
        return flat.features[:, 0], {"action_mask": flat.mask[:, 0], "_action_mask": told}

    def _restarted(self, state: State) -> State:
        """The state with new worlds in the place of those that had ended before this step."""
        if not self._ended.any():
            return state
        self._numbers = self._numbers + self.num_envs * self._ended
        places = np.flatnonzero(self._ended)
        fresh = self.market.reset(self._numbers[places].tolist(), self._seed)
        return _with_rows(state, torch.from_numpy(places).to(self.market.device), fresh)

    def _users(self, state: State, actions: NDArray[np.int64]) -> Tensor:
        """What all users do, int64 ``[B, U]``: the first what is recommended, the others by their rule."""
        given = np.asarray(actions)
        if given.shape != (self.num_envs,) or given.dtype.kind not in "iu":
            raise InterplayError(f"actions of shape {given.shape} and dtype {given.dtype}: give "
                                 f"num_envs={self.num_envs} integers")
        chosen = (self._mask[:, :, 1].long() if self.others == "first"
                  else any_of(state.key, state.time, Stream.ACTION, self._mask))
        chosen[:, 0] = torch.from_numpy(given.astype(np.int64)).to(chosen.device)
        return chosen

    def _items(self, state: State) -> Tensor:
        """What all items do, int64 ``[B, I]``."""
        if self.items == "rest":
            return torch.zeros_like(state.boost_level)
        mask = self.market.observe(state, "items").mask
        first = self._mask[0].numel()  # after the users' draws
        return any_of(state.key, state.time, Stream.ACTION, mask, first)


class RecommendEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """A recommender decides which slot of its slate user 0 takes; everybody else is simulated.

    Observation: what ``user_0`` sees, a flat float32 vector in [-4, 4]: own features, then those of each slot.
    ``market.specs["users"]`` names the columns.

    Action: 0 = recommend nothing, k = the item in slot k. ``info["action_mask"]`` (int8, 1 = allowed) tells
    which slots are filled; what it forbids counts as 0, and ``illegal_actions`` tells how often that was.

    Reward: the response of the user, in [0, 1].

    Start: ``reset(seed=s)`` gives world 0 under seed s, and each ``reset()`` after it the next world under that
    seed. The very first ``reset()`` takes a seed from the system.

    End: ``truncated`` after ``horizon`` steps; ``terminated`` when the user leaves for good, which can happen
    where ``return_rate`` is 0. A user who may return can meanwhile only be recommended nothing. After the end
    ``step`` raises.

    Args:
        preset: a preset, its name, or ``"module:attribute"``.
        market: a ready market instead, which takes no options.
        others: what the other users do: ``"random"`` = any allowed action, ``"first"`` = take the first slot.
        items: what items do: ``"rest"``, or ``"random"`` = any allowed action.
        render_mode: ``"ansi"`` = ``render()`` returns a short text of the world.
        **market_options: fields of ``MarketConfig`` that should differ from the preset's, as ``horizon=20``.

    Attributes:
        market: the core that is played.

    Versions: v0, the first.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012  # as above

    def __init__(self, preset: str | Preset = "town", *, market: Market | None = None, others: Others = "random",
                 items: Items = "rest", render_mode: Literal["ansi"] | None = None, **market_options: Any) -> None:
        self._batch = RecommendVectorEnv(1, preset, market=market, others=others, items=items,
                                         render_mode=render_mode, **market_options)
        self.market, self.render_mode = self._batch.market, render_mode
        self.observation_space = self._batch.single_observation_space
        self.action_space = self._batch.single_action_space
        self._running: bool | None = None

    @property
    def illegal_actions(self) -> int:
        """How many actions became 0 since the environment was made."""
        return self._batch.illegal_actions

    def reset(self, *, seed: int | None = None,
              options: dict[str, Any] | None = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode, see ``Start`` above; ``options`` are not used.

        Returns:
            Observation float32 ``[F]`` and info.
        """
        super().reset(seed=seed)
        first = self._running is None
        observation, info = self._batch.reset(seed=self.np_random_seed if first else seed)
        self._running = True
        return observation[0], _first_info(info)

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Recommend a slot, 0 = nothing.

        Returns:
            Observation, reward, terminated, truncated and info.

        Raises:
            InterplayError: before the first reset, after the end, or the action is not an integer.
        """
        if not self._running:
            raise InterplayError("step() but no episode is running: it is over or not begun, call reset() first")
        given = np.array([as_action("user_0", action)])
        observation, reward, terminated, truncated, info = self._batch.step(given)
        self._running = not (terminated[0] or truncated[0])
        return observation[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), _first_info(info)

    def render(self) -> str | None:
        """With ``render_mode="ansi"`` a short text of the world."""
        texts = self._batch.render()
        return None if texts is None else texts[0]


def _first_info(info: dict[str, Any]) -> dict[str, Any]:
    return {"action_mask": info["action_mask"][0]}


def _host(tensor: Tensor) -> NDArray[Any]:
    """The tensor's values as numpy has them."""
    values: NDArray[Any] = tensor.cpu().numpy()
    return values


def _with_rows(record: Record, places: Tensor, rows: Record) -> Record:
    """``record`` with the worlds ``rows`` at ``places`` (int64) of its batch."""
    values: dict[str, Any] = {}
    for field in fields(record):
        old, new = getattr(record, field.name), getattr(rows, field.name)
        merged = _with_rows(old, places, new) if isinstance(old, TensorRecord) else old.index_copy(0, places, new)
        values[field.name] = merged
    return replace(record, **values)
