"""Iterations of players in worlds as graphs: recorded the second time that they go one way, replayed from then on.

Which way an iteration goes follows from what the players keep beside tensors, and from what their counters decide: it
is a learner's first steps, the step that ends a rollout, or any other. Each way has a graph. All graphs read and write
the same memory, where worlds and players lie from one iteration to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from interplay.agents.parts.counting import Counting
from interplay.agents.parts.player import Player
from interplay.agents.parts.remembered import Leaf, copied, kept_by, leaves, stateful, with_leaves
from interplay.agents.parts.stateful import Stateful
from interplay.envs.graphs import NotCapturable, record
from interplay.envs.trees import copy_all, memory_of, stored

Metrics = dict[str, Tensor]

_PATIENCE = 1000  # iterations in a row without a graph, after which there will be none


class _Key(NamedTuple):
    """A way for an iteration to go: what is done, what lies in memory, and what the counters decide."""

    kind: str
    layout: int
    phases: tuple[Hashable, ...]


class _Way(NamedTuple):
    """A graph, and what it changes beside the memory.

    Attributes:
        replay: launches the graph.
        metrics: where the learners' metrics lie.
        counted: how far each counter goes on.
        layout: what lies in memory afterwards.
        kept: attributes of every stateful object afterwards.
        worlds: the worlds afterwards.
    """

    replay: Callable[[], None]
    metrics: Metrics
    counted: list[tuple[Counting, str, int]]
    layout: int
    kept: list[tuple[Stateful, dict[str, Any]]]
    worlds: Any


class Captured:
    """Does iterations of players in worlds, by graphs where it can.

    Args:
        players: each once.
        device: where everything lives.
        get: gives the worlds, as records in tuples and dicts.
        put: takes such worlds.

    Attributes:
        note: why there are no graphs; empty as long as there may be some.
    """

    def __init__(self, players: Iterable[Player], device: torch.device, get: Callable[[], Any],
                 put: Callable[[Any], None]) -> None:
        self._players, self._device, self._get, self._put = list(players), device, get, put
        unable = [player.name for player in self._players if not player.capturable]
        self._ways: dict[_Key, _Way] = {}
        self._seen: set[_Key] = set()
        self._layouts: dict[Hashable, int] = {}
        self._memory: dict[int, list[Tensor]] = {}  # where everything lies, by layout
        self._now: int | None = None  # the layout, if everything lies in its memory
        self._phased: list[Counting] = []
        self._misses = 0
        self.note = ""
        for counter in self._found_counters():
            counter.count_on(device)  # from where it is: after a resume that is not where it was
        if unable:
            self._give_up(f"{unable[0]!r} says that it cannot be captured")

    @property
    def num_graphs(self) -> int:
        """How many graphs there are."""
        return len(self._ways)

    def look_again(self) -> None:
        """Say that others have changed worlds or players since the last call of ``do``."""
        self._now = None

    def end(self) -> None:
        """Let everything count in Python again. Nothing may be done with it afterwards."""
        for counter in self._found_counters():
            counter.count_on_host()

    def _give_up(self, note: str) -> None:
        """Do without graphs from now on. Agents that read numbers on the host then need not wait for the device."""
        self.note = note
        self.end()

    def do(self, kind: str, work: Callable[[], Metrics]) -> Metrics:
        """Do ``work``, which is always the same for a ``kind``: it puts other worlds, and changes players."""
        if self.note:
            return work()
        key = self._key(kind)
        way = self._ways.get(key)
        if way is None:
            return (self._recorded if key in self._seen else self._without)(key, work)
        self._misses = 0
        self._load(key.layout)
        way.replay()
        for counter, name, by in way.counted:
            vars(counter)[name] += by
        if way.layout != key.layout:
            self._restore(way.kept, way.worlds)
            self._now = way.layout
        return _copied(way.metrics)

    def _key(self, kind: str) -> _Key:
        if self._now is None:
            self._phased = [c for c in self._found_counters() if type(c).graph_phase is not Counting.graph_phase]
        layout = self._look()[1] if self._now is None else self._now
        return _Key(kind, layout, tuple(counter.graph_phase for counter in self._phased))

    def _without(self, key: _Key, work: Callable[[], Metrics]) -> Metrics:
        """Do it without a graph."""
        self._seen.add(key)
        self._now, self._misses = None, self._misses + 1
        if self._misses > _PATIENCE:
            self._give_up("an agent keeps a number that changes at every step: keep it as a tensor on the device")
        return work()

    def _recorded(self, key: _Key, work: Callable[[], Metrics]) -> Metrics:
        """Do it while a graph of it is recorded."""
        self._load(key.layout)
        kept, worlds = self._kept(), self._get()
        before = [(c, name, vars(c)[name]) for c in self._found_counters() for name in c._counters]

        def iteration() -> tuple[Metrics, int]:
            metrics = work()
            found, layout = self._look()
            if layout not in self._memory:
                self._memory[layout] = self._room(found, self._memory[key.layout])
            copy_all(self._memory[layout], (leaf.tensor for leaf in found))
            return metrics, layout

        try:
            recording = record(iteration, self._device)
        except NotCapturable as error:
            if self._device.type != "cuda":
                raise  # the work is half done
            for counter, name, value in before:
                vars(counter)[name] = value
            self._restore(kept, worlds)
            self._give_up(str(error))
            return work()
        metrics, layout = recording.result
        self._place(layout)
        self._ways[key] = _Way(recording.replay, metrics,
                               [(c, name, vars(c)[name] - value) for c, name, value in before],
                               layout, self._kept(), self._get())
        if not recording.done:
            recording.replay()
        return _copied(metrics)

    def _load(self, layout: int) -> None:
        """Let everything lie in the memory of its layout."""
        if self._now == layout:
            return
        found = self._look()[0]
        if layout not in self._memory:
            self._memory[layout] = self._room(found, ())
        copy_all(self._memory[layout], (leaf.tensor for leaf in found))
        self._place(layout)

    def _place(self, layout: int) -> None:
        """Let worlds and players refer to the memory of a layout."""
        memory = iter(self._memory[layout])
        self._put(with_leaves(self._get(), memory))
        with_leaves(self._players, memory)
        self._now = layout

    @staticmethod
    def _room(found: list[Leaf], old: Iterable[Tensor]) -> list[Tensor]:
        """Memory for these, none of it for two of them: what stays, ``old`` memory where it still serves, or new."""
        kept, used, room = {id(tensor) for tensor in old}, set[int](), []
        for leaf in found:
            good = leaf.stays or (id(leaf.tensor) in kept and memory_of(leaf.tensor) not in used)
            room.append(leaf.tensor if good else _space(leaf))
            used.add(memory_of(room[-1]))
        return room

    def _look(self) -> tuple[list[Leaf], int]:
        """Every tensor of worlds and players, and the number of the layout."""
        found = [*leaves(self._get()), *leaves(self._players)]
        layout = tuple(part for part in found if not isinstance(part, Leaf))
        number = self._layouts.setdefault(layout, len(self._layouts))
        return [part for part in found if isinstance(part, Leaf)], number

    def _found_counters(self) -> list[Counting]:
        """Everything that counts; what has begun to count since the last call now does so on the device."""
        # One that two attributes refer to counts once.
        counters = list({id(part): part for part in stateful(self._players) if isinstance(part, Counting)}.values())
        for counter in counters:
            if counter._counters and not counter.counts_on_device:
                counter.count_on(self._device)
        return counters

    def _kept(self) -> list[tuple[Stateful, dict[str, Any]]]:
        return [(part, kept_by(part)) for part in stateful(self._players)]

    def _restore(self, kept: list[tuple[Stateful, dict[str, Any]]], worlds: Any) -> None:
        for part, attributes in kept:
            vars(part).update({name: copied(value) for name, value in attributes.items()})
        self._put(worlds)


def _copied(metrics: Metrics) -> Metrics:
    """Copies of them: memory that a graph writes may be another graph's at the next replay."""
    return {name: value.clone() for name, value in metrics.items()}


def _space(leaf: Leaf) -> Tensor:
    """Memory for a tensor, as much as is in memory of a constant one that is expanded."""
    tensor = leaf.tensor
    return torch.empty_like(stored(tensor) if leaf.constant else tensor,
                            memory_format=torch.contiguous_format).expand(tensor.shape)
