"""Agents: how users and items decide and learn. One file each; ``agents()`` finds them."""

from __future__ import annotations

import sys
from functools import cache

from interplay.agents.base import Agent, Setting
from interplay.envs.discovery import discover, resolve


@cache
def agents() -> dict[str, type[Agent]]:
    """Every agent of this package by name."""
    return discover(sys.modules[__name__], Agent)


def find_agent(name: str) -> type[Agent]:
    """The agent called ``name``, or the class that ``module:Class`` names.

    Raises:
        InterplayError: it does not exist.
    """
    agent: type[Agent] = resolve(name, agents(), "agent")
    return agent


__all__ = ["Agent", "Setting", "agents", "find_agent"]
