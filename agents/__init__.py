"""Agents: how users and items decide and learn. One file each; ``agents()`` finds them."""

from __future__ import annotations

import sys
from functools import cache
from inspect import isabstract

from interplay.agents.base import Agent, JointAgent
from interplay.agents.parts import networks
from interplay.agents.parts.choosing import Offer
from interplay.agents.parts.optimising import Optimiser
from interplay.agents.parts.player import Player, Setting, check_options
from interplay.agents.parts.schedules import Exploring
from interplay.envs.discovery import discover, resolve
from interplay.envs.types import InterplayError


@cache
def agents() -> dict[str, type[Player]]:
    """Every agent of this package by name."""
    return discover(sys.modules[__name__], Player)


def find_agent(name: str) -> type[Player]:
    """The agent called ``name``, or the class that ``module:Class`` names.

    Raises:
        InterplayError: it does not exist, is no agent, or does not say how it acts.
    """
    agent = resolve(name, agents(), "agent")
    if not (isinstance(agent, type) and issubclass(agent, Agent | JointAgent)) or isabstract(agent):
        raise InterplayError(f"agent {name!r} is {agent!r}, not a subclass of Agent or JointAgent that "
                             "can be made: see interplay.agents")
    if issubclass(agent, Agent) and agent.act is Agent.act and agent.scores is Agent.scores:
        raise InterplayError(f"agent {name!r} does not say how it acts: override Agent.scores or Agent.act")
    check_options(agent)
    return agent


def __getattr__(name: str) -> type:
    """Hyper-parameters of an agent, under the name of its class: ``agents.DQN`` are ``DQNAgent.Options``."""
    found = [kind for kind in agents().values() if kind.__name__ == f"{name}Agent"] if name[:1].isupper() else []
    if not found or "Options" not in vars(found[0]):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found[0].Options


def __dir__() -> list[str]:
    return [*__all__, *(kind.__name__.removesuffix("Agent") for kind in agents().values() if "Options" in vars(kind))]


__all__ = ["Agent", "Exploring", "JointAgent", "Offer", "Optimiser", "Player", "Setting", "agents", "find_agent",
           "networks"]
