"""Records whose tables loops read and write as numpy arrays, and everything else as tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.kernels.packed import Packed
from interplay.envs.types import TensorRecord


class WorldRecord(TensorRecord):
    """A record whose tables are tensors, numpy arrays or both: each is made of the other when it is first read.

    They share memory. So a step by kernels, which work on arrays, makes only those tensors that are read.
    """

    _not_parts: ClassVar[frozenset[str]] = frozenset(  # made again when needed
        {"_arrays", "_by_segment", "_sizes", "_lists", "_packed", "_boosts", "_drifts", "_means"})

    if not TYPE_CHECKING:  # a type checker should still report names that do not exist

        def __getattr__(self, name: str) -> Tensor:
            """The tensor of a table that is an array so far."""
            array = None if name.startswith("_") else self._held(name)
            if array is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            tensor = self.__dict__[name] = torch.from_numpy(array)
            return tensor

    def arrays(self, *names: str) -> list[NDArray[Any]]:
        """The tables of these names, always in one layout, because loops are compiled for each layout."""
        known = self.__dict__.setdefault("_arrays", {})
        return [known[name] if name in known else self._array(name) for name in names]

    def parts(self) -> dict[str, Any]:
        """See ``TensorRecord``."""
        for f in fields(self):
            getattr(self, f.name)  # all become tensors
        return super().parts()

    def _held(self, name: str) -> NDArray[Any] | None:
        """This table, if it is held as an array."""
        known: dict[str, NDArray[Any]] = self.__dict__.setdefault("_arrays", {})
        packed: Packed | None = self.__dict__.get("_packed")
        if name not in known and packed is not None and name in packed.layout.names:
            known[name] = packed.layout.table(name, packed)
        return known.get(name)

    def _array(self, name: str) -> NDArray[Any]:
        """This table as an array, which is kept."""
        array = None if name in self.__dict__ else self._held(name)
        if array is None:
            array = self.__dict__["_arrays"][name] = self._table(name).contiguous().cpu().numpy()
        return array

    @classmethod
    def of(cls, **arrays: NDArray[Any]) -> Self:
        """A record of these arrays."""
        new = object.__new__(cls)
        new.__dict__["_arrays"] = arrays
        return new

    @classmethod
    def of_packed(cls, packed: Packed) -> Self:
        """A record of these tables."""
        new = object.__new__(cls)
        new.__dict__["_packed"] = packed
        return new

    def _table(self, name: str) -> Tensor:
        """What ``arrays`` gives of a name."""
        table: Tensor = getattr(self, name)
        return table

    def __getstate__(self) -> dict[str, Any]:
        """The tables alone: what is derived from them would be stored twice."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class Tables(TensorRecord):
    """Tensors by name: the tables of mechanisms."""

    tables: dict[str, Tensor] = field(default_factory=dict)

    def state_dict(self) -> dict[str, Any]:
        """The tensors by name."""
        return dict(self.tables)

    def loaded(self, state: dict[str, Any]) -> Self:
        """See ``TensorRecord``."""
        return type(self)({name: state[name].to(old.device) for name, old in self.tables.items()})

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """See ``TensorRecord``."""
        return cls(dict(state))

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor."""
        yield from self.tables.values()

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """See ``TensorRecord``."""
        return type(self)({name: change(table) for name, table in self.tables.items()})

    @classmethod
    def stack(cls, records: Sequence[Self]) -> Self:
        """See ``TensorRecord``."""
        return cls({name: torch.stack([record.tables[name] for record in records]) for name in records[0].tables})

    def updated(self, changed: Mapping[str, Tensor]) -> Self:
        """With those of its tables that are in ``changed`` in place of the old ones."""
        return type(self)({name: changed.get(name, old) for name, old in self.tables.items()})
