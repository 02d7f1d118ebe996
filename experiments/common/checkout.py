"""Which commit the package runs from, read from git's files: no program is started for it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The top of a checkout; where the package is installed, a folder without ``.git``."""


@cache  # a process runs what it has imported, also when another commit is checked out later
def git_hash(root: Path = ROOT) -> str | None:
    """The commit that is checked out in a folder, which may have been edited since; None = it is no checkout."""
    try:
        git = root / ".git"
        if git.is_file():  # a further working tree, whose refs are with those of the first
            git = root / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        shared = git / (git / "commondir").read_text(encoding="utf-8").strip() if (git / "commondir").exists() else git
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        ref = head.removeprefix("ref: ")
        if ref == head:  # no branch
            return head
        if (shared / ref).exists():
            return (shared / ref).read_text(encoding="utf-8").strip()
        packed = (shared / "packed-refs").read_text(encoding="utf-8").splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {ref}")), None)
    except OSError:
        return None
