"""The market as a Gymnasium environment: one recommender serves one user, everybody else is simulated.

``gymnasium.make("interplay/Recommend-v0", preset="kale")`` gives a ``RecommendEnv``; ``gymnasium.make_vec`` with
``num_envs`` gives a ``RecommendVectorEnv``, which plays all its worlds as one batch.
"""

from __future__ import annotations

from typing import Any, Literal

import gymnasium
import numpy as np
from numpy.typing import NDArray

from interplay.envs.checking import as_integer, check_arguments
from interplay.envs.flat import as_action, check_render_mode, make_market
from interplay.envs.market import Market
from interplay.envs.presets import Preset
from interplay.envs.recommend_vector import HorizonSpec, Items, Others, RecommendVectorEnv, stream_seed
from interplay.envs.threads import on_own_threads
from interplay.envs.types import InterplayError

__all__ = ["RecommendEnv", "RecommendVectorEnv"]


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

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012  # Gymnasium's too
    spec = HorizonSpec()

    def __init__(self, preset: str | Preset = "town", *, market: Market | None = None, others: Others = "random",
                 items: Items = "rest", render_mode: Literal["ansi"] | None = None, **market_options: Any) -> None:
        check_render_mode("RecommendEnv.__init__", render_mode, self.metadata["render_modes"])
        self.market = make_market("RecommendEnv.__init__", preset, market, market_options)
        self._batch = RecommendVectorEnv(1, market=self.market, others=others, items=items, render_mode=render_mode)
        self.render_mode = render_mode
        self.observation_space = self._batch.single_observation_space
        self.action_space = self._batch.single_action_space
        self._running: bool | None = None

    @property
    def illegal_actions(self) -> int:
        """How many actions became 0 since the environment was made."""
        return self._batch.illegal_actions

    @on_own_threads
    def reset(self, *, seed: int | None = None,
              options: dict[str, Any] | None = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode, see ``Start`` above; ``options`` are not used.

        Returns:
            Observation float32 ``[F]`` and info.
        """
        check_arguments(RecommendEnv.reset, options=options)
        super().reset(seed=None if seed is None else as_integer("seed", seed))
        first = self._running is None
        observation, info = self._batch.reset(seed=stream_seed(self) if first else seed)
        self._running = True
        return observation[0], _first_info(info)

    @on_own_threads
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

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions are allowed now, bool ``[1 + K]``: sb3-contrib's name for it."""
        masks: NDArray[np.bool_] = self._batch.action_masks()[0]
        return masks

    def render(self) -> str | None:
        """With ``render_mode="ansi"`` a short text of the world."""
        texts = self._batch.render()
        return None if texts is None else texts[0]


def _first_info(info: dict[str, Any]) -> dict[str, Any]:
    return {"action_mask": info["action_mask"][0]}
