"""Finding plug-ins: what a file of a package defines is known by its name, with no list to edit."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any

from interplay.envs.checking import shown
from interplay.envs.messages import choice, place_of
from interplay.envs.types import InterplayError

_trusting: ContextVar[bool] = ContextVar("trusting", default=True)
_IMPORTING = (Path(importlib.__file__).parent, Path(__file__))
_NAMED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")  # module:attribute


def discover(package: ModuleType, kind: type) -> dict[str, Any]:
    """Everything of type ``kind`` in the modules of ``package``, by its ``name``.

    A class counts if it is a subclass of ``kind`` with a ``name`` of its own; an object if it is an instance.

    Raises:
        InterplayError: two files use one name.
    """
    found: dict[str, Any] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        for value in vars(module).values():
            if not _is_plugin(value, kind, module):
                continue
            if found.setdefault(value.name, value) is not value:
                raise InterplayError(f"two files of {package.__name__} define {value.name!r}: rename one")
    return dict(sorted(found.items()))


def _is_plugin(value: object, kind: type, module: ModuleType) -> bool:
    if isinstance(value, type):
        return (issubclass(value, kind) and value is not kind and value.__module__ == module.__name__
                and "name" in vars(value))
    return isinstance(value, kind)


@contextmanager
def trusting(code: bool) -> Iterator[None]:
    """Whether names of the form ``module:attribute`` may import code in this block.

    Names that the user has typed may. Names that were read from a file may only if the user says so.
    """
    token = _trusting.set(code)
    try:
        yield
    finally:
        _trusting.reset(token)


def resolve(name: str, known: dict[str, Any], what: str) -> Any:
    """The plug-in called ``name``, or the object that ``module:attribute`` names.

    Raises:
        InterplayError: there is no such plug-in, module or attribute, or code is not trusted here.
    """
    if name in known:
        return known[name]
    if not _NAMED.fullmatch(name):
        raise InterplayError(f"unknown {what} {shown(name)}: {choice(known, name)}, or give module:name")
    module_name, attribute = name.split(":", 1)
    if not _trusting.get():
        raise InterplayError(f"{what} {name!r} is code that the run's folder names: allow it with --allow-code if you "
                             f"trust the folder and the module {module_name!r}, in Python with allow_code=True")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # any code may run and fail here
        absent = isinstance(error, ModuleNotFoundError) and module_name.startswith(error.name or module_name)
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:120]
        fix = "run from its folder or put that on PYTHONPATH" if absent else f"correct it{place_of(error, *_IMPORTING)}"
        raise InterplayError(f"{what} {name!r}: cannot import {module_name!r} ({reason}); {fix}") from error
    if not hasattr(module, attribute):
        raise InterplayError(f"{what} {name!r}: module {module_name!r} has no {attribute!r}; check the spelling")
    return getattr(module, attribute)


def code_digest(name: str) -> str:
    """``name``, which has been resolved as ``module:attribute``, with the checksum of its module's file."""
    file = Path(getattr(sys.modules[name.split(":", 1)[0]], "__file__", None) or "")
    return f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else 'no file'}"
