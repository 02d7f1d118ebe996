"""What a preset is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Self

import torch

from interplay.envs.behaviour.base import Behaviour
from interplay.envs.behaviour.synthetic import GivenPopulation, SyntheticBehaviour
from interplay.envs.checking import Bounds, Checked, Count, Positive, check_names
from interplay.envs.config import MarketConfig
from interplay.envs.market import Market
from interplay.envs.types import Side

Discount = Annotated[float, Bounds(0, 1)]

_REPLAYING = {"updates_per_step": 2, "capacity": 1_000_000}
_IN_MANY_WORLDS: dict[str, dict[str, Any]] = {
    "dqn": _REPLAYING, "shared-critic": _REPLAYING, "pqn": {"rollout_length": 5}, "ippo": {"num_minibatches": 8}}
"""Options of agents for many worlds: twice the default's updates in a step, and a memory of ten times the default's.

With the default memory, which holds few steps of many worlds, dqn ended at other boosts on ``contest``.
"""


@dataclass(frozen=True)
class Training(Checked):
    """How to train on a preset and how to measure: recommended, visible, and overridden by flags."""

    num_worlds: Count = 16
    """Worlds that run side by side."""
    episodes: Count = 100
    """Episodes of training."""
    eval_worlds: Count = 64
    """Held-out worlds of the final evaluation."""
    discount: Discount = 0.97
    """Discount of learners."""
    user_discount: Discount | None = None
    """That of learners that play the users alone; None = as all others."""
    reward_scale: Positive = 1.0
    """Factor of the rewards that agents learn from, for rewards far from 1; evaluations report them without it."""
    side: Side = "users"
    """The side whose agents are compared."""
    others: str = "rest"
    """Agent that plays the other side; where platforms are compared, the users, while items rest."""
    measure: str = "user_return"
    """The figure of an evaluation by which agents are compared."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Hyper-parameters that an agent, by name, needs here: what is not said here is the agent's default."""
    on_gpu: Mapping[str, Any] | None = None
    """Which of these numbers are others on a GPU, where a step of many worlds takes about as long as one of few."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("on_gpu", self.on_gpu or {}, [f.name for f in fields(self) if f.name != "on_gpu"])
        self.on(torch.device("cuda"))

    def on(self, device: torch.device) -> Training:
        """What is recommended on a device."""
        if self.on_gpu is None:
            return self
        return replace(self, on_gpu=None, **(self.on_gpu if device.type == "cuda" else {}))

    def sized_for_gpu(self, num_worlds: int) -> Training:
        """This with sizes for a GPU: so many worlds, and as many updates in half the episodes.

        There the time of a training is that of its steps, and an update more in a step adds little to it.
        """
        options = {name: {**self.options.get(name, {}), **_IN_MANY_WORLDS.get(name, {})}
                   for name in {**self.options, **_IN_MANY_WORLDS}}
        return replace(self, on_gpu={"num_worlds": num_worlds, "episodes": max(1, self.episodes // 2),
                                     "options": options})


@dataclass(frozen=True)
class Preset(Checked):
    """A named market.

    Attributes:
        name: what users type.
        config: its numbers.
        behaviour: makes the behaviour for a config, which may have been changed by the user.
        training: the recommended training.
        summary: one line for listings.
        benchmark_agents: agents that a benchmark compares here, each as NAME or NAME,OPTION=VALUE,...; () = every
            learner.
        seeds: training seeds of a benchmark.
    """

    name: str
    config: MarketConfig
    behaviour: Callable[[MarketConfig], Behaviour]
    training: Training
    summary: str
    benchmark_agents: tuple[str, ...] = ()
    seeds: Count = 5

    @classmethod
    def given(cls, name: str, people: GivenPopulation, training: Training, summary: str, **market: Any) -> Self:
        """A market of people who are written out; ``dataclasses.replace`` sets what a benchmark compares.

        Args:
            name: what users type.
            people: the same in every world; sizes of the market follow from them.
            training: the recommended training.
            summary: one line for listings.
            market: other fields of ``MarketConfig``.
        """
        return cls(name, MarketConfig(**people.sizes | market), lambda config: SyntheticBehaviour(copy(people)),
                   training, summary)

    def market(self, device: torch.device | str = "cpu", **changes: Any) -> Market:
        """The market on ``device``, with some numbers of its config changed.

        Raises:
            InterplayError: an unknown number, or a value that it cannot have.
        """
        return self.market_of(self.config.changed("market", changes), device)

    def market_of(self, config: MarketConfig, device: torch.device | str = "cpu") -> Market:
        """The market of another config."""
        return Market(config, self.behaviour(config), device, self.name)
