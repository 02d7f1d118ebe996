"""What a step of a town computes and moves at least, by hand in one loop: its draws, scores, order and gathers.

Noise of drift and random actions are drawn beside the loop, as in what it is compared with. Nothing is checked and
nothing decided: no close calls, no log-propensities, no masks, no mechanisms, no counts. The passes over candidates are
those of the market's own loops, which leave little to gain: `exponential_race`.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numba import prange
from numpy.typing import NDArray

from interplay.envs import kernels
from interplay.envs.indexing import gather_rows
from interplay.envs.kernels.exponential_race import TOGETHER, race, score_all
from interplay.envs.kernels.jit import draw, exp, first_and_second, loop, routine, use_threads
from interplay.envs.market import Market
from interplay.envs.noise import Stream, any_of, polar
from interplay.envs.slates import candidates_of
from interplay.envs.types import SIDES
from interplay.envs.world import State
from interplay.experiments.studies.speed.roofline import Roofline

_LANES = 640  # users that a thread serves side by side


@routine
def _answer(first: Any, second: Any, users: NDArray[np.int64], ids: NDArray[np.int64], earliest: NDArray[np.int32],
            low: Any, rows: NDArray[np.float32], slates: NDArray[np.int64], options: NDArray[np.float32],
            response: NDArray[np.float32]) -> None:
    for n in range(len(users)):
        user = users[n]
        for k in range(len(earliest)):
            item = ids[earliest[k, n] & low]
            slates[user, k] = item
            options[user, k] = rows[item]
        rate = np.float32(1.0) / (np.float32(1.0) + exp(-abs(options[user, 0, 1])))
        response[user] = draw(first, second, np.uint32(user)) < rate


@loop
def _step(pieces: NDArray[np.int64], order: NDArray[np.int64], key: NDArray[np.int32], time: NDArray[np.int32],
          streams: Any, vectors: NDArray[np.float32], ids: NDArray[np.int64], low: Any, scale: NDArray[np.float32],
          taste: NDArray[np.float32], rows: NDArray[np.float32], slates: NDArray[np.int64],
          options: NDArray[np.float32], response: NDArray[np.float32]) -> None:
    """Slates, rows of their items, and responses to the first; a piece is users ``[begin, end)`` of a segment."""
    count, slots = ids.shape[1], slates.shape[1]
    for piece in prange(len(pieces)):
        segment, begin, end = pieces[piece]
        users, lanes = order[begin:end], end - begin
        first, second = first_and_second(key, time, streams[0], 0)
        answer, answer_too = first_and_second(key, time, streams[1], 0)
        columns = np.zeros((vectors.shape[1], lanes), np.float32)
        for d in range(taste.shape[1]):
            for n in range(lanes):
                columns[d, n] = taste[users[n], d] * scale[0]
        score = np.empty((vectors.shape[2], lanes), np.float32)
        score_all(columns, vectors[segment], np.zeros((1, len(score)), np.float32), np.array([0, lanes]),
                  np.zeros(1, np.int64), score)
        weight, total = score[:count], np.zeros(lanes, np.float64)
        work, earliest = np.empty(lanes, np.int32), np.empty((slots, lanes), np.int32)
        level = np.full(lanes, scale[1], np.float32)
        race(first, second, (users * count).astype(np.uint32), low, level, weight, total, work, earliest)
        _answer(answer, answer_too, users, ids[segment], earliest, low, rows, slates, options, response)


class Fused:
    """The loop on one world whose users choose from candidates of their segment. Arguments as of ``Roofline``."""

    def __init__(self, market: Market, state: State) -> None:
        config, population = market.config, state.population
        order, starts = (table[0] for table in population.by_segment(config.num_segments))
        stretches = zip(range(len(starts) - 1), starts, starts[1:], strict=False)
        self._pieces = np.array([(stretch % config.num_segments, begin, min(begin + _LANES, end))
                                 for stretch, first, end in stretches for begin in range(first, end, _LANES)])
        member = torch.tensor([int((population.segment[0] == segment).nonzero()[0]) for segment
                               in range(config.num_segments)])
        ids = candidates_of(market.constants, state).items[:, member]
        vectors = gather_rows(population.item_vector, ids)[0].transpose(1, 2).numpy()
        wide = [(0, 0), (0, -vectors.shape[1] % TOGETHER), (0, vectors.shape[2] % 2)]
        low = np.int32((1 << (ids.shape[2] - 1).bit_length()) - 1)
        reach = float(np.linalg.norm(vectors, axis=1).max()) / config.temperature
        scale = np.array([1.0 / config.temperature, reach], np.float32)
        self._tables: tuple[Any, ...] = (order, *state.arrays("key", "time"), (int(Stream.SLATE), int(Stream.RESPONSE)),
                                         np.pad(vectors, wide), ids[0].numpy(), low, scale,
                                         state.arrays("user_vector")[0][0], population.item_rows[0].numpy())
        self._roofline, self._sizes = Roofline(market, state), (config.num_users, config.slate_size)
        self._state, self._drift = state, (config.num_users, config.embedding_size)
        self._masks = [market.observe(state, side).mask for side in SIDES]

    def play(self) -> None:
        """One step's worth; gives the slates."""
        users, slots = self._sizes
        rows, step = self._tables[-1], cast(Any, _step)
        self.slates = np.empty((users, slots), np.int64)
        use_threads(kernels.deserved(users * self._tables[5].shape[1]))
        step(self._pieces, *self._tables, self.slates, np.empty((users, slots, rows.shape[1]), np.float32),
             np.empty(users, np.float32))
        self._draw_the_rest()
        self._roofline.copy()

    def _draw_the_rest(self) -> None:
        """Noise of drift, and an action of each agent."""
        polar(self._state.key, self._state.time, Stream.DRIFT, self._drift)
        for mask in self._masks:
            any_of(self._state.key, 0, Stream.EXPLORE, mask)
