"""The matrix products of compiled loops in a round of learning, in the blocks in which the loops make them.

Operators of torch can be noted as they run; what loops do cannot. Their products follow from sizes: a layer is one
product for each block of rows going forward, and two going back, but for first layers, whose inputs need no gradient.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from interplay.envs.kernels import compiled
from interplay.envs.types import SideSpec

Products = Counter[tuple[int, int, int]]
"""How many of which rows, inner size and columns."""
_ROWS, _CACHED, _PRODUCT = 128, 512, 64**3  # of a block: see ``head_loop`` and ``tower_loop``


class _Layer(NamedTuple):
    inputs: int
    outputs: int
    first: bool = False


def of_learning(name: str, options: Any, spec: SideSpec, num_worlds: int) -> Products | None:
    """Those of a round of learning; None for a learner without such loops.

    Args:
        name: of the learner.
        options: its hyper-parameters.
        spec: of the side that it plays.
        num_worlds: worlds side by side.
    """
    of_kind = {"dqn": _of_dqn, "pqn": _of_pqn, "ippo": _of_ippo}.get(name)
    return None if of_kind is None else of_kind(options, spec, num_worlds * spec.num_agents)


def seconds(products: Products, rounds: int) -> float:
    """CPU time of all of them alone, each kind that of its fastest round."""
    repeated, total = compiled("interplay.agents.loops.head_loop").repeated, 0.0
    for (rows, inner, columns), count in products.items():
        one, other = np.ones((rows, inner), np.float32), np.ones((inner, columns), np.float32)
        out, found = np.empty((rows, columns), np.float32), []
        for _ in range(rounds + 1):  # the first compiles
            started = time.process_time()
            repeated(one, other, out, count)
            found.append(time.process_time() - started)
        total += min(found[1:])
    return total


def _of_dqn(options: Any, spec: SideSpec, each: int) -> Products:
    rows, hidden = options.batch_size, options.hidden
    update = _scores(spec, hidden, rows) + _update(spec, hidden, rows)
    if options.double:
        update += _forward(_taken(spec, hidden), rows, _block(spec, hidden))
    return _times(update, options.updates_per_step)


def _of_pqn(options: Any, spec: SideSpec, each: int) -> Products:
    """Values of what follows the last step, where acting knows the rest, then updates."""
    rows = each * options.rollout_length // options.num_minibatches
    return (_scores(spec, options.hidden, each)
            + _times(_update(spec, options.hidden, rows), options.num_epochs * options.num_minibatches))


def _of_ippo(options: Any, spec: SideSpec, each: int) -> Products:
    """Values of all rows and of what followed the last step, then updates; of the policy acting knows the rest."""
    rows, hidden, count = each * options.rollout_length, options.hidden, spec.num_options
    own, width = len(spec.own_features), len(spec.option_features)
    at_once = max(1, min(_ROWS, _PRODUCT // (hidden * max(hidden, own, width))))
    block = max(1, min(at_once, _CACHED // count))
    agent = [_Layer(own, hidden, first=True), _Layer(hidden, hidden)]
    option = [_Layer(width, hidden, first=True), _Layer(hidden, hidden)]
    actor = [*agent, *[_Layer(hidden, hidden)] * spec.num_levels]
    part, learnt = rows // options.num_minibatches, Products()
    for layers, number, size in ((actor, part, block), (agent, part, block), (option, part * count, at_once)):
        learnt += _forward(layers, number, size) + _backward(layers, number, size)
    values = _forward(agent, rows, at_once) + _forward(agent, each, at_once)
    return values + _times(learnt, options.num_epochs * options.num_minibatches)


def _scores(spec: SideSpec, hidden: int, rows: int) -> Products:
    """All values of ``OptionScorer``."""
    own, width, block = len(spec.own_features), len(spec.option_features), _block(spec, hidden)
    nothing = [_Layer(own + width + 1, hidden), _Layer(hidden, hidden), _Layer(hidden, 1)]
    option = [_Layer(width, hidden), _Layer(hidden, hidden), _Layer(hidden, spec.num_levels)]
    return _forward(nothing, rows, block) + _forward(option, rows * spec.num_options, block)


def _update(spec: SideSpec, hidden: int, rows: int) -> Products:
    """Values of what was taken, and back."""
    layers, block = _taken(spec, hidden), _block(spec, hidden)
    return _forward(layers, rows, block) + _backward(layers, rows, block)


def _taken(spec: SideSpec, hidden: int) -> list[_Layer]:
    inputs = len(spec.own_features) + 2 * len(spec.option_features) + 2
    return [_Layer(inputs, hidden, first=True), _Layer(hidden, hidden), _Layer(hidden, spec.num_levels)]


def _block(spec: SideSpec, hidden: int) -> int:
    return max(1, min(_ROWS, _PRODUCT // (hidden * max(hidden, spec.num_levels))))


def _forward(layers: Sequence[_Layer], rows: int, block: int) -> Products:
    return sum((_times(Products((size, layer.inputs, layer.outputs) for layer in layers), count)
                for size, count in _sizes(rows, block)), Products())


def _backward(layers: Sequence[_Layer], rows: int, block: int) -> Products:
    """Gradients of weights, and of what they are multiplied by."""
    return sum((_times(Products([(layer.outputs, size, layer.inputs) for layer in layers]
                                + [(size, layer.outputs, layer.inputs) for layer in layers if not layer.first]), count)
                for size, count in _sizes(rows, block)), Products())


def _sizes(rows: int, block: int) -> list[tuple[int, int]]:
    """Rows of blocks, and how many blocks have as many."""
    return [(size, count) for size, count in ((block, rows // block), (rows % block, 1)) if size and count]


def _times(products: Products, count: int) -> Products:
    return Products({shape: count * number for shape, number in products.items()})
