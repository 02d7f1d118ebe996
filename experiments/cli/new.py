"""``interplay new``."""

from __future__ import annotations

import keyword
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import tyro

import interplay.envs.data
from interplay.envs.checking import shown
from interplay.envs.types import InterplayError
from interplay.experiments.cli.console import say, say_whole
from interplay.experiments.cli.templates import TEMPLATES


def command(kind: Annotated[Literal["agent", "preset", "mechanism", "dataset"], tyro.conf.Positional],
            name: Annotated[str, tyro.conf.Positional], folder: Path = Path()) -> None:
    """Write a small file that works, and its test, as the start of one of your own.

    Args:
        kind: agent, preset, mechanism or dataset.
        name: such as my-agent; it also names the file and the class.
        folder: where to write.
    """
    module = _module(name, folder)
    words = module.split("_")
    files = TEMPLATES[kind].filled(
        module=module, name="-".join(words), kind="".join(map(str.capitalize, words)), constant=module.upper(),
        data=str(Path(interplay.envs.data.__file__).parent))
    written = {folder / f"{module}.py": files.source, folder / f"test_{module}.py": files.test}
    for path in written:
        if path.exists():
            raise InterplayError(f"{str(path)!r} exists: choose another name, or another place with --folder")
    for path, text in written.items():
        _write(path, text)
    say("next:")
    for line in [f"python -m pytest -q test_{module}.py", *files.use.splitlines()]:
        say_whole(f"  {line}")


def _module(name: str, folder: Path) -> str:
    """The name as that of a module.

    Raises:
        InterplayError: no module can be called so, or one that is installed is.
    """
    module = re.sub(r"[-\s]+", "_", name.strip()).lower()
    if not (module.isidentifier() and module.isascii()) or keyword.iskeyword(module):
        raise InterplayError(f"name={shown(name)} cannot name a module: give letters, digits and -, such as my-agent")
    if not (folder / f"{module}.py").exists() and find_spec(module) is not None:
        raise InterplayError(f"name={shown(name)} is the name of a module that is installed: choose another, such as "
                             f"my-{module}")
    return module


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InterplayError(f"{str(path)!r} cannot be written ({error.strerror}): choose another place with "
                             "--folder") from error
    say_whole(f"wrote {path}")
