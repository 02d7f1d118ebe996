"""Ridge regression of rewards on what agents see: the model that the linear bandits share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from interplay.agents.base import Agent
from interplay.agents.parts.optimising import valid_mean
from interplay.agents.parts.stateful import Stateful
from interplay.envs.checking import Checked, Positive
from interplay.envs.indexing import one_hot
from interplay.envs.types import Observation, SideSpec, Transition


class Ridge(Stateful):
    """Bayesian linear regressions, one for doing nothing and one for each level: ``K = 1 + L`` models.

    With rows X and rewards y of a model, A = ridge * 1 + X'X and b = X'y; A^-1 b is the ridge solution, and with noise
    of variance 1 the weights' posterior is N(A^-1 b, A^-1).

    A row is ``[1, own features, option features]``, of size ``F``, and the last are 0 for doing nothing. Own features
    shift all options of a model alike: they say whether to act at all and at which level, and take out of the errors
    what is due to the agent's state. Nothing is crossed with anything, because the columns where agent and option
    meet are features already: users see ``match_*``, the products of taste and item, in which the article's
    preference is linear, and items see ``affinity``.

    Args:
        spec: the side's shapes.
        ridge: the penalty, which is also the prior's precision.
        device: where the sums live.
    """

    def __init__(self, spec: SideSpec, ridge: float, device: torch.device) -> None:
        self._levels = spec.num_levels
        size = 1 + len(spec.own_features) + len(spec.option_features)
        # Double: sums over millions of rows, which are then inverted.
        eye = torch.eye(size, dtype=torch.float64, device=device)
        self.precision = (ridge * eye).repeat(1 + spec.num_levels, 1, 1)
        self.moment = torch.zeros(1 + spec.num_levels, size, dtype=torch.float64, device=device)

    def rows(self, seen: Observation) -> Tensor:
        """The row of doing nothing, then one for each option: float64 ``[B, N, 1 + M, F]``."""
        own = torch.cat([torch.ones_like(seen.own[..., :1]), seen.own], dim=2).double()
        options = torch.nn.functional.pad(seen.options.double(), (0, 0, 1, 0))
        each = own.unsqueeze(2).expand(*options.shape[:3], own.shape[2])
        return torch.cat([each, options], dim=3)

    def factor(self) -> Tensor:
        """Lower triangles C with A = C C', float64 ``[K, F, F]``."""
        # The checked routine would wait for the device; ridge > 0 makes A positive definite.
        factor: Tensor = torch.linalg.cholesky_ex(self.precision).L
        return factor

    def weights(self) -> Tensor:
        """The ridge solutions, float64 ``[K, F]``."""
        return torch.cholesky_solve(self.moment.unsqueeze(2), self.factor()).squeeze(2)

    def deviation(self, rows: Tensor) -> Tensor:
        """``sqrt(x' A^-1 x)``, standard deviation of each row's mean under each model: ``[..., F]`` to ``[..., K]``."""
        # With A = C C', that is the length of C^-1 x.
        half = torch.linalg.solve_triangular(self.factor(), rows.flatten(0, -2).T, upper=False)
        length: Tensor = torch.linalg.vector_norm(half, dim=1)
        return length.T.reshape(*rows.shape[:-1], len(length))

    def sample(self, normal: Tensor) -> Tensor:
        """Draws from N(0, A^-1), made of standard normal ones: float64 ``[..., K, F]`` to the same."""
        # With A = C C', the solution of C' x = z has covariance A^-1.
        drawn: Tensor = torch.linalg.solve_triangular(self.factor().mT, normal.unsqueeze(-1), upper=True)
        return drawn.squeeze(-1)

    def by_action(self, values: Tensor) -> Tensor:
        """Of values of every row under every model, ``[B, N, 1 + M, K]``, one for each action, ``[B, N, A]``."""
        return torch.cat([values[:, :, :1, 0], values[:, :, 1:, 1:].flatten(2)], dim=2)

    def update(self, seen: Observation, action: Tensor, reward: Tensor, weight: Tensor) -> Tensor:
        """Add what was done and what it earned.

        Args:
            seen: where it was done.
            action: int64 ``[B, N]``.
            reward: ``[B, N]``.
            weight: ``[B, N]``, how many rows each counts as; 0 leaves it out.

        Returns:
            Reward less what was expected of it before, float64 ``[B, N]``.
        """
        row, model = self._taken(self.rows(seen), action)
        error = reward - (row * self.weights()[model]).sum(2)
        member = one_hot(model, len(self.moment), torch.float64) * weight.unsqueeze(2)
        self.precision += torch.einsum("bnk,bnf,bng->kfg", member, row, row)
        self.moment += torch.einsum("bnk,bnf,bn->kf", member, row, reward.double())
        return error

    def _taken(self, rows: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Row ``[B, N, F]`` and model ``[B, N]`` of each action."""
        place, levels = (action - 1).clamp(min=0), max(1, self._levels)
        at = torch.where(action > 0, 1 + place // levels, 0)
        row = rows.gather(2, at[:, :, None, None].expand(*at.shape, 1, rows.shape[3])).squeeze(2)
        return row, torch.where(action > 0, 1 + place % levels, 0)


@dataclass(frozen=True, kw_only=True)
class LinearOptions(Checked):
    """Options of every linear bandit."""

    ridge: Positive = 1.0
    """Penalty of the regression, the precision of its prior."""


class LinearBandit(Agent):
    """Fits one ``Ridge`` for the whole side; how to act on it is for subclasses to say."""

    options: LinearOptions

    def build(self) -> None:
        """See ``Player.build``."""
        self.ridge = Ridge(self.spec, self.options.ridge, self.device)

    def scores(self, observation: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """Expected rewards; see ``Agent.scores``. The regression is the same for all agents."""
        return self.ridge.by_action(self.ridge.rows(observation) @ self.ridge.weights().T)

    def learn(self, transition: Transition) -> Mapping[str, Tensor]:
        """Add the step to the regression."""
        t = transition
        error = self.ridge.update(t.observation, t.action, t.reward, t.valid * t.weight)
        return {"loss": valid_mean(error.square() * t.weight, t.valid)}
