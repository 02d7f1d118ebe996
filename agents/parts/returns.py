"""From steps to returns: over n steps for replays, lambda-returns for rollouts.

An end and a cut differ: after ``terminated`` nothing follows and nothing is bootstrapped; after ``truncated`` the
episode would have gone on, so that the value of what followed is bootstrapped, and the next step is another episode's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.agents.parts.latest import Seen
from interplay.agents.parts.stateful import Stateful
from interplay.envs.kernels import compiled, usable
from interplay.envs.stacking import by_number, in_arrays, table_of
from interplay.envs.types import ALL_ALIKE, Observation, TensorRecord, Transition, count_alike


@dataclass(frozen=True)
class Experience(TensorRecord):
    """What a bootstrapped update needs: ``target = reward + discount * value(next_observation)``.

    Attributes:
        observation: what was seen.
        action: int64 ``[..., N]``.
        reward: float32 ``[..., N]``, discounted sum of the steps' rewards.
        next_observation: what was seen after the last of them.
        discount: float32 ``[..., N]``, of the value there; 0 where the agent had gone.
        response: float32 ``[..., N]``, of the first step.
        valid: bool ``[..., N]``.
        weight: float32 ``[..., N]``, of the first step.
    """

    observation: Observation
    action: Tensor
    reward: Tensor
    next_observation: Observation
    discount: Tensor
    response: Tensor
    valid: Tensor
    weight: Tensor = ALL_ALIKE

    def __post_init__(self) -> None:
        count_alike(self)


@dataclass(frozen=True)
class QStep(TensorRecord):
    """What Q(lambda) needs of a step; see ``Transition``.

    Attributes:
        seen, after: before the step and after it.
        mask: bool ``[..., N, A]``, what is allowed after it.
        action, reward, terminated, truncated, valid, weight: as of a transition.
    """

    seen: Seen
    action: Tensor
    reward: Tensor
    after: Seen
    mask: Tensor
    terminated: Tensor
    truncated: Tensor
    valid: Tensor
    weight: Tensor

    @classmethod
    def of(cls, step: Transition) -> Self:
        """That of a step."""
        seen, after = (Seen(o.own, o.options) for o in (step.observation, step.next_observation))
        return cls(seen, step.action, step.reward, after, step.next_observation.mask, step.terminated, step.truncated,
                   step.valid, step.weight)


class NStep(Stateful):
    """Joins n steps to one (Sutton 1988; in deep Q-learning Hessel et al., "Rainbow", 2018, section "Multi-step").

    A step is joined to those before it only if its own reward is known. Its weight is not: with weights, more than one
    step is an approximation.

    Args:
        num_steps: n; fewer where an episode ends earlier.
        discount: for one step.
    """

    def __init__(self, num_steps: int, discount: float) -> None:
        self._discount = discount
        self._window: deque[Transition] = deque(maxlen=num_steps)

    def add(self, transition: Transition) -> Experience | None:
        """Take a step in; gives what began n - 1 steps ago, None while there is no such step."""
        if self._window.maxlen == 1:
            return self._joined([transition])
        self._window.append(transition)
        return self._joined(self._window) if len(self._window) == self._window.maxlen else None

    def _joined(self, steps: Iterable[Transition]) -> Experience:
        first, *others = steps
        reward, after = first.reward, first.next_observation
        discount = by_number(lambda ended: torch.where(ended, 0.0, self._discount), first.terminated)
        going = ~first.terminated & ~first.truncated if others else first.valid  # of one step it is not read
        for step in others:
            # The host does not check whether an episode ended: what lies beyond its end is masked out.
            going = going & step.valid
            reward = reward + torch.where(going, discount * step.reward, 0.0)
            after = _where(going, step.next_observation, after)
            discount = torch.where(going, torch.where(step.terminated, 0.0, discount * self._discount), discount)
            going = going & ~step.terminated & ~step.truncated
        return Experience(first.observation, first.action, reward, after, discount, first.response, first.valid,
                          first.weight)


def lambda_returns(reward: Tensor, discount: Tensor, truncated: Tensor, ahead: Tensor, weight: float) -> Tensor:
    """``G_t = r_t + d_t ((1 - lambda) v_t+1 + lambda G_t+1)``, backwards (Sutton and Barto, 2nd ed., equation 12.18).

    Less the value of what was seen, it is the generalised advantage estimate (Schulman et al. 2016, equation 16).

    Args:
        reward: float32 ``[T, ...]``.
        discount: float32 ``[T, ...]``, 0 where the agent had gone.
        truncated: bool ``[T, ...]``, where an episode was cut off: there ``G = r + d v``.
        ahead: float32 ``[T, ...]``, v_t+1, the value of what was seen after each step.
        weight: lambda.

    Returns:
        float32 ``[T, ...]``.
    """
    tables = reward, discount, ahead
    if usable(*tables, truncated) and all(t.dtype == torch.float32 and not t.requires_grad for t in tables):
        return _by_loop(reward, discount, truncated, ahead, weight)
    returns, later = [], ahead[-1]
    for t in reversed(range(len(reward))):
        mixed = torch.where(truncated[t], ahead[t], (1.0 - weight) * ahead[t] + weight * later)
        later = reward[t] + discount[t] * mixed
        returns.append(later)
    return torch.stack(returns[::-1])


def _by_loop(reward: Tensor, discount: Tensor, truncated: Tensor, ahead: Tensor, weight: float) -> Tensor:
    given = reward, discount, truncated, ahead
    found = torch.empty_like(reward) if len({table.shape for table in given}) == 1 else torch.empty(
        np.broadcast_shapes(*(table.shape for table in given)))
    rows = len(found), found[0].numel()
    compiled("interplay.agents.loops.returns_loop").lambda_returns(
        *(table.expand(found.shape).reshape(rows).numpy() for table in given), weight, found.view(rows).numpy())
    return found


def q_lambda_returns(steps: QStep, values: Tensor, discount: float, weight: float) -> Tensor:
    """``lambda_returns`` of the best allowed values ahead. What was cut off is bootstrapped through, what ended is not.

    Args:
        steps: a rollout, whose tables are ``[T, ...]``.
        values: float32 ``[T, ..., A]``, of what was seen after each step.
        discount: for one step.
        weight: lambda.

    Returns:
        float32 ``[T, ...]``.
    """
    given = steps.reward, steps.terminated, steps.truncated, steps.valid, values, steps.mask
    if all(usable(table_of(table)) for table in given) and values.dtype == torch.float32 and not values.requires_grad:
        def work(*tables: NDArray[Any]) -> Tensor:
            rows = [table.reshape(*table.shape[:2], -1, *table.shape[4:]) for table in tables]
            found = np.empty_like(rows[0])
            compiled("interplay.agents.loops.returns_loop").q_lambda_returns(*rows, discount, weight, found)
            return torch.from_numpy(found.reshape(tables[0].shape))

        return in_arrays(work, *given)
    ahead = torch.where(steps.mask, values, -torch.inf).amax(-1)
    return lambda_returns(steps.reward, torch.where(steps.terminated, 0.0, discount),
                          cut_off(steps.truncated, steps.valid), ahead, weight)


def cut_off(truncated: Tensor, valid: Tensor) -> Tensor:
    """Where returns go no further and bootstrap, bool ``[T, ...]``.

    That is at the end of an episode that was cut off, and before a step whose own reward is not known.
    """
    return truncated | torch.cat([~valid[1:], torch.zeros_like(valid[:1])])


def lean(transition: Transition, history: bool = False) -> Transition:
    """Without what only tables and oracles read, and without the history unless it is asked for."""
    seen, after = (Observation(o.own, o.options, o.mask, o.ids, history=o.history if history else None,
                               history_ids=o.history_ids if history else None)
                   for o in (transition.observation, transition.next_observation))
    return replace(transition, observation=seen, next_observation=after)


def _where(condition: Tensor, one: Observation, other: Observation) -> Observation:
    """Agent by agent, ``condition [B, N]``, one observation or the other."""
    others = iter(other.tensors())
    return one.map(lambda a: torch.where(condition.view(*condition.shape, *[1] * (a.dim() - condition.dim())),
                                         a, next(others)))
