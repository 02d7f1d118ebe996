"""Many worlds of ``RecommendEnv`` in one batch, as a vector environment of Gymnasium."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, Literal, TypeVar

import gymnasium
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.checking import as_integer, check_arguments, shown
from interplay.envs.company import Company, Items, Others
from interplay.envs.facade import check_render_mode, describe, feature_box, flatten, make_market, num_features
from interplay.envs.market import Market
from interplay.envs.messages import choice
from interplay.envs.observing import user_view
from interplay.envs.pictures.show import Show
from interplay.envs.presets import Preset
from interplay.envs.threads import on_own_threads
from interplay.envs.types import InterplayError, TensorRecord
from interplay.envs.world import State, Step

Record = TypeVar("Record", bound=TensorRecord)

FIRST = slice(1)
"""The user of each world that gets recommendations."""


class HorizonSpec:
    """The attribute ``spec`` of an environment whose ``market`` says how many steps an episode has.

    Gymnasium sets the registered spec, which cannot know that number.
    """

    def __get__(self, env: Any, owner: type) -> EnvSpec | None:
        return vars(env).get("_spec") if env is not None else None

    def __set__(self, env: Any, spec: EnvSpec | None) -> None:
        spec = copy(spec)
        if spec is not None:
            spec.max_episode_steps = env.market.config.horizon
        env._spec = spec


def _vectors(env: RecommendVectorEnv, *_arguments: object) -> int:
    """Numbers of all users' and items' vectors."""
    return env.num_envs * env.market.num_vector_numbers


class RecommendVectorEnv(gymnasium.vector.VectorEnv[NDArray[np.float32], NDArray[np.int64], NDArray[Any]]):
    """``num_envs`` worlds of ``RecommendEnv`` in one batch; observation, action and reward are as there.

    Start: ``reset(seed=s)`` starts worlds 0 to num_envs - 1 under seed s. When place k of the batch starts another
    episode, it goes to world k + num_envs, then k + 2 num_envs ... So what happens in one place depends on the seed and
    the actions there alone, and a ``RecommendEnv`` can replay it. ``reset(options={"reset_mask": mask})``, bool
    ``[num_envs]``, starts another episode in the places where the mask is True and leaves the others as they are.

    End, by ``autoreset_mode``:

    - ``NEXT_STEP``: the step after the end of a world ignores the action there, starts the next episode and pays 0.
    - ``SAME_STEP``: the step that ends a world also starts the next episode and gives its first observation. The last
      observation and info of the old one are in ``infos["final_obs"]`` and ``infos["final_info"]``.
    - ``DISABLED``: only ``reset`` with a ``reset_mask`` starts the next episode. Until then ``step`` raises.

    Infos: ``"action_mask"``, int8 ``[num_envs, 1 + K]``, and ``"_action_mask"``, True for each world.

    Args:
        num_envs: worlds.
        preset: as for ``RecommendEnv``, and so are all that follow.
        market: as there.
        others: as there.
        items: as there.
        render_mode: ``"rgb_array"`` = ``render()`` returns a picture of each world; ``"ansi"`` = a text.
        autoreset_mode: an ``AutoresetMode`` of Gymnasium, or its value, such as ``"SameStep"``.
        **market_options: as there.

    Attributes:
        market: the core that is played.
        illegal_actions: how many actions became 0 since the environment was made.

    Versions: v0, the first.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  # Gymnasium declares it as an instance's
        "render_modes": ["rgb_array", "ansi"], "render_fps": 4, "autoreset_mode": AutoresetMode.NEXT_STEP}
    spec = HorizonSpec()

    def __init__(self, num_envs: int = 1, preset: str | Preset = "town", *, market: Market | None = None,
                 others: Others = "random", items: Items = "rest",
                 render_mode: Literal["rgb_array", "ansi"] | None = None,
                 autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP, **market_options: Any) -> None:
        check_render_mode("RecommendVectorEnv.__init__", render_mode, self.metadata["render_modes"])
        self.num_envs = as_integer("num_envs", num_envs, least=1)
        self.render_mode = render_mode
        self.metadata = self.metadata | {"autoreset_mode": _as_mode(autoreset_mode)}
        self.market = make_market("RecommendVectorEnv.__init__", preset, market, market_options)
        self._show = Show(self.market, render_mode, self.metadata["render_fps"], self.num_envs)
        self._company = Company(self.market, self.num_envs, others, items)
        self.illegal_actions = 0
        spec = self.market.specs["users"]
        self.single_observation_space = feature_box(num_features(spec))
        self.single_action_space = Discrete(spec.num_actions)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._state: State | None = None
        self._happened: Step | None = None
        self._seeds = np.zeros(self.num_envs, dtype=object)  # a seed of the system's has 128 bits
        self._numbers = np.arange(self.num_envs)
        self._ended = np.zeros(self.num_envs, dtype=np.bool_)

    @on_own_threads()
    def reset(self, *, seed: int | None = None,
              options: dict[str, Any] | None = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode in every world, or in those of ``options["reset_mask"]``, see ``Start`` above.

        Returns:
            Observations float32 ``[num_envs, F]`` and infos.

        Raises:
            InterplayError: the seed is not an integer, or the mask is not a bool ``[num_envs]`` with a True.
        """
        check_arguments(RecommendVectorEnv.reset, options=options)
        places = self._places(options or {})
        super().reset(seed=None if seed is None else as_integer("seed", seed))
        if seed is None and self._state is not None:
            self._numbers = self._numbers + self.num_envs * places
        else:
            self._seeds[places], self._numbers[places] = stream_seed(self), np.flatnonzero(places)
        state = self._started(self._state, places)
        self._ended = self._ended & ~places
        return self._look(state)

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions are allowed now, bool ``[num_envs, 1 + K]``: sb3-contrib's name for it."""
        self._begun("action_masks")
        masks: NDArray[np.bool_] = self._mask[:, 0].copy()
        return masks

    @on_own_threads(_vectors)
    def step(self, actions: NDArray[np.int64]) -> tuple[
            NDArray[np.float32], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Recommend a slot to the user of each world, 0 = nothing.

        Args:
            actions: integers ``[num_envs]``; what the mask forbids or is out of range counts as 0.

        Returns:
            Observations, rewards float64, terminated, truncated, all ``[num_envs, ...]``, and infos.

        Raises:
            InterplayError: before the first reset, the actions are not integers of that shape, or, without autoreset, a
                world has ended.
        """
        mode: AutoresetMode = self.metadata["autoreset_mode"]
        before, goes_on = self._begun("step"), ~self._ended
        if mode is AutoresetMode.DISABLED and self._ended.any():
            raise InterplayError(f"step() while the worlds at places {shown(np.flatnonzero(self._ended).tolist())} "
                                 "have ended: call reset(options={'reset_mask': terminated | truncated}) first")
        state, happened = self._company.play(before, self._mask, self._checked(actions))
        self._happened = happened
        self._show.add(happened)
        illegal, truncated = happened.arrays("illegal_users", "truncated")
        own, gone = (table[:, 0] for table in happened.arrays("user_own", "user_terminated"))
        self.illegal_actions += int(illegal[goes_on].sum())
        reward = np.where(goes_on, own.astype(np.float64), 0.0)
        terminated = gone & goes_on
        truncated = truncated & goes_on & ~terminated
        if mode is not AutoresetMode.SAME_STEP:
            observation, info = self._look(self._restarted(state, self._ended))
            self._ended = terminated | truncated
            return observation, reward, terminated, truncated, info
        last = self._look(state)
        ended = terminated | truncated
        if not ended.any():
            return last[0], reward, terminated, truncated, last[1]
        observation, info = self._look(self._restarted(state, ended))
        return observation, reward, terminated, truncated, self._with_last(info, ended, *last)

    def render(self) -> tuple[NDArray[np.uint8] | str, ...] | None:
        """A picture or a text of each world; see ``render_mode`` above."""
        state = self._begun("render")
        if self.render_mode is None:
            return None
        draw = describe if self.render_mode == "ansi" else self._show.frame
        return tuple(draw(state, self._happened, self.market.config.horizon, world) for world in range(self.num_envs))

    def _begun(self, call: str) -> State:
        if self._state is None:
            raise InterplayError(f"{call}() before the first reset(): call reset() first")
        return self._state

    def _look(self, state: State) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Keep the state, and give what the user sees in each world."""
        view = user_view(self.market.constants, state)
        self._state, (self._mask,) = state, view.arrays("mask")
        features, mask = flatten(view, FIRST)
        given = np.ones(self.num_envs, dtype=np.bool_)
        return features[:, 0], {"action_mask": mask[:, 0], "_action_mask": given}

    def _places(self, options: Mapping[str, Any]) -> NDArray[np.bool_]:
        """Which places ``reset`` is about, bool ``[num_envs]``."""
        if "reset_mask" not in options:
            return np.ones(self.num_envs, dtype=np.bool_)
        self._begun("reset with a reset_mask")
        mask = options["reset_mask"]
        if not (isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == (self.num_envs,)
                and mask.any()):
            raise InterplayError(f"reset_mask={shown(mask)} must be a numpy array of {self.num_envs} bools, one of "
                                 "them True")
        return mask

    def _restarted(self, state: State, ended: NDArray[np.bool_]) -> State:
        """The state with new worlds in the place of those that have ended."""
        if not ended.any():
            return state
        self._numbers = self._numbers + self.num_envs * ended
        return self._started(state, ended)

    def _started(self, state: State | None, places: NDArray[np.bool_]) -> State:
        """The state with the first moment of the worlds of these places; those of one seed are made together."""
        for seed in dict.fromkeys(self._seeds[places]):
            rows = np.flatnonzero(places & (self._seeds == seed))
            for world in rows.tolist():
                self._show.begin(world)
            fresh = self.market.reset(self._numbers[rows].tolist(), seed)
            state = fresh if len(rows) == self.num_envs or state is None else _with_rows(
                state, torch.from_numpy(rows).to(self.market.device), fresh)
        assert state is not None
        return state

    def _with_last(self, info: dict[str, Any], ended: NDArray[np.bool_], observation: NDArray[np.float32],
                   last_info: dict[str, Any]) -> dict[str, Any]:
        """``info`` with the last observation and info of the episodes that have ended, where Gymnasium puts them."""
        for place in np.flatnonzero(ended).tolist():
            masks = {"action_mask": last_info["action_mask"][place]}
            info = self._add_info(info, {"final_obs": observation[place], "final_info": masks}, place)
        return info

    def _checked(self, actions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Actions as integers, one for each world."""
        given = np.asarray(actions)
        if given.shape != (self.num_envs,) or given.dtype.kind not in "iu":
            raise InterplayError(f"actions of shape {given.shape} and dtype {given.dtype}: give "
                                 f"num_envs={self.num_envs} integers")
        return given.astype(np.int64)


def stream_seed(env: Any) -> int:
    """The seed of an environment's ``np_random``, or one that it draws if it was set to a generator of unknown seed."""
    known: int = env.np_random_seed
    return known if known >= 0 else int(env.np_random.integers(1 << 62))


def _as_mode(mode: object) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError as error:
        known = choice([each.value for each in AutoresetMode], str(mode))
        raise InterplayError(f"autoreset_mode={shown(mode)} is unknown: {known}") from error


def _with_rows(record: Record, places: Tensor, rows: Record) -> Record:
    """``record`` with the worlds ``rows`` at ``places`` (int64) of its batch."""
    fresh = rows.tensors()
    return record.map(lambda old: old.index_copy(0, places, next(fresh)))
