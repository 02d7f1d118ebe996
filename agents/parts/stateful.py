"""What an object keeps as attributes is its state: saved, loaded and moved by one rule for agents and their parts."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interplay.envs.types import InterplayError, TensorRecord

_RECORD = "__record__"  # names the class of a saved TensorRecord


class Stateful:
    """Saves and loads its attributes.

    State is every attribute that is a tensor, a ``TensorRecord``, a number, an array of numbers, a string or None, or
    has ``state_dict`` and ``load_state_dict`` (modules, optimisers, other ``Stateful`` objects), and every list, tuple,
    deque or dict of them. Other attributes are configuration: they are left alone, and must not hold tensors.
    """

    def state_dict(self) -> dict[str, Any]:
        """The state by attribute; tensors are not copied. ``torch.load(weights_only=True)`` can read it.

        Raises:
            InterplayError: an attribute holds tensors or numbers in something that cannot be saved.
        """
        found = {}
        for name, value in vars(self).items():
            if _is_state(value):
                found[name] = _saved(value)
            elif _holds_state(value):
                raise InterplayError(f"{type(self).__name__}.{name} is a {type(value).__name__} that cannot be saved: "
                                     "keep tensors, arrays, numbers and modules in attributes, lists, tuples and dicts")
        return found

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device | None = None) -> None:
        """Restore a copy of what ``state_dict`` gave.

        Args:
            state: the state.
            device: where its tensors are moved; None = they stay where they are.

        Raises:
            InterplayError: an attribute is missing, or a tensor has another shape. One that grows must start empty.
        """
        self._restore(copy.deepcopy(dict(state)), device)  # one call, so that views of one tensor stay such

    def _restore(self, state: Mapping[str, Any], device: torch.device | None) -> None:
        """The same without a copy."""
        missing = {name for name, value in vars(self).items() if _is_state(value)} - state.keys()
        if missing:
            raise InterplayError(f"the saved {type(self).__name__} lacks {', '.join(sorted(missing))}: load it with "
                                 "the version that saved it")
        for name, saved in state.items():
            try:
                setattr(self, name, _loaded(getattr(self, name, None), saved, device))
            except InterplayError as error:
                raise InterplayError(f"{type(self).__name__}.{name}: {error}") from error


def _is_state(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_state(part) for part in value.values())
    if isinstance(value, list | tuple | deque):
        return not hasattr(value, "_fields") and all(_is_state(part) for part in value)  # no named tuples
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "biuf"
    return value is None or isinstance(value, Tensor | TensorRecord | int | float | str) or _saves_itself(value)


def _holds_state(value: Any, within: bool = False) -> bool:
    """Whether tensors, arrays or generators are in something that is no state, or numbers in a list, set or dict."""
    if isinstance(value, Tensor | np.ndarray | torch.Generator | np.random.Generator):
        return True
    if isinstance(value, Mapping):
        return any(_holds_state(part, True) for part in value.values())
    if isinstance(value, list | deque | set | frozenset) or (isinstance(value, tuple) and within):
        return any(_holds_state(part, True) for part in value)
    if isinstance(value, tuple):
        return any(_holds_state(part) for part in value)
    if is_dataclass(value) and not isinstance(value, type | TensorRecord):
        return any(_holds_state(getattr(value, f.name)) for f in fields(value))
    return within and isinstance(value, int | float | np.generic)


def _saves_itself(value: Any) -> bool:
    return hasattr(type(value), "state_dict") and hasattr(type(value), "load_state_dict")


def _saved(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, TensorRecord):
        return {_RECORD: _name(type(value)), **value.state_dict()}
    if _saves_itself(value):
        return value.state_dict()
    if isinstance(value, Mapping):
        return {name: _saved(part) for name, part in value.items()}
    return [_saved(part) for part in value] if isinstance(value, list | tuple | deque) else value


def _loaded(old: Any, saved: Any, device: torch.device | None) -> Any:
    """What replaces ``old``: ``old`` itself with new content where others may hold it, as optimisers hold weights."""
    if isinstance(old, Stateful):
        old._restore(saved, device)
        return old
    if _saves_itself(old):
        old.load_state_dict(saved)
        return old
    if isinstance(old, np.ndarray) and isinstance(saved, Tensor):
        return saved.cpu().numpy()
    if isinstance(saved, Tensor):
        return _loaded_tensor(old, saved, device)
    if isinstance(saved, Mapping):
        return _loaded_record(saved, device) if _RECORD in saved else {
            name: _loaded(old.get(name) if isinstance(old, Mapping) else None, part, device)
            for name, part in saved.items()}
    if isinstance(saved, list):
        before = list(old) if isinstance(old, list | tuple | deque) else []
        parts = [_loaded(before[n] if n < len(before) else None, part, device) for n, part in enumerate(saved)]
        return deque(parts, old.maxlen) if isinstance(old, deque) else tuple(parts) if isinstance(old, tuple) else parts
    return saved


def _loaded_tensor(old: Any, saved: Tensor, device: torch.device | None) -> Tensor:
    fixed = isinstance(old, Tensor) and old.numel() > 0
    if fixed and (old.shape != saved.shape or old.dtype != saved.dtype):
        raise InterplayError(f"saved as {list(saved.shape)} of {saved.dtype}, must be {list(old.shape)} of {old.dtype}")
    if not (fixed and old.requires_grad):
        return saved if device is None else saved.to(device)
    with torch.no_grad():
        weight: Tensor = old.copy_(saved)
    return weight


def _loaded_record(saved: Mapping[str, Any], device: torch.device | None) -> TensorRecord:
    kinds = {_name(kind): kind for kind in _subclasses(TensorRecord)}
    record: TensorRecord = kinds[saved[_RECORD]].from_state({n: part for n, part in saved.items() if n != _RECORD})
    return record if device is None else record.map(lambda x: x.to(device))


def _subclasses(kind: type[TensorRecord]) -> Iterator[type[TensorRecord]]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
