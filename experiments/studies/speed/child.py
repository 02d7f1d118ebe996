"""Measures one case in a process of its own: ``python -m interplay.experiments.studies.speed.child NAME --threads 2``.

Prints what ``peers/protocol.py`` has every peer print, with the case's two sizes.
"""

from __future__ import annotations

import argparse
import json
import statistics
from importlib.metadata import version

import torch
from torch.profiler import ProfilerActivity, profile, tensorboard_trace_handler

from interplay.envs.threads import set_num_threads
from interplay.experiments.studies.speed.cases import Play, find_case
from interplay.experiments.studies.speed.peers.protocol import CLOCKS, measured, peak_bytes


def main() -> None:
    """Measure, and print a line of JSON."""
    parser = argparse.ArgumentParser(prog="bench.child")
    parser.add_argument("case")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--profile", default=None)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    set_num_threads(options.threads)
    case = find_case(options.case)
    play = case.make()

    def piece() -> int:
        play()
        return case.agents

    rates = measured(piece, options.seconds, CLOCKS[options.clock])
    peak = peak_bytes()  # before another state is made to be weighed
    print(json.dumps({"name": case.name, "version": version("interplay"), "what": case.what, "unit": "agent-steps/s",
                      "rate": statistics.median(rates), "rates": rates, "peak_bytes": peak, "users": case.users,
                      "agents": case.agents, "bytes_per_agent": case.held() if case.held is not None else None}))
    if options.profile is not None:
        _profile(play, options.profile)


def _profile(play: Play, folder: str) -> None:
    """A few pieces as a trace that TensorBoard's profiler and Perfetto open."""
    with profile(activities=[ProfilerActivity.CPU], on_trace_ready=tensorboard_trace_handler(folder)):
        for _ in range(5):
            play()


if __name__ == "__main__":
    main()
