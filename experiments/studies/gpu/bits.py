"""Whether two runs are equal to the bit: agents, worlds and sums."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from interplay.experiments.loop.run import Run
from interplay.experiments.studies.gpu.bench import Row

_MISSING = float("inf")
Leaf = Tensor | float


def compared(run: Run, other: Run) -> Row:
    """How many tensors and numbers differ, the largest difference and where it is."""
    one, two = (dict(_leaves("", _all_of(each))) for each in (run, other))
    gaps = {name: _gap(one[name], two[name]) if name in one and name in two else _MISSING for name in {**one, **two}}
    worst = max(gaps, key=lambda name: gaps[name])
    return {"equal": not any(gaps.values()), "tensors": len(gaps), "differ": sum(gap > 0.0 for gap in gaps.values()),
            "largest": gaps[worst], "where": worst if gaps[worst] else ""}


def _all_of(run: Run) -> dict[str, Any]:
    return {"agents": run.players.state_dict(), "state": run.now.state.state_dict(), "stats": run.stats.state_dict()}


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Leaf]]:
    """Tensors and numbers inside of nested dicts and lists, by dotted name."""
    if isinstance(value, Tensor | int | float):
        yield name, value
    parts = value if isinstance(value, Mapping) else dict(enumerate(value)) if isinstance(value, list | tuple) else {}
    for inner, part in parts.items():
        yield from _leaves(f"{name}.{inner}" if name else str(inner), part)


def _gap(one: Leaf, other: Leaf) -> float:
    """The largest difference; 0 where they are equal to the bit. A number may have become a tensor of the device."""
    like = next((leaf for leaf in (one, other) if isinstance(leaf, Tensor)), torch.empty(0, dtype=torch.float64))
    one, other = (torch.as_tensor(leaf, dtype=like.dtype, device=like.device) for leaf in (one, other))
    if one.shape != other.shape:
        return _MISSING
    if torch.equal(one, other):
        return 0.0
    gap = float((one.double() - other.double()).nan_to_num(0.0).abs().max())
    return gap or float(not torch.equal(one.nan_to_num(), other.nan_to_num()))
