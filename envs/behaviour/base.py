"""What a source of responses must be able to say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from interplay.envs.types import Population, State


class Behaviour(ABC):
    """Decides who lives in a world, and how likely a user is to respond to an item.

    Must be overridden: ``populate`` and ``response``. May be overridden: ``candidates``. The market owns all
    the rest: state, noise, slates, rewards.
    """

    name: ClassVar[str]

    @abstractmethod
    def populate(self, key: Tensor) -> Population:
        """The people of the worlds with these noise keys (int32 ``[B, 2]``), on the device of ``key``."""

    @abstractmethod
    def response(self, state: State, items: Tensor, shift: Tensor) -> Tensor:
        """Probability (or expected size, in [0, 1]) of users' responses before position bias.

        Args:
            state: the worlds.
            items: int64 ``[B, U, K]``, items to answer for, each row for one user.
            shift: float32 ``[B, U, K]``, what satiation, mood and wear-out add on the logit scale.

        Returns:
            float32 ``[B, U, K]``.
        """

    def candidates(self) -> tuple[Tensor, Tensor] | None:
        """Items that each user may be offered, or None for all.

        Returns:
            ``(items, valid)``: int64 and bool ``[U, M]``, rows padded with valid = False.
        """
        return None
