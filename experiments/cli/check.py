"""``interplay check``."""

from __future__ import annotations

from typing import Annotated, Any

import tyro

from interplay.agents.testing import AgentError, check_agent
from interplay.envs.mechanisms import find_mechanism
from interplay.envs.testing import MechanismError, check_mechanism
from interplay.envs.types import InterplayError
from interplay.experiments.cli.catalogue import named
from interplay.experiments.cli.console import say
from interplay.experiments.common.options import make_options, parse_pairs, split_agent


def command(name: Annotated[str, tyro.conf.Positional]) -> int:
    """Check that an agent or a mechanism keeps its contract: shapes, chance, saving and resuming, graphs.

    Args:
        name: module:Name, or a name of this package; behind an agent ,OPTION=VALUE, so that it learns within the few
            steps of the check. Without any, its warm_up, batch_size, rollout_length and fit_steps are small.
    """
    found, pairs = split_agent(name)
    thing = next((thing for thing in named(found) if thing.kind in ("agent", "mechanism")), None)
    if thing is None:
        raise InterplayError(f"{found!r} is neither an agent nor a mechanism: name one, since only those have a "
                             "contract to check")
    what = f"{'an' if thing.kind == 'agent' else 'a'} {thing.kind}"
    say(f"checking {found} as {what}, which takes some seconds")
    try:
        _check(thing.kind, found, thing.value, pairs)
    except (AgentError, MechanismError) as error:
        say(f"{found} breaks the contract of {what}:", "bold red")
        say(str(error))
        return 1
    say(f"{found} keeps the contract of {what}.", "bold green")
    return 0


def _check(kind: str, name: str, value: Any, pairs: tuple[str, ...]) -> None:
    if kind == "mechanism":
        check_mechanism(find_mechanism(name))
    else:
        options = make_options(value.Options, parse_pairs(pairs, "option"), f"agent {name!r}") if pairs else None
        check_agent(value, options)
