"""The bytes of tables: of a file, of a packed one, or of a folder of parts; and their text as UTF-8."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import charset_normalizer
import numpy as np
from numpy.typing import NDArray

from interplay.envs.types import InterplayError

EXTENSIONS = (".csv", ".tsv", ".txt", ".dat", ".jsonl", ".ndjson", ".parquet")
"""Of the files that are taken as the parts of a folder, and of those in archives."""

_PACKED = (".gz", ".zst", ".zip", ".bz2", ".xz")
_BLOCK = 1 << 20
_SAMPLE = 1 << 16
_MARKS = ((b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"),
          (b"\xfe\xff", "utf-16"))
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Bytes of these have the same meaning for the letters of Western languages, and short texts do not show which it is.
_WESTERN = ("cp125", "iso8859", "latin", "mac", "hp_roman", "cp4", "cp7", "cp8", "cp1006", "cp1125")
_CYRILLIC = ("cp1251", "mac_cyrillic", "cp855", "cp866", "iso8859_5")

Bytes = NDArray[np.uint8]


class Part(NamedTuple):
    """One table's bytes.

    Attributes:
        name: of the file, without what it was packed with.
        data: its bytes, read from disk as they are used where they are not packed.
        path: of the file if that holds just these bytes.
    """

    name: str
    data: Bytes
    path: Path | None = None


class Text(NamedTuple):
    """A text in UTF-8.

    Attributes:
        data: its bytes, without a byte-order mark.
        encoding: that it was in, for people.
        same: whether these are the bytes of the file.
    """

    data: Bytes
    encoding: str
    same: bool


def is_table(path: Path) -> bool:
    """Whether a file's name says that it is a table, packed or not."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    return bool(suffixes) and (suffixes[-1] in EXTENSIONS or (suffixes[-1] in _PACKED and suffixes[0] in EXTENSIONS))


def part_files(folder: Path) -> list[Path]:
    """The tables in a folder by name; hidden files and those that begin with an underscore are none."""
    return sorted(file for file in folder.iterdir()
                  if file.is_file() and is_table(file) and not file.name.startswith((".", "_", "README")))


def unread_of(path: Path) -> list[str]:
    """What in a folder is none of its tables, by name; hidden files are not named."""
    if not path.is_dir():
        return []
    read = set(part_files(path))
    return sorted(f"{file.name}/" if file.is_dir() else file.name for file in path.iterdir()
                  if file not in read and not file.name.startswith((".", "_", "README")))


def parts_of(path: Path) -> list[Part]:
    """The tables of a file, an archive or a folder.

    Raises:
        InterplayError: there is none, or it is not one that can be read.
    """
    files = part_files(path) if path.is_dir() else [path]
    if not files:
        raise InterplayError(f"{path}: there is no table in this folder: give a file")
    _check_once(files)
    return [part for file in files for part in _unpacked(Part(file.name, _bytes_of(file), file))]


def _check_once(files: list[Path]) -> None:
    """Refuse a table that lies beside itself in another form, as ``log.csv`` and ``log.csv.gz``: rows would double."""
    known: dict[str, str] = {}
    for file in files:
        suffixes = [suffix for suffix in file.suffixes[-2:] if suffix.lower() in (*EXTENSIONS, *_PACKED)]
        stem = file.name.removesuffix("".join(suffixes))
        if stem in known:
            raise InterplayError(f"{file.parent}: {known[stem]} and {file.name} look like one table in two forms: give "
                                 "one of them, or rename one if they are two parts")
        known[stem] = file.name


def as_utf8(data: Bytes, encoding: str | None, source: str) -> Text:
    """The text in UTF-8; its encoding is detected unless it is given.

    Raises:
        InterplayError: the text is not in the encoding, or that is not known.
    """
    start = data[:4].tobytes()
    if start[:3] == _BYTE_ORDER_MARK and encoding in (None, "utf-8", "utf8", "utf-8-sig"):
        return Text(data[3:], "UTF-8 with a byte-order mark", same=False)
    if encoding is None and is_utf8(data):
        return Text(data, "UTF-8", same=True)
    name = encoding or next((name for mark, name in _MARKS if start.startswith(mark)), None) or _guess(data)
    if not name and (data[:_SAMPLE] > 0).all():
        raise InterplayError(f"{source}: the encoding of its text is not clear: give it with --encoding")
    try:
        raw = data.tobytes().decode(name or "latin-1").encode()
    except (LookupError, UnicodeError) as error:
        reason = str(error).splitlines()[0][:80]
        raise InterplayError(f"{source}: is not in the encoding {name} ({reason}): give another one with "
                             "--encoding") from error
    if b"\0" in raw[:_SAMPLE]:
        raise InterplayError(f"{source}: holds binary data, not text: save the table as CSV, JSON lines or Parquet")
    shown = name if encoding or name.startswith("utf") else f"{name} (a guess; --encoding gives another)"
    return Text(np.frombuffer(raw, dtype=np.uint8), shown, same=False)


def is_utf8(data: Bytes) -> bool:
    """Whether the bytes are UTF-8 without NUL characters, as which UTF-16 would pass."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    if (data[:_SAMPLE] == 0).any():
        return False
    try:
        for start in range(0, len(data), _BLOCK):
            block = data[start:start + _BLOCK].tobytes()
            if decoder.getstate()[0] or not block.isascii():
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _guess(data: Bytes) -> str:
    """The likeliest encoding of a text that is not UTF-8; empty where none is likely."""
    sample = data[:_SAMPLE]
    zeros = [int((sample[side::2] == 0).sum()) for side in (0, 1)]
    if sum(zeros) > len(sample) / 5:
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    high = np.flatnonzero(data > 127)  # what decides lies around these
    if not len(high):
        return "ascii"
    raw = sample.tobytes() if high[0] < len(sample) / 2 else data[max(0, high[0] - _SAMPLE // 2):][:_SAMPLE].tobytes()
    if 10 * raw.decode(errors="replace").count("\ufffd") < sum(byte > 127 for byte in raw):
        return "utf-8"  # with a byte that is damaged, which decoding names
    best = charset_normalizer.from_bytes(raw).best()
    if best is None or (best.encoding.startswith(_WESTERN) and best.encoding not in _CYRILLIC):
        return "cp1252" if not np.isin(data[high], (0x81, 0x8d, 0x8f, 0x90, 0x9d)).any() else ""  # no letters there
    return best.encoding


def _bytes_of(path: Path) -> Bytes:
    if path.stat().st_size == 0:
        return np.zeros(0, dtype=np.uint8)
    return np.memmap(path, dtype=np.uint8, mode="r")


def _unpacked(part: Part) -> list[Part]:
    """The parts in a packed file; what kind it is, its first bytes say."""
    start = part.data[:6].tobytes()
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zipped(part)
    for mark, suffix, unpack in _PACKERS:
        if start.startswith(mark):
            try:
                raw = unpack(part.data.tobytes())
            except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
                raise InterplayError(f"{part.name}: cannot be unpacked ({error}): check that the file is "
                                     "whole") from error
            name = part.name[:-len(suffix)] if part.name.lower().endswith(suffix) else part.name
            return _unpacked(Part(name, np.frombuffer(raw, dtype=np.uint8)))
    return [part]


def _zipped(part: Part) -> list[Part]:
    try:
        with zipfile.ZipFile(io.BytesIO(part.data.tobytes())) as archive:
            names = [name for name in sorted(archive.namelist()) if not name.endswith("/")]
            if "[Content_Types].xml" in names:
                raise InterplayError(f"{part.name}: is a spreadsheet: save its sheet as CSV")
            if not names:
                raise InterplayError(f"{part.name}: there is no table in this archive: give another file")
            tables = [name for name in names if is_table(Path(name)) and not Path(name).name.startswith((".", "_"))]
            found = [Part(Path(name).name, np.frombuffer(archive.read(name), dtype=np.uint8))
                     for name in tables or names]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error) as error:
        raise InterplayError(f"{part.name}: cannot be unpacked ({error}): check that the file is whole") from error
    return [each for inner in found for each in _unpacked(inner)]


def _zstd(raw: bytes) -> bytes:
    try:
        import zstandard
    except ImportError as error:
        raise InterplayError("files in Zstandard (.zst) need the package zstandard: install it, or unpack them "
                             "first") from error
    try:
        with zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as stream:
            found: bytes = stream.read()
    except zstandard.ZstdError as error:
        raise OSError(str(error)) from error
    return found


_PACKERS: tuple[tuple[bytes, str, Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b", ".gz", gzip.decompress), (b"\x28\xb5\x2f\xfd", ".zst", _zstd), (b"BZh", ".bz2", bz2.decompress),
    (b"\xfd7zXZ", ".xz", lzma.decompress))
