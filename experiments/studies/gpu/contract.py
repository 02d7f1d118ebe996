"""Whether every agent keeps its contract on the device."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from interplay.agents import agents, find_agent
from interplay.agents.testing import AgentError, check_agent
from interplay.experiments.studies.gpu.bench import Bench, Case, Row
from interplay.experiments.studies.gpu.settings import soon_of

_QUICK = ("first", "matrix-factorisation")


def cases(bench: Bench) -> Iterator[Case]:
    """Each agent."""
    for name in bench.sized(tuple(agents()), _QUICK):
        yield Case({"agent": name}, partial(_check, bench, name))


def _check(bench: Bench, name: str) -> Row:
    kind = find_agent(name)
    try:
        check_agent(kind, kind.Options(**soon_of(kind)), device_steps=1, device=bench.device)
    except AgentError as error:
        return {"kept": False, "fault": str(error)}
    return {"kept": True, "fault": ""}
