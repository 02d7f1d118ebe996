"""Figures without pyplot: they need no display and no backend, and are in no global list."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure

from interplay.envs.types import InterplayError


class Picture(Figure):
    """A figure that notebooks show."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=100)
        return file.getvalue()

    def write(self, path: Path | None) -> Picture:
        """Write the picture to a file, whose ending says in which format; None = to none.

        Raises:
            InterplayError: it cannot be written.
        """
        if path is not None:
            try:
                self.savefig(path, dpi=150)
            except (OSError, ValueError) as error:
                raise InterplayError(f"{str(path)!r} cannot be written ({error}): name a file such as picture.png in "
                                     "a folder that exists") from error
        return self
