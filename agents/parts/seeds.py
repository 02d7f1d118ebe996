"""Copies of one agent, each with a seed of its own, that act and learn as one.

All that an agent keeps in tensors and networks gets a first axis that counts the copies, and ``torch.func.vmap`` does
for all of them what the agent's code says for one. So each agent is written once, without that axis. Some parts know of
vmap: loops and draws of noise, which have a rule for it, and ``Optimiser``, which moves stacked weights at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch._C import _functorch
from torch._functorch.vmap import lazy_load_decompositions  # type: ignore[attr-defined]

from interplay.agents.parts.choosing import Offer
from interplay.agents.parts.player import Player, Setting
from interplay.agents.parts.remembered import Leaf, exchange, leaves, modules_of, with_leaves
from interplay.envs.stacking import is_stacked, table_of
from interplay.envs.trees import parts_of, tensors_of, with_parts, with_tensors
from interplay.envs.types import Observation, Side, SideSpec, TensorRecord, Transition


def can_stack(players: Sequence[Player]) -> bool:
    """Whether ``Seeds`` can hold these: vmap has no rule for recurrent layers."""
    layers = (layer for player in players for module in modules_of(player) for layer in module.modules())
    return all(player.stacks for player in players) and not any(isinstance(layer, nn.RNNBase) for layer in layers)


class Seeds(Player):
    """One player in the place of several of one class, options and age, which differ by their seeds.

    Worlds of the first copy come first, then those of the second: ``[copies * B, ...]``.

    Args:
        players: the copies. They keep their own state, and ``hand_over`` brings it up to date.
    """

    _counters: ClassVar[tuple[str, ...]] = ()

    def __init__(self, players: Sequence[Player]) -> None:
        self._count = len(players)
        self._one = deepcopy(players[0])
        self._copies = _Copies(self._count)
        self._weights = _Weights(self._one)
        self._level = 0  # of vmap, whose tensors the one keeps for tables
        first, *others = ([leaf for leaf in leaves(player) if isinstance(leaf, Leaf)]
                          for player in (self._one, *players[1:]))
        tables = [self._stack(column) for column in zip(first, *others, strict=True)]
        with_leaves(self._one, iter(tables))

    def _stack(self, column: Sequence[Leaf]) -> Tensor:
        """One tensor of every copy as one; what is written in place stays the same object."""
        first = column[0]
        if first.stays and first.tensor.dim() == 0 and not self._weights.have(first.tensor):
            return first.tensor  # an optimiser's count of steps
        table = torch.stack([leaf.tensor.detach() for leaf in column])
        if first.stays:
            first.tensor.data = table
        return table

    @classmethod
    def of(cls, specs: Mapping[Side, SideSpec], setting: Setting, options: Any = None) -> Self:
        """Not made of specs."""
        raise NotImplementedError

    @property
    def name(self) -> str:  # type: ignore[override]
        """The name of the copies."""
        return self._one.name

    @property
    def learns(self) -> bool:  # type: ignore[override]
        """As the copies do."""
        return self._one.learns

    @property
    def capturable(self) -> bool:  # type: ignore[override]
        """As the copies are."""
        return self._one.capturable

    @property
    def sees_expected_reward(self) -> bool:  # type: ignore[override]
        """As the copies do."""
        return self._one.sees_expected_reward

    def act_as(self, side: Side, seen: Observation, explore: bool) -> Tensor:
        """See ``Player``."""
        action: Tensor = self._do(lambda one, own: one.act_as(side, own, explore), seen)
        return action.flatten(0, 1)

    def scores_as(self, side: Side, seen: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """See ``Player``."""
        scores: Tensor = self._do(lambda one, own: one.scores_as(side, own, agent_ids), seen)
        return scores.flatten(0, 1)

    def log_propensity_as(self, side: Side, seen: Observation, action: Tensor, explore: bool) -> Tensor | None:
        """See ``Player``."""
        found = self._do(lambda one, own: one.log_propensity_as(side, own[0], own[1], explore), (seen, action))
        return found.flatten(0, 1) if isinstance(found, Tensor) else None

    def offer(self, seen: Observation, size: int, explore: bool) -> Offer:
        """See ``Agent.offer``."""
        offer: Offer = self._do(lambda one, own: one.offer(own, size, explore), seen)
        return with_tensors(offer, (x.flatten(0, 1) for x in tensors_of(offer)))  # type: ignore[no-any-return]

    def learn_from(self, steps: Mapping[Side, Transition]) -> dict[str, Tensor]:
        """See ``Player``; metrics have a first axis that counts copies."""
        metrics: dict[str, Tensor] = self._do(lambda one, own: one.learn_from(own), dict(steps))
        return metrics

    def hand_over(self, players: Mapping[int, Player], own: bool) -> None:
        """Let copies' players have their state.

        Args:
            players: of the same class and options, by the copy's number.
            own: whether in memory of its own; otherwise it is for reading, until the copies go on.
        """
        self._come_out()
        state = self._one.state_dict()
        for number, player in players.items():
            player._restore(_row(state, number, own), player.device)

    def _do(self, work: Callable[[Any, Any], Any], given: Any) -> Any:
        """Let all copies work, each on its part of what is given; results have a first axis that counts copies."""
        with self._copies as copies:
            self._go_in()
            try:
                found = work(self._one, copies.part(given))
            finally:
                exchange(self._one, copies.own, copies.once)
        if self._one.counts_on_device:
            self._come_out()  # graphs write tables
        return with_tensors(found, map(self._copies.table, tensors_of(found)))  # without vmap, which takes its time

    def _go_in(self) -> None:
        """Keep what vmap works on. It stays from one call to the next, as to look through all takes long."""
        if self._level != self._copies.level:
            self._come_out()
            exchange(self._one, self._copies.of)
            self._weights.put(map(self._copies.of, self._weights.get()))
            self._level = self._copies.level

    def _come_out(self) -> None:
        """Keep tables."""
        if self._level:
            exchange(self._one, self._copies.table)
            self._weights.put(map(table_of, self._weights.get()))
            self._level = 0


class _Copies:
    """A level of vmap. ``torch.func.vmap`` does the same, but looks at all it is given and gives, changed or not.

    What stands for a part of a table or of a record of tables is the same as in the last call: agents know by it what
    they saw.
    """

    def __init__(self, count: int) -> None:
        self._count, self.level = count, 0
        self._last: dict[int, tuple[Any, Any]] = {}
        self._now: dict[int, tuple[Any, Any]] = {}

    def __enter__(self) -> Self:
        lazy_load_decompositions()
        level = _functorch._vmap_increment_nesting(self._count, "error")
        self._last, self._now = self._now if level == self.level else {}, {}
        self.level = level
        return self

    def __exit__(self, *error: object) -> None:
        _functorch._vmap_decrement_nesting()

    def of(self, table: Tensor) -> Tensor:
        """What stands for a row of the table, which has a first axis that counts copies."""
        row: Tensor = _functorch._add_batch_dim(table, 0, self.level)
        return row

    def table(self, row: Tensor) -> Tensor:
        """The table: the one that ``of`` was given, which may have been written into, or a new one."""
        table = table_of(row) if is_stacked(row) else row.expand(self._count, *row.shape)
        return table.contiguous()

    def own(self, row: Tensor) -> Tensor:
        """The row, or one for each copy of what is the same for all: then they can be written into."""
        return row if is_stacked(row) else self.of(self.table(row))

    def once(self, record: TensorRecord, work: Callable[[TensorRecord], TensorRecord]) -> TensorRecord:
        """What ``work`` gives for a record, which is the same as in the last call: records do not change."""
        found = self._known(record)
        own: TensorRecord = work(record) if found is None else found[1]
        self._now[id(own)] = own, own
        return own

    def _known(self, tree: Any) -> tuple[Any, Any] | None:
        place = id(tree)
        return self._now.get(place) or self._last.get(place)

    def part(self, tree: Any) -> Any:
        """A tree of tables ``[copies * B, ...]``, of each of which a copy gets its own ``[B, ...]``."""
        found = self._known(tree)
        if found is None:
            if isinstance(tree, Tensor):
                found = tree, self.of(torch.unflatten(tree, 0, (self._count, -1)))
            elif isinstance(tree, TensorRecord):
                found = tree, with_parts(tree, self._parts(tree.parts()))
            else:
                return with_parts(tree, self._parts(parts_of(tree)))
        self._now[id(tree)] = found
        return found[1]

    def _parts(self, trees: Mapping[Any, Any]) -> dict[Any, Any]:
        return {name: None if tree is None else self.part(tree) for name, tree in trees.items()}


class _Weights:
    """Where modules keep their parameters and buffers. It is no state of the player: the modules are."""

    def __init__(self, player: Player) -> None:
        layers = [layer for module in modules_of(player) for layer in module.modules()]
        self._slots = [(slots, name) for layer in layers for slots in (layer._parameters, layer._buffers)
                       for name, weight in slots.items() if weight is not None]

    def get(self) -> list[Tensor]:
        return [slots[name] for slots, name in self._slots]  # type: ignore[misc]

    def put(self, weights: Iterable[Tensor]) -> None:
        for (slots, name), weight in zip(self._slots, weights, strict=True):
            slots[name] = weight  # type: ignore[assignment]

    def have(self, tensor: Tensor) -> bool:
        return any(weight is tensor for weight in self.get())


def _row(saved: Any, number: int, own: bool) -> Any:
    """The part of a state that belongs to one copy."""
    if isinstance(saved, Tensor):
        row = saved[number] if saved.dim() else saved  # an optimiser's count of steps is one for all
        return row.clone() if own else row
    if isinstance(saved, Mapping):
        return {name: _row(part, number, own) for name, part in saved.items()}
    return [_row(part, number, own) for part in saved] if isinstance(saved, list) else saved
