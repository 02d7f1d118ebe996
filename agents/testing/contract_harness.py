"""Runs an agent and checks all that it returns. What is wrong is reported in one line."""

from __future__ import annotations

import copy
import io
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from interplay.agents.base import Agent
from interplay.agents.parts.captured import Captured
from interplay.agents.parts.player import Player, Setting
from interplay.agents.testing.synthetic_transitions import Trajectory, observation, trajectory
from interplay.envs.graphs import NotCapturable
from interplay.envs.messages import place_of
from interplay.envs.types import InterplayError, Observation, Side, SideSpec, TensorRecord, Transition

CPU, META = torch.device("cpu"), torch.device("meta")
"""The device of most checks, and one whose tensors have no values: code that reads one raises."""

SLATE_SIZE = 2
"""Slots that a platform fills."""

_TOUCHED = ("on the meta device, whose tensors have no values: make tensors in build, with self.zeros or like others, "
            "and do without .item(), .cpu(), float(), boolean indices and `if` on tensors; ")


class AgentError(AssertionError):
    """An agent that breaks the contract, said in one line: the thing, the value and the fix."""


class Played(NamedTuple):
    """What an agent did: actions by step, those without exploration in the end, and metrics by step."""

    actions: dict[str, dict[Side, Tensor]]
    metrics: dict[str, dict[str, Tensor]]

    def difference(self, other: Played) -> str:
        """Where two agents did not do the same, "" if nowhere."""
        return difference(self.actions, other.actions) or difference(self.metrics, other.metrics)


@dataclass(frozen=True)
class AgentHarness:
    """Makes agents of one class for sides of one shape, and calls them.

    Attributes:
        kind: the class.
        options: an instance of its ``Options``, or None.
        case: what the sides are like, in words.
        specs: the sides; an ``Agent`` plays the only one.
        total_steps: of training, for schedules.
        device: where the agents live. The meta device has no values.
    """

    kind: type[Player]
    options: Any
    case: str
    specs: Mapping[Side, SideSpec]
    total_steps: int
    device: torch.device = CPU

    def require(self, fine: bool, fault: str | Callable[[], str]) -> None:
        """Raise AgentError unless all is fine. A text that takes long to make, as that of tensors, is a function."""
        if not fine:
            raise AgentError(f"{self.kind.name} as {self.case}: {fault if isinstance(fault, str) else fault()}")

    def make(self) -> Player:
        """A new agent, always of the same seed."""
        setting = Setting(seed=1, device=self.device, total_steps=self.total_steps)
        with self._watching("__init__"):
            made = self.kind.of(self.specs, setting, self.options)
        return made

    def trajectory(self, num_steps: int, empty: bool = False) -> Trajectory:
        """What agents live through, on the device; see ``synthetic_transitions.trajectory``."""
        return moved(trajectory(self.specs, num_steps, self.kind.sees_expected_reward, empty), self.device)

    def observation(self, spec: SideSpec, num_worlds: int, seed: int) -> Observation:
        """What a side sees, on the device."""
        return observation(spec, num_worlds, seed, self.kind.sees_expected_reward).map(lambda x: x.to(self.device))

    def act(self, player: Player, side: Side, seen: Observation, explore: bool) -> Tensor:
        """Its actions, int64 ``[B, N]``; a platform's slates, int64 ``[B, N, SLATE_SIZE]``."""
        if side == "platform":
            return self._slate(player, seen, explore)
        call = f"act(explore={explore}) on {len(seen.mask)} worlds"
        with self._watching(call, seen):
            action = player.act_as(side, seen, explore)
        self._check_action(call, action, seen.mask)
        return action

    def scores(self, player: Player, side: Side, seen: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """Its scores, ``[B, N, A]``."""
        call = f"scores on {len(seen.mask)} worlds"
        with self._watching(call, seen):
            scores = player.scores_as(side, seen, agent_ids)
        self.require(scores.shape == seen.mask.shape, f"{call} gave shape {list(scores.shape)}, must give [B, N, A] = "
                                                      f"{list(seen.mask.shape)}")
        self.require(scores.device == META or not bool(scores.isnan().any()), lambda: f"{call} gave nan: give numbers")
        return scores

    def _slate(self, player: Player, seen: Observation, explore: bool) -> Tensor:
        call = f"slate(explore={explore}) on {len(seen.mask)} worlds"
        with self._watching(call, seen):
            assert isinstance(player, Agent)
            slots, chance = player.offer(seen, SLATE_SIZE, explore)
        self._check_action(call, slots, seen.mask, SLATE_SIZE)
        if seen.mask.device != META:
            twice = ((slots[..., 1:] == slots[..., :1]) & (slots[..., 1:] > 0)).any(2)
            self.require(not bool(twice.any()), lambda: f"{call} gave {slots.tolist()}, with a candidate twice in a "
                                                        f"slate at [world, agent] {twice.nonzero().tolist()}")
            self.require(chance is None or (chance.shape == slots.shape[:2] and bool((chance <= 0.0).all())),
                         lambda: f"offer(explore={explore}) gave log_propensity {chance}, must give log-probabilities "
                                 "[B, N], of at most 0, or None")
        return slots

    def _check_action(self, call: str, action: Any, mask: Tensor, *slots: int) -> None:
        shape, words = [*mask.shape[:2], *slots], "[B, N, K]" if slots else "[B, N]"
        self.require(isinstance(action, Tensor), f"{call} gave a {type(action).__name__}, must give a torch.Tensor")
        self.require(action.dtype == torch.int64, f"{call} gave {action.dtype}, must give torch.int64: add .long()")
        self.require(list(action.shape) == shape,
                     f"{call} gave shape {list(action.shape)}, must give {words} = {shape}")
        self.require(action.device == mask.device, f"{call} gave a tensor on the device {action.device}, must give one "
                                                   f"on {mask.device}, where the observation is")
        if mask.device == META:
            return
        inside = (action >= 0) & (action < mask.shape[2])
        self.require(bool(inside.all()), lambda: f"{call} gave {action.tolist()}, must give 0 to {mask.shape[2] - 1}")
        allowed = mask.gather(2, action.view(*mask.shape[:2], -1)).all(2)
        self.require(bool(allowed.all()), lambda: f"{call} gave {action.tolist()}, which observation.mask forbids at "
                     f"[world, agent] {(~allowed).nonzero().tolist()}: choose with parts.choosing.best")

    def learn(self, player: Player, step: Mapping[Side, Transition]) -> dict[str, Tensor]:
        """Its metrics."""
        learned = player.learned
        with self._watching("learn", *step.values()):
            metrics = player.learn_from(step)
        self.require(player.learned == learned + 1, "learn changed self.learned, which counts by itself: leave it out")
        for name, value in metrics.items():
            self._check_metric(name, value)
        return metrics

    def _check_metric(self, name: Any, value: Any) -> None:
        """A scalar. A constant may stay on the host: nothing that was read from the device gets there unnoticed."""
        what = f"learn()[{name!r}]"
        self.require(isinstance(name, str), f"{what} has a {type(name).__name__} for its name, must have a str")
        self.require(isinstance(value, Tensor), f"{what} is a {type(value).__name__}, must be a tensor left on its "
                                                "device: no float() or .item()")
        self.require(value.dim() == 0, f"{what} has shape {list(value.shape)}, must be a scalar: take the mean")
        self.require(value.device == META or bool(torch.isfinite(value)), lambda: f"{what} is {value}, must be finite")

    def play(self, player: Player, trajectory: Trajectory,
             change: Callable[[Transition], Transition] | None = None) -> Played:
        """Act and learn through ``trajectory``, and the agent learns from what ``change`` makes of it."""
        played = Played({}, {})
        for number, moment in enumerate(trajectory):
            done = {side: self.act(player, side, step.observation, True) for side, step in moment.items()}
            transitions = {side: _transition_of(side, step, done[side]) for side, step in moment.items()}
            if change is not None:
                transitions = {side: change(step) for side, step in transitions.items()}
            played.actions[f"act in step {number}"] = done
            played.metrics[f"learn in step {number}"] = self.learn(player, transitions)
        played.actions.update(self._acted_in_the_end(player, trajectory))
        return played

    def _acted_in_the_end(self, player: Player, trajectory: Trajectory) -> dict[str, dict[Side, Tensor]]:
        return {"act(explore=False) in the end": {side: self.act(player, side, step.next_observation, False)
                                                  for side, step in trajectory[-1].items()}}

    def replay(self, player: Player, trajectory: Trajectory) -> dict[str, dict[Side, Tensor]]:
        """Act and learn as ``play`` does, by graphs; gives the actions by step."""
        worlds: tuple[dict[Side, Transition], dict[Side, Tensor]] = (trajectory[0], {})

        def put(new: Any) -> None:
            nonlocal worlds
            worlds = new

        def step() -> dict[str, Tensor]:
            moment = worlds[0]
            done = {side: self._acted(player, side, step.observation) for side, step in moment.items()}
            put((moment, done))
            return player.learn_from({side: _transition_of(side, step, done[side]) for side, step in moment.items()})

        captured, actions = Captured([player], self.device, lambda: worlds, put), {}
        for number, moment in enumerate(trajectory):
            put((moment, worlds[1]))
            captured.look_again()
            try:
                captured.do("step", step)
            except NotCapturable as error:
                raise AgentError(f"{self.kind.name} as {self.case}: no graph can record act and learn"
                                 f"{place_of(error, Path(__file__))}: {error}. "
                                 "Use agents.Optimiser for torch's, or write capturable = False") from error
            actions[f"act in step {number}"] = {side: action.clone() for side, action in worlds[1].items()}
        return actions | self._acted_in_the_end(player, trajectory)

    def _acted(self, player: Player, side: Side, seen: Observation) -> Tensor:
        if side != "platform":
            return player.act_as(side, seen, True)
        assert isinstance(player, Agent)
        return player.offer(seen, SLATE_SIZE, True).slots

    def state(self, player: Player) -> dict[str, Any]:
        """A copy of its state."""
        with self._watching("state_dict()"):
            state = copy.deepcopy(player.state_dict())
        lacking = sorted({"_draws", "learned"} - set(state))
        self.require(not lacking, f"state_dict() lacks {' and '.join(lacking)}: begin with super().state_dict()")
        return state

    def saved(self, player: Player) -> dict[str, Any]:
        """Its state, through a file and back: as ``state`` gives it, but much slower."""
        file = io.BytesIO()
        with self._watching("torch.save(state_dict())"):
            torch.save(player.state_dict(), file)
        file.seek(0)
        with self._watching("torch.load(weights_only=True) of state_dict(), which may hold tensors, numbers, strings, "
                            "lists and dicts,"):
            state: dict[str, Any] = torch.load(file, weights_only=True)
        return state

    def load(self, player: Player, state: dict[str, Any]) -> None:
        """Let it go on from there."""
        with self._watching("load_state_dict"):
            player.load_state_dict(state)

    @contextmanager
    def _watching(self, call: str, *given: TensorRecord) -> Iterator[None]:
        """An error becomes one line with a place; what was given and the global generators must stay as they are."""
        kept, generators = _marks(given), _generators()
        try:
            yield
        except InterplayError as error:  # which says it all
            raise AgentError(f"{self.kind.name} as {self.case}: {call}: {error}") from error
        except Exception as error:
            host = _TOUCHED if self.device == META else ""
            raise AgentError(f"{self.kind.name} as {self.case}: {host}{call} raised {type(error).__name__}"
                             f"{place_of(error, Path(__file__))}: {' '.join(str(error).split())[:300]}") from error
        drawn = [name for name, state in _generators().items() if state != generators[name]]
        self.require(not drawn, f"{call} drew from the global generator of {' and '.join(drawn)}: use self.draw, and "
                                "make layers in build")
        written = difference(kept, _marks(given))
        self.require(not written, f"{call} wrote into the tensors that it was given: change a copy")


def _marks(records: Iterable[TensorRecord]) -> list[list[Any]]:
    """What shows that tensors were written: values, and on other devices, where reading these takes long, versions."""
    return [[x.clone() if x.device == CPU else x._version for x in record.tensors()] for record in records]


def moved(lived: Trajectory, device: torch.device) -> Trajectory:
    """The same transitions on another device."""
    return [{side: step.map(lambda x: x.to(device)) for side, step in moment.items()} for moment in lived]


def _transition_of(side: Side, step: Transition, done: Tensor) -> Transition:
    """The step with what was done in it; users take what a platform put into the first slot."""
    return replace(step, slate=done, action=done[..., 0]) if side == "platform" else replace(step, action=done)


def difference(one: Any, other: Any, path: str = "") -> str:
    """Where two nested groups of values differ first, "" if nowhere."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return "" if one.dtype == other.dtype and torch.equal(one, other) else path
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        one, other = dict(enumerate(one)), dict(enumerate(other))
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        return "" if type(one) is type(other) and one == other else path
    for key in [*one, *(key for key in other if key not in one)]:
        inner = f"{path}, {key}" if path else str(key)
        found = difference(one[key], other[key], inner) if key in one and key in other else inner
        if found:
            return found
    return ""


def _generators() -> dict[str, Any]:
    """State of the generators that no code may touch."""
    numpys = np.random.get_state(legacy=False)["state"]  # noqa: NPY002  # read to see that no code uses it
    return {"torch": torch.get_rng_state().numpy().tobytes(), "numpy": (numpys["key"].tobytes(), numpys["pos"]),
            "random": random.getstate()}
