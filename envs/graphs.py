"""Work on tensors that is recorded once and replayed without Python.

On a GPU a step of the market launches hundreds of small kernels, and the GPU waits for Python between them. A CUDA
graph holds all of them and is launched as one. The graph reads and writes fixed memory: what the work needs has to lie
there before a replay, and what it gives lies there afterwards. Numbers of Python are part of the recording and never
change.

On a CPU the operators are recorded one by one and run again. That is slow, and exists to show without a GPU that work
can be captured and that replays give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from interplay.envs import kernels
from interplay.envs.trees import copy_all, memory_of, own, owned, tensors_of, with_tensors
from interplay.envs.types import InterplayError, TensorRecord

Result = TypeVar("Result")
Record = TypeVar("Record", bound=TensorRecord)

_READS_VALUES = {"_local_scalar_dense", "is_nonzero", "item", "equal", "nonzero", "masked_select", "unique_dim",
                 "_unique2", "lift_fresh"}
"""Operators that move a number from the device to Python or back, or whose output has a shape that depends on
values."""


class NotCapturable(InterplayError):  # noqa: N818 - says what it is
    """The work reads or writes something that a replay could not."""


class Recording(NamedTuple, Generic[Result]):
    """Work that was recorded.

    Attributes:
        result: what it gave; replays write into the same tensors.
        replay: does it again.
        done: whether recording it has also done it, as it does on a CPU.
    """

    result: Result
    replay: Callable[[], None]
    done: bool


def record(work: Callable[[], Result], device: torch.device) -> Recording[Result]:
    """Record what ``work`` does on the device. On a CPU it works without kernels.

    Raises:
        NotCapturable: a replay could not do the same.
    """
    global _recording
    _recording = True
    try:
        if device.type == "cuda":
            return _as_cuda_graph(work)
        recorder = _Recorder()
        with kernels.switched_off(), recorder:
            result = work()
        return Recording(result, recorder.replay, done=True)
    finally:
        _recording = False


def recording() -> bool:
    """Whether work is being recorded at this moment."""
    return _recording


def _as_cuda_graph(work: Callable[[], Result]) -> Recording[Result]:
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, pool=_memory()):
            result = work()
    except NotCapturable:
        raise
    except RuntimeError as error:
        raise NotCapturable(f"CUDA cannot capture it: {str(error).splitlines()[0]}") from error
    return Recording(result, graph.replay, done=False)


def _memory() -> Any:
    """Memory that all graphs of the process share. Each keeps there only what somebody refers to.

    Torch frees it when the last graph that uses it is gone, and cannot use it again. So one graph is kept.
    """
    global _keeper
    if _keeper is None:
        _keeper = torch.cuda.CUDAGraph()
        with torch.cuda.graph(_keeper, pool=torch.cuda.graph_pool_handle()):
            torch.zeros(1, device="cuda")
    return _keeper.pool()


_keeper: Any = None
_recording = False


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operator with its arguments, and runs it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(self, operator: Any, types: Any, args: tuple[Any, ...] = (),
                           kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        name = operator.overloadpacket.__name__
        if name in _READS_VALUES or (name in ("index", "index_put_") and _has_mask(args[1])):
            raise NotCapturable(f"it uses torch's {name}, which needs a value on the host: keep it on the device")
        out = operator(*args, **kwargs)
        if not _is_view(operator):
            # By other names: a tensor may get another shape later, and a list other content.
            self._calls.append((operator, *tree_map(_alias, (args, kwargs, out))))
        return out

    @torch.no_grad()
    def replay(self) -> None:
        """Run the operators again, on the same tensors."""
        with kernels.switched_off():
            for operator, args, kwargs, out in self._calls:
                again = operator(*args, **kwargs)
                for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                    if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)


def _is_view(operator: Any) -> bool:
    """Whether its outputs share memory with its inputs, which it does not write, or it changes a shape alone."""
    aliases = (part.alias_info for part in operator._schema.returns)
    return torch.Tag.inplace_view in operator.tags or any(a is not None and not a.is_write for a in aliases)


def _alias(part: Any) -> Any:
    return part.detach() if isinstance(part, Tensor) else part


def _has_mask(indices: Iterable[Tensor | None]) -> bool:
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)


class Graph(Generic[Record]):
    """One step on a record, again and again.

    Args:
        work: gives the next record, of the same shapes, and anything else. It keeps no state.
        start: the first record.

    Attributes:
        record: where the record lies; ``replay`` moves it on in place.
        result: where the rest of what ``work`` gives lies.

    Raises:
        NotCapturable: a replay could not do what ``work`` does.
    """

    def __init__(self, work: Callable[[Record], tuple[Record, Any]], start: Record) -> None:
        self.record: Record = owned(start)
        work(self.record)  # what is made once and kept, as tables that follow from others, is made now
        self.load(start)  # a GPU loads kernels that copy before they are recorded

        def step() -> Any:
            after, result = work(self.record)
            lies = {memory_of(tensor) for tensor in tensors_of(self.record)}
            result = with_tensors(result, iter([own(tensor) if memory_of(tensor) in lies else tensor
                                                for tensor in tensors_of(result)]))
            copy_all(tensors_of(self.record), tensors_of(after))
            return result

        self.result, self._replay, done = record(step, next(start.tensors()).device)
        if done:
            self.load(start)

    def replay(self) -> Any:
        """Do a step; gives ``result``."""
        self._replay()
        return self.result

    def load(self, start: Record) -> None:
        """Go on from another record of the same shapes."""
        start.derive_as(self.record)
        copy_all(tensors_of(self.record), tensors_of(start))
