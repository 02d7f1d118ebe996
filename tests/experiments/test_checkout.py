"""The commit of a checkout is read from git's files, in each form that these have."""

from __future__ import annotations

from pathlib import Path

import pytest

from interplay.experiments.common.checkout import git_hash

HASH = "0123456789abcdef0123456789abcdef01234567"


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", "-")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")


PACKED = f"# pack-refs with: peeled\n{'9' * 40} refs/heads/x/refs/heads/main\n{HASH} refs/heads/main"


@pytest.mark.parametrize("files", [
    {"HEAD": HASH}, {"HEAD": "ref: refs/heads/main", "refs__heads__main": HASH},
    {"HEAD": "ref: refs/heads/main", "packed_refs": PACKED}], ids=["no branch", "loose", "packed"])
def test_the_commit_is_found(files: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / ".git", **files)
    assert git_hash(tmp_path) == HASH


def test_a_further_working_tree_has_the_refs_of_the_first(tmp_path: Path) -> None:
    own = tmp_path / "first" / ".git" / "worktrees" / "other"
    write(own, HEAD="ref: refs/heads/other", commondir="../..")
    write(tmp_path / "first" / ".git", refs__heads__other=HASH)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".git").write_text(f"gitdir: {own}\n", encoding="utf-8")
    assert git_hash(tmp_path / "other") == HASH


def test_where_there_is_no_checkout_there_is_none(tmp_path: Path) -> None:
    assert git_hash(tmp_path) is None
    write(tmp_path / "new" / ".git", HEAD="ref: refs/heads/new")  # before its first commit
    assert git_hash(tmp_path / "new") is None
