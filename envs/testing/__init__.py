"""Checks of extensions of the environment, for tests of one's own."""

from __future__ import annotations

from interplay.envs.testing.mechanisms import MechanismError, check_mechanism

__all__ = ["MechanismError", "check_mechanism"]
