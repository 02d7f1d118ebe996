"""What a source of responses must be able to say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeVar, final

from torch import Tensor

from interplay.envs.population import Population
from interplay.envs.targets import Targets
from interplay.envs.world import State

Formula = Literal["preference", "log"]
"""preference = the sigmoid of the article's preference formula plus ``shift``; log = a log's rewards, moved by
``shift``. Neither depends on anything else that users did."""

Response = TypeVar("Response", bound=Callable[..., Any])
_FORMULAS: dict[object, Formula] = {}


def implements(formula: Formula) -> Callable[[Response], Response]:
    """Declare that a ``response`` is exactly this formula: exact answers and kernels rely on it."""

    def declare(response: Response) -> Response:
        _FORMULAS[response] = formula
        return response

    return declare


class Behaviour(ABC):
    """Decides which users and items a world has, and how likely a user is to respond to an item.

    Must be overridden: ``populate`` and ``response``. May be overridden: ``same_items``, ``candidates``, and
    ``has_targets`` with ``targets``. The market owns all the rest: state, noise, slates, rewards.
    """

    name: ClassVar[str]
    same_items: ClassVar[bool] = False
    """Whether all worlds have the same items, under all keys: then memories of agents keep numbers of items."""

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

    @final
    @property
    def formula(self) -> Formula | None:
        """The formula that ``response`` is; None where it is not declared to be one.

        It is declared of the function itself, so that a subclass or an object with another response has none.
        """
        return _FORMULAS.get(getattr(self.response, "__func__", None))

    @property
    def has_levels(self) -> bool:
        """Whether ``level`` draws responses; if not, they are drawn as 0 or 1."""
        return False

    def level(self, state: State, items: Tensor, shift: Tensor, draw: Tensor) -> Tensor:
        """Responses in [0, 1] whose mean is ``response``; asked only of a behaviour that ``has_levels``.

        Args:
            state: the worlds.
            items: int64 ``[B, U, K]``.
            shift: float32 ``[B, U, K]``, as in ``response``.
            draw: float32 ``[B, U, K]`` in (0, 1), at which quantile each response lies.
        """
        raise NotImplementedError

    def candidates(self) -> tuple[Tensor, Tensor] | None:
        """Items that each user may be offered, or None for all.

        Returns:
            ``(items, count)``: int64 ``[P]``, the items of the first user, then those of the next, and so on; and int64
            ``[U]``, how many each user has.
        """
        return None

    @property
    def has_targets(self) -> bool:
        """Whether ``targets`` says anything."""
        return False

    def targets(self, items: Tensor, took: Tensor, response: Tensor, shift: Tensor,
                bias: Tensor) -> Targets[Tensor]:
        """What users' choices were worth, as targets of learning; asked only of a behaviour that ``has_targets``.

        The market is not played by them: states, metrics and evaluations go by responses. No check may read a value
        here.

        Args:
            items: int64 ``[B, U]``, the item that each user took.
            took: bool ``[B, U]``, False for skips, which are worth 0 and leave nothing unknown.
            response: float32 ``[B, U]``, the responses.
            shift: float32 ``[B, U]``, as in ``response``.
            bias: float32 ``[B, U]``, what the position in the slate multiplies responses by.
        """
        raise NotImplementedError
