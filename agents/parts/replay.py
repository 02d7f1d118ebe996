"""Replay memory that lives where the training does."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from interplay.envs.types import Observation, TensorRecord, Transition


class Replay:
    """A ring of single-agent transitions, written and sampled without leaving the device.

    Args:
        capacity: transitions to keep; the oldest are overwritten.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._store: Transition | None = None
        self._next = 0
        self.size = 0

    def add(self, transition: Transition) -> None:
        """Append the ``B * N`` transitions of one step; its last two batch dimensions are flattened."""
        rows = _map(transition, lambda x: x.flatten(0, 1))
        count = rows.action.shape[0]
        if self._store is None:
            self._capacity = max(self._capacity, count)
            self._store = _map(rows, lambda x: x.new_zeros(self._capacity, *x.shape[1:]))
        first = min(count, self._capacity - self._next)
        _write(self._store, self._next, _map(rows, lambda x: x[:first]))
        _write(self._store, 0, _map(rows, lambda x: x[first:]))
        self._next = (self._next + count) % self._capacity
        self.size = min(self.size + count, self._capacity)

    def sample(self, draw: Tensor) -> Transition:
        """The transitions that ``draw`` (uniform in (0, 1), ``[S]``) picks, each field ``[S, ...]``."""
        assert self._store is not None
        index = (draw * self.size).long().clamp(max=self.size - 1)
        picked: Transition = _map(self._store, lambda x: x[index])
        return picked

    def state_dict(self) -> dict[str, Any]:
        """The filled part."""
        store = None if self._store is None else _map(self._store, lambda x: x[: self.size]).state_dict()
        return {"store": store, "next": self._next, "size": self.size}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on from ``state``, with the tensors on ``device``."""
        self._next, self.size, self._store = state["next"], state["size"], None
        if state["store"] is None:
            return
        self._capacity = max(self._capacity, self.size)
        saved = dict(state["store"])
        for name in ("observation", "next_observation"):
            saved[name] = Observation(**saved[name])
        rows = _map(Transition(**saved), lambda x: x.to(device))
        self._store = _map(rows, lambda x: x.new_zeros(self._capacity, *x.shape[1:]))
        _write(self._store, 0, rows)


def _map(record: Any, change: Any) -> Any:
    """The record with ``change`` applied to every tensor."""
    values = {f.name: getattr(record, f.name) for f in fields(record)}
    return replace(record, **{k: _map(v, change) if isinstance(v, TensorRecord) else None if v is None else change(v)
                              for k, v in values.items()})


def _write(store: TensorRecord, start: int, rows: TensorRecord) -> None:
    for f in fields(store):
        target, source = getattr(store, f.name), getattr(rows, f.name)
        if isinstance(target, TensorRecord):
            _write(target, start, source)
        elif target is not None:
            target[start : start + source.shape[0]] = source
