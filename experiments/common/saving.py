"""The files of a run: written whole or not at all, with a format version, a checksum and what they depend on."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from interplay.envs.files import whole
from interplay.envs.types import InterplayError

CONFIG, RESULTS = "config.json", "results.json"

FORMAT = 5
"""Version of all files that are written here. A reader rejects any other."""

_END_LENGTH = len(f"interplay {FORMAT} ") + 64


def save_checkpoint(path: Path, state: Mapping[str, Any], made_by: Mapping[str, Any]) -> None:
    """Write tensors and plain values with ``torch.save``.

    Args:
        path: of the file.
        state: what to write.
        made_by: everything that the state depends on, by name; ``load_checkpoint`` must be given the same.

    Raises:
        OSError: it cannot be written.
    """
    with whole(path) as partial:
        with partial.open("wb") as file:
            try:
                torch.save({**state, "made_by": dict(made_by)}, file)
            except RuntimeError as error:  # torch's own error hides the cause
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None
        end = _end(partial.read_bytes())
        with partial.open("ab") as file:
            file.write(end)


def load_checkpoint(path: Path, made_by: Mapping[str, Any], device: torch.device | None = None) -> dict[str, Any]:
    """The state that ``save_checkpoint`` wrote.

    Raises:
        InterplayError: the file is damaged, of another version, or was made by something else.
    """
    try:
        data = path.read_bytes()
        content, end = data[:-_END_LENGTH], data[-_END_LENGTH:]
        _check_version(path, end.split()[1].decode())
        if end != _end(content):
            raise ValueError("wrong checksum")
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except InterplayError:
        raise
    except Exception as error:
        raise InterplayError(f"{str(path)!r} cannot be read ({_reason(error)}): it is damaged or no checkpoint; "
                             "start a new run") from error
    made = state.pop("made_by")
    others = [name for name, value in made_by.items() if made.get(name) != value]
    if others:
        raise InterplayError(f"{str(path)!r} was made with another {', '.join(others)}: restore what it was made with, "
                             "or start a new run")
    return state


def _end(content: bytes) -> bytes:
    """Format version and checksum, at the end of a checkpoint, where torch and zip tools ignore them."""
    return f"interplay {FORMAT} {hashlib.sha256(content).hexdigest()}".encode()


def sealed(values: Mapping[str, Any]) -> str:
    """Values as JSON text with version and checksum. Numbers that are not finite become null."""
    body = plain({"format": FORMAT, **values})
    return json.dumps({**body, "digest": _digest(body)}, indent=2, allow_nan=False) + "\n"


def plain(values: Mapping[str, Any]) -> Any:
    """Values as they will be read from JSON text."""
    return json.loads(json.dumps(_finite(values), allow_nan=False))


def unsealed(text: str, path: Path) -> dict[str, Any]:
    """The values in text that ``sealed`` gave.

    Args:
        text: of a file.
        path: of that file, for errors.

    Raises:
        InterplayError: it is damaged, was edited, or is of another version.
    """
    try:
        body = json.loads(text)
        digest, version = body.pop("digest"), body["format"]
    except Exception as error:
        raise InterplayError(f"{str(path)!r} cannot be read ({_reason(error)}): it is damaged, or this version has not "
                             "written it; start a new run") from error
    _check_version(path, str(version))
    if digest != _digest(body):
        raise InterplayError(f"{str(path)!r} was edited or damaged after it was written (its checksum is wrong): "
                             "restore it, or start a new run")
    del body["format"]
    return dict(body)


def write_text(path: Path, text: str) -> None:
    """Write a text file.

    Raises:
        OSError: it cannot be written.
    """
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_sealed(path: Path, values: Mapping[str, Any]) -> None:
    """Write values as sealed JSON.

    Raises:
        OSError: it cannot be written.
    """
    write_text(path, sealed(values))


def read_sealed(path: Path) -> dict[str, Any]:
    """The values in a file that ``write_sealed`` wrote.

    Raises:
        InterplayError: it is missing, damaged, was edited, or is of another version.
    """
    return unsealed(read_text(path), path)


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        InterplayError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InterplayError(f"{str(path)!r} cannot be read ({_reason(error)}): check the path, or restore "
                             "it") from error


def digest_of_file(path: Path) -> str:
    """Checksum of a sealed file, which must be whole."""
    text = read_text(path)
    unsealed(text, path)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check_version(path: Path, version: str) -> None:
    if version != str(FORMAT):
        raise InterplayError(f"{str(path)!r} has format {version[:9]!r}, but this version reads format {FORMAT}: use "
                             "the version that wrote it, or start a new run")


def _reason(error: Exception) -> str:
    """The error's type and the start of its first line, so that messages stay short."""
    return ": ".join([type(error).__name__, *str(error).splitlines()[:1]])[:80]


def _finite(value: Any) -> Any:
    """The value as JSON gives it back, with None for numbers that are not finite."""
    if isinstance(value, Mapping):
        return {str(name): _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _digest(body: Any) -> str:
    return hashlib.sha256(json.dumps(body).encode()).hexdigest()
