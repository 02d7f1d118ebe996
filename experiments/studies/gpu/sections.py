"""The sections: what each measures, how long it may take on a GPU, and beside what it may run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from interplay.experiments.studies.gpu import (
    contract,
    core,
    graphs,
    kernels,
    machine,
    networks,
    parity,
    peer,
    resume,
    score,
    seeds,
    synchronisation,
    training,
)
from interplay.experiments.studies.gpu.bench import Bench, Case

Lane = Literal["checks", "device", "cpu"]


class Section(NamedTuple):
    """A part of the study.

    Attributes:
        cases: what it measures.
        seconds: after which it measures nothing more; a whole run ends after six minutes.
        lane: checks run side by side, timings of the device one after the other, and the CPU's beside them.
        parts: processes that share the cases of a check.
    """

    cases: Callable[[Bench], Iterator[Case]]
    seconds: float
    lane: Lane
    parts: int = 1


SECTIONS = {
    "networks": Section(networks.cases, 65, "checks"),
    "contract": Section(contract.cases, 65, "checks", parts=8),
    "parity": Section(parity.cases, 65, "checks", parts=4),
    "synchronisation": Section(synchronisation.cases, 65, "checks"),
    "graphs": Section(graphs.cases, 65, "checks", parts=2),
    "resume": Section(resume.cases, 65, "checks", parts=2),
    "machine": Section(machine.cases, 15, "device"),
    "core": Section(core.cases, 75, "device"),
    "vmas": Section(peer.cases, 15, "device"),
    "training": Section(training.cases, 65, "device"),
    "seeds": Section(seeds.cases, 50, "device"),
    "score": Section(score.cases, 70, "device"),
    "kernels-core": Section(kernels.cases_of_core, 15, "device"),
    "kernels-training": Section(kernels.cases_of_training, 30, "device"),
    "compiled": Section(core.cases_compiled, 80, "device"),
    "training-cpu": Section(training.cases_on_cpu, 110, "cpu"),
    "score-cpu": Section(score.cases_on_cpu, 160, "cpu"),
}
"""In the order in which they run."""
