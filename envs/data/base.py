"""What a data set must be able to say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from interplay.envs.data.columns import ColumnNames
from interplay.envs.data.log import InteractionLog


class DataSet(ABC):
    """A format in which logs come. A new one is a new file in this package with a subclass in it.

    Must be overridden: ``name``, ``matches`` and ``read``. May be overridden: ``fallback``.
    """

    name: ClassVar[str]

    fallback: ClassVar[bool] = False
    """Asked only after every data set that is not a fallback."""

    @abstractmethod
    def matches(self, path: Path) -> bool:
        """Whether the file or folder looks like this data set, judged by names: ``read`` judges what is inside."""

    @abstractmethod
    def read(self, path: Path, columns: ColumnNames | None) -> InteractionLog:
        """The log, all of it.

        Args:
            path: exists, and ``matches`` said yes to it.
            columns: which column holds what, where the data set leaves that open; None = its defaults.

        Raises:
            InterplayError: the file is not what it seems.
        """
