"""What a data set must be able to say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from interplay.envs.data.columns import ColumnNames
from interplay.envs.data.download import Download
from interplay.envs.data.log import InteractionLog


class DataSet(ABC):
    """A format in which logs come. A new one is a new file in this package with a subclass in it.

    Must be overridden: ``name``, ``matches`` and ``read``. May be overridden: the rest; a public data set says all of
    ``source``, ``licence``, ``rows``, ``features`` and ``own_split``, and which ``folds`` it comes with.
    """

    name: ClassVar[str]

    source: ClassVar[str] = ""
    """The publisher, the place and the paper to cite."""

    licence: ClassVar[str] = ""
    """What its terms allow, in a few words; read them before you pass it on or use it for money."""

    rows: ClassVar[str] = ""
    """What one row is: its reward and unit, and whether there are times and propensities."""

    features: ClassVar[str] = ""
    """What is known of users and items besides: features, topics, titles."""

    own_split: ClassVar[str] = ""
    """The publisher's own held-out rows, as ``split_log`` with how="own" takes them; empty = there are none."""

    downloads: ClassVar[Mapping[str, Download]] = {}
    """The names by which its versions can be asked for, and where their publisher keeps them."""

    fallback: ClassVar[bool] = False
    """Asked only after every data set that is not a fallback."""

    @abstractmethod
    def matches(self, path: Path) -> bool:
        """Whether the file or folder looks like this data set, judged by names of files and columns.

        What is inside is for ``read`` to judge.
        """

    def folds(self, path: Path) -> tuple[Path, ...]:
        """The publisher's folds for cross-validation: each a path for ``read``, with its own held-out part.

        Args:
            path: exists, and ``matches`` said yes to it.

        Raises:
            InterplayError: some of the folds are missing.
        """
        return ()

    def takes(self, columns: ColumnNames | None) -> bool:
        """Whether ``read`` can do with the columns that were named. Where it can't, the path is read as a table."""
        return columns is None

    @abstractmethod
    def read(self, path: Path, columns: ColumnNames | None) -> InteractionLog:
        """The log, all of it.

        Args:
            path: exists, and ``matches`` said yes to it.
            columns: which column holds what, where the data set leaves that open; None = its defaults.

        Raises:
            InterplayError: the file is not what it seems.
        """
