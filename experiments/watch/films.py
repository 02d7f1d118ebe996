"""Frames as a film: GIF by Pillow, MP4 by imageio, which is not among the requirements."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from interplay.envs.types import InterplayError

_COLOURS = 96
_LAST = 8  # how many times as long as others the last frame of a GIF is seen, before it starts again

Frame = NDArray[np.uint8]


def check_film(path: Path) -> None:
    """Check that a film can be written there, before anything is played.

    Raises:
        InterplayError: it cannot.
    """
    if path.suffix.lower() not in (".gif", ".mp4"):
        raise InterplayError(f"a film called {str(path)!r} cannot be written: name it .gif or .mp4")
    if not path.parent.is_dir():
        raise InterplayError(f"the folder of {str(path)!r} does not exist: make it first, or name another")
    if path.suffix.lower() == ".mp4" and not (find_spec("imageio") and find_spec("imageio_ffmpeg")):
        raise InterplayError(f"{str(path)!r} needs imageio and ffmpeg, which are missing: pip install "
                             "'interplay[film]', or write a .gif")


def write_film(path: Path, frames: Iterable[Frame], fps: float) -> int:
    """Write the frames as a film; its ending says in which format. Gives how many there were.

    Raises:
        InterplayError: the format is unknown, a library is missing, or there is no such folder.
    """
    check_film(path)
    return _write_gif(path, frames, fps) if path.suffix.lower() == ".gif" else _write_mp4(path, frames, fps)


def _write_gif(path: Path, frames: Iterable[Frame], fps: float) -> int:
    """All frames in the colours of the last, so that a frame holds only what has changed."""
    pictures = [Image.fromarray(frame) for frame in frames]
    palette = pictures[-1].quantize(_COLOURS)
    first, *rest = [each.quantize(palette=palette, dither=Image.Dither.NONE) for each in pictures]
    shown = round(1000.0 / fps)
    first.save(path, save_all=True, append_images=rest, duration=[*[shown] * len(rest), _LAST * shown], loop=0)
    return len(pictures)


def _write_mp4(path: Path, frames: Iterable[Frame], fps: float) -> int:
    import imageio.v2 as imageio

    count = 0
    writer: Any = imageio.get_writer(path, fps=fps, macro_block_size=None)
    with writer:
        for frame in frames:
            writer.append_data(frame)
            count += 1
    return count
