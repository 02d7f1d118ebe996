"""Agents: how users and items decide and learn. One file each; ``agents()`` finds them."""

from __future__ import annotations

import sys
from functools import cache
from inspect import isabstract

from interplay.agents.base import Agent, JointAgent, Offer, Player, Setting
from interplay.envs.discovery import discover, resolve
from interplay.envs.types import InterplayError


@cache
def agents() -> dict[str, type[Player]]:
    """Every agent of this package by name."""
    return discover(sys.modules[__name__], Player)


def find_agent(name: str) -> type[Player]:
    """The agent called ``name``, or the class that ``module:Class`` names.

    Raises:
        InterplayError: it does not exist, or is no agent.
    """
    agent = resolve(name, agents(), "agent")
    if not (isinstance(agent, type) and issubclass(agent, Agent | JointAgent)) or isabstract(agent):
        raise InterplayError(f"agent {name!r} is {agent!r}, not a subclass of Agent or JointAgent that "
                             "can be made: see interplay.agents")
    return agent


__all__ = ["Agent", "JointAgent", "Offer", "Player", "Setting", "agents", "find_agent"]
