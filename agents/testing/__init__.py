"""Checks whether an agent keeps the contract of ``agents/base.py``: ``check_agent``."""

from interplay.agents.testing.checks import DEVICE_STEPS, STEPS, check_agent
from interplay.agents.testing.contract_harness import AgentError

__all__ = ["DEVICE_STEPS", "STEPS", "AgentError", "check_agent"]
