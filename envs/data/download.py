"""Getting a public data set by its name: from a folder that has it, or from its publisher."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from interplay.envs.messages import shortened
from interplay.envs.types import InterplayError

Fetcher = Callable[[str, "str | None", Path], None]
"""Gets a URL, checks it against a hash such as ``"sha256:..."`` or None, and writes it to a path."""

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Download:
    """Where the publisher keeps a data set."""

    folder: str
    """Folder that the archive unpacks to."""
    url: str | None = None
    """Of the archive; None = there is none to get automatically."""
    known_hash: str | None = None
    """``"sha256:..."`` or ``"md5:..."`` of the archive; None = no trusted source states one."""
    files: str = ""
    """What has to be in the folder, for users that put it there by hand."""

    @property
    def archive(self) -> str:
        """Name of the archive's file."""
        return self.folder + ".zip" if self.url is None else self.url.rsplit("/", 1)[1]


def obtain(name: str, download: Download, data_dir: Path | None = None, *, fetcher: Fetcher | None = None,
           say: Callable[[str], None] = print) -> Path:
    """The folder of a data set, which is downloaded if it is not there yet.

    Looked for in this order: the folder, then the archive, in ``data_dir``; the same in the cache; the publisher.

    Args:
        name: of the data set, for messages.
        download: what to get.
        data_dir: folder that already holds data sets; None = the cache alone.
        fetcher: does the download; None = pooch.
        say: gets a line on what was downloaded.

    Raises:
        InterplayError: it is nowhere and cannot be downloaded (which file to put where is said), or is damaged.
    """
    places = [place for place in (data_dir, cache_folder()) if place is not None]
    for place in places:
        if (place / download.folder).is_dir():
            return place / download.folder
        if (place / download.archive).is_file():
            _check(place / download.archive, download.known_hash)
            return _unpack(place / download.archive, places[-1], download.folder)
    archive = _get(name, download, places, fetcher or _pooch)
    say(f"{name}: downloaded {archive.name}, sha256:{_digest(archive, 'sha256')}"
        + ("" if download.known_hash else "; no hash is known that it could have been checked against"))
    return _unpack(archive, places[-1], download.folder)


def cache_folder() -> Path:
    """Where downloads go: the user's cache folder, or the environment variable INTERPLAY_CACHE."""
    own = os.environ.get("INTERPLAY_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "interplay"


def _get(name: str, download: Download, places: list[Path], fetcher: Fetcher) -> Path:
    """The archive in the cache, downloaded."""
    by_hand = (f"put {download.archive}, or its folder {download.folder}{download.files and ' with ' + download.files}"
               f", into {places[0]}" + ("" if len(places) > 1 else ", or name another folder with --data-dir"))
    if download.url is None:
        raise InterplayError(f"{name}: cannot be downloaded automatically: {by_hand}")
    archive = places[-1] / download.archive
    archive.parent.mkdir(parents=True, exist_ok=True)
    try:
        fetcher(download.url, download.known_hash, archive)
    except (OSError, ValueError) as error:  # of the network; of a hash that differs
        reason = shortened((str(error).splitlines() or [type(error).__name__])[0], 72)
        raise InterplayError(f"{name}: {download.url} could not be downloaded ({reason}): {by_hand}") from error
    return archive


def _pooch(url: str, known_hash: str | None, path: Path) -> None:
    try:
        import pooch
    except ImportError as error:
        raise InterplayError("downloads need the package pooch: install it, or get the file by hand") from error
    pooch.get_logger().setLevel("WARNING")  # obtain says what was downloaded
    pooch.retrieve(url, known_hash, fname=path.name, path=path.parent, progressbar=True)


def _check(archive: Path, known_hash: str | None) -> None:
    """Refuse an archive whose hash is not the known one."""
    if known_hash is None:
        return
    algorithm, _, expected = known_hash.partition(":")
    found = _digest(archive, algorithm)
    if found != expected:
        raise InterplayError(f"{archive}: its {algorithm} is {found} where {expected} is known: get the file again")


def _digest(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _unpack(archive: Path, into: Path, folder: str) -> Path:
    """Unpack beside the goal and move it there whole, so that an interrupted run leaves no half of a data set."""
    goal = into / folder
    if goal.is_dir():
        return goal
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into, prefix=".unpacking-") as work:
        try:
            _extract(archive, Path(work))
        except (zipfile.BadZipFile, tarfile.TarError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise InterplayError(f"{archive}: cannot be unpacked ({reason}): remove it and get it again") from error
        inner = Path(work) / folder
        if not inner.is_dir():  # its files lie at the top
            inner = Path(work) / ".whole"
            inner.mkdir()
            for file in [file for file in Path(work).iterdir() if file != inner]:
                shutil.move(file, inner)
        inner.rename(goal)
    return goal


def _extract(archive: Path, into: Path) -> None:
    """Neither kind writes outside ``into``, even if the archive asks for it."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(into)
    else:
        with tarfile.open(archive) as packed_tar:
            for member in packed_tar:
                _extract_member(packed_tar, member, into)


def _extract_member(packed: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    """Files alone, and only inside; ``extractall`` is as careful from Python 3.11.4 on, and before that not at all."""
    goal = (into / member.name).resolve()
    source = packed.extractfile(member) if member.isfile() else None
    if not goal.is_relative_to(into.resolve()) or not (member.isdir() or source is not None):
        raise tarfile.TarError(f"{member.name!r} in it is no file inside the folder")
    if source is not None:
        goal.parent.mkdir(parents=True, exist_ok=True)
        with source, goal.open("wb") as out:
            shutil.copyfileobj(source, out)
