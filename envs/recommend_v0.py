"""The market as a Gymnasium environment: one recommender serves one user, all other agents are simulated.

``gymnasium.make("interplay/Recommend-v0", preset="kale")`` gives a ``RecommendEnv``; ``gymnasium.make_vec`` with
``num_envs`` gives a ``RecommendVectorEnv``, which plays all its worlds as one batch.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from interplay.envs.checking import as_integer, check_arguments
from interplay.envs.company import Company, Items, Others
from interplay.envs.facade import (
    as_action,
    check_render_mode,
    describe,
    feature_box,
    flatten,
    make_market,
    num_features,
)
from interplay.envs.market import Market
from interplay.envs.observing import user_view
from interplay.envs.pictures.show import RenderMode, Show
from interplay.envs.presets import Preset
from interplay.envs.recommend_vector import (
    FIRST,
    HorizonSpec,
    RecommendVectorEnv,
    stream_seed,
)
from interplay.envs.threads import on_own_threads
from interplay.envs.types import InterplayError
from interplay.envs.world import State, Step

__all__ = ["RecommendEnv", "RecommendVectorEnv"]


def _vectors(env: RecommendEnv, *_arguments: object) -> int:
    """Numbers of all users' and items' vectors."""
    return env.market.num_vector_numbers


class RecommendEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """A recommender decides which slot of its slate user 0 takes; all other agents are simulated.

    Observation: what ``user_0`` sees, a flat float32 vector in [-4, 4]: own features, then those of each slot.
    ``market.specs["users"]`` names the columns.

    Action: 0 = recommend nothing, k = the item in slot k. ``info["action_mask"]`` (int8, 1 = allowed) says
    which slots are filled; what it forbids counts as 0, and ``illegal_actions`` counts it.

    Reward: the response of the user, in [0, 1].

    Start: ``reset(seed=s)`` gives world 0 under seed s, and each ``reset()`` after it the next world under that
    seed. The very first ``reset()`` takes a seed from the system.

    End: ``truncated`` after ``horizon`` steps; ``terminated`` when the user leaves for good, which can happen
    where ``mood.return_rate`` is 0. A user who may return can meanwhile only be recommended nothing. After the end
    ``step`` raises.

    Args:
        preset: a preset, its name, or ``"module:attribute"``.
        market: a ready market instead, which takes no options.
        others: what the other users do: ``"random"`` = any allowed action, ``"first"`` = take the first slot.
        items: what items do: ``"rest"``, or ``"random"`` = any allowed action.
        render_mode: ``"rgb_array"`` = ``render()`` returns a picture of the world, uint8 ``[480, 640, 3]``;
            ``"human"`` = a window shows it after each step, which needs pygame; ``"ansi"`` = ``render()`` returns a
            short text.
        **market_options: fields of ``MarketConfig`` that should differ from the preset's, as ``horizon=20``.

    Attributes:
        market: the core that is played.
        illegal_actions: how many actions became 0 since the environment was made.

    Versions: v0, the first.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array", "ansi"], "render_fps": 4}  # noqa: RUF012  # Gymnasium's too
    spec = HorizonSpec()

    def __init__(self, preset: str | Preset = "town", *, market: Market | None = None, others: Others = "random",
                 items: Items = "rest", render_mode: RenderMode | None = None, **market_options: Any) -> None:
        check_render_mode("RecommendEnv.__init__", render_mode, self.metadata["render_modes"])
        self.market = make_market("RecommendEnv.__init__", preset, market, market_options)
        self._company = Company(self.market, 1, others, items)
        self.render_mode = render_mode
        self._show = Show(self.market, render_mode, self.metadata["render_fps"])
        spec = self.market.specs["users"]
        self.observation_space: gymnasium.spaces.Box = feature_box(num_features(spec))  # type: ignore[assignment]
        self.action_space = Discrete(spec.num_actions)
        self.illegal_actions = 0
        self._running, self._world, self._stream = False, 0, 0
        self._state: State | None = None
        self._happened: Step | None = None

    @on_own_threads()
    def reset(self, *, seed: int | None = None,
              options: dict[str, Any] | None = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode, see ``Start`` above; ``options`` are not used.

        Returns:
            Observation float32 ``[F]`` and info.
        """
        check_arguments(RecommendEnv.reset, options=options)
        super().reset(seed=None if seed is None else as_integer("seed", seed))
        if seed is None and self._state is not None:
            self._world += 1
        else:
            self._stream, self._world = stream_seed(self), 0
        self._running, self._happened = True, None
        self._show.begin()
        return self._look(self.market.reset([self._world], self._stream))

    @on_own_threads(_vectors)
    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Recommend a slot, 0 = nothing.

        Returns:
            Observation, reward, terminated, truncated and info.

        Raises:
            InterplayError: before the first reset, after the end, or the action is not an integer.
        """
        if not self._running or self._state is None:
            raise InterplayError("step() but no episode is running: it is over or not begun, call reset() first")
        given = np.array([as_action("user_0", action)])
        state, self._happened = self._company.play(self._state, self._mask, given)
        illegal, own, gone, over = self._happened.arrays("illegal_users", "user_own", "user_terminated", "truncated")
        self.illegal_actions += int(illegal[0])
        self._show.add(self._happened)
        terminated = bool(gone[0, 0])
        truncated = bool(over[0]) and not terminated
        self._running = not (terminated or truncated)
        observation, info = self._look(state)
        return observation, float(own[0, 0]), terminated, truncated, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions are allowed now, bool ``[1 + K]``: sb3-contrib's name for it."""
        if self._state is None:
            raise InterplayError("action_masks() before the first reset(): call reset() first")
        masks: NDArray[np.bool_] = self._mask[0, 0].copy()
        return masks

    def render(self) -> NDArray[np.uint8] | str | None:
        """The world as a picture or a text; see ``render_mode`` above. None if a window shows it."""
        if self._state is None:
            raise InterplayError("render() before the first reset(): call reset() first")
        now = self._state, self._happened, self.market.config.horizon
        if self.render_mode == "ansi":
            return describe(*now)
        return self._show.frame(*now) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Close the window, if there is one."""
        self._show.close()

    def _look(self, state: State) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Keep the state, and give what the user sees."""
        view = user_view(self.market.constants, state)
        self._state, (self._mask,) = state, view.arrays("mask")
        self._show.update(state, self._happened, self.market.config.horizon)
        features, mask = flatten(view, FIRST)
        return features[0, 0], {"action_mask": mask[0, 0]}
