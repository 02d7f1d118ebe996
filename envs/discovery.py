"""Finding plug-ins: whatever a file of a package defines is known by its name, with no list to edit."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any

from interplay.envs.types import InterplayError


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
        return issubclass(value, kind) and value.__module__ == module.__name__ and "name" in vars(value)
    return isinstance(value, kind)


def resolve(name: str, known: dict[str, Any], what: str) -> Any:
    """The plug-in called ``name``, or the object that ``module:attribute`` names.

    Raises:
        InterplayError: there is no such plug-in, module or attribute.
    """
    if name in known:
        return known[name]
    if ":" not in name:
        raise InterplayError(f"unknown {what} {name!r}: choose from {', '.join(known)}, or give module:name")
    module_name, attribute = name.split(":", 1)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise InterplayError(f"{what} {name!r}: cannot import {module_name!r} ({error}); "
                             "run from its folder or put that on PYTHONPATH") from error
    if not hasattr(module, attribute):
        raise InterplayError(f"{what} {name!r}: module {module_name!r} has no {attribute!r}; check the spelling")
    return getattr(module, attribute)
