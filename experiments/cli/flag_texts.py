"""The flags of a command, read from its source, so that help needs no import that takes its time."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import interplay

_WORDS = {"str": "TEXT", "int": "N", "float": "X", "Path": "PATH"}


class Flag(NamedTuple):
    """One flag of a command.

    Attributes:
        name: of the field or argument.
        value: what to type behind it, such as ``N`` or ``cpu|cuda``; empty for a switch.
        default: as it is typed; empty where there is none.
        text: what it means.
        owner: class that defines it; empty for an argument.
        positional: whether its value is typed without its name.
        required: whether it has no default.
    """

    name: str
    value: str
    default: str
    text: str
    owner: str = ""
    positional: bool = False
    required: bool = False

    @property
    def typed(self) -> str:
        """How it is typed."""
        return f"{self.name.upper()}" if self.positional else "--" + self.name.replace("_", "-")


class Texts(NamedTuple):
    """What a command says of itself.

    Attributes:
        summary: its purpose.
        flags: in the order in which they are defined.
    """

    summary: str
    flags: tuple[Flag, ...]


def texts_of(command: str) -> Texts:
    """The texts of the command ``module:function``."""
    module, name = command.split(":")
    home, function = _found(module, name)
    assert isinstance(function, ast.FunctionDef)
    summary, meanings = _summary_and_meanings(ast.get_docstring(function) or "")
    settings = _settings_class(home, function)
    if settings is not None:  # a field that a subclass defines again is one flag
        return Texts(summary, tuple({flag.name: flag for flag in _fields(*settings)}.values()))
    return Texts(summary, tuple(_arguments(home, function, meanings)))


def _settings_class(module: str, function: ast.FunctionDef) -> tuple[str, ast.ClassDef] | None:
    """The class whose fields are the command's flags, and its module; None where flags are arguments."""
    first = function.args.args[0].annotation if function.args.args else None
    if not isinstance(first, ast.Name) or first.id in (*_WORDS, "bool"):
        return None
    home, node = _found(module, first.id)
    return (home, node) if isinstance(node, ast.ClassDef) else None


def _arguments(module: str, function: ast.FunctionDef, meanings: dict[str, str]) -> Iterator[Flag]:
    arguments = function.args.args
    defaults: list[ast.expr | None] = [None] * (len(arguments) - len(function.args.defaults))
    for argument, default in zip(arguments, [*defaults, *function.args.defaults], strict=True):
        assert argument.annotation is not None
        yield Flag(argument.arg, _value(module, argument.annotation), _default(default), meanings.get(argument.arg, ""),
                   positional="Positional" in ast.unparse(argument.annotation), required=default is None)


def _fields(module: str, node: ast.AST) -> Iterator[Flag]:
    """Fields of a dataclass, those of its bases first."""
    assert isinstance(node, ast.ClassDef)
    for base in reversed(node.bases):
        if isinstance(base, ast.Name):
            yield from _fields(*_found(module, base.id))
    for field, after in zip(node.body, [*node.body[1:], ast.Pass()], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            hint = ast.unparse(field.annotation)
            if "Suppress" not in hint and "ClassVar" not in hint:
                yield Flag(field.target.id, _value(module, field.annotation), _default(field.value), _string(after),
                           node.name, "Positional" in hint, field.value is None)


def _string(node: ast.AST) -> str:
    """The text of a docstring in one line."""
    text = node.value.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else ""
    return " ".join(str(text).split())


def _value(module: str, hint: ast.expr) -> str:
    """What is typed for a value of this type."""
    match hint:
        case ast.BinOp(left=left, right=right):
            parts = [_value(module, part) for part in (left, right) if not isinstance(part, ast.Constant)]
            return "|".join(parts)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            return "|".join(str(choice.value) for choice in _elements(choices) if isinstance(choice, ast.Constant))
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=inner):
            value = _value(module, _elements(inner)[0])
            return value.removesuffix(" ...") if "UseAppendAction" in ast.unparse(inner) else value
        case ast.Subscript(value=ast.Name(id="tuple"), slice=inner):
            return " ".join("..." if isinstance(part, ast.Constant) else _value(module, part)
                            for part in _elements(inner))
        case ast.Name(id="bool"):
            return ""
        case ast.Name(id=name) if name not in _WORDS:
            home, node = _found(module, name)
            assert isinstance(node, ast.Assign)
            return _value(home, node.value)
        case ast.Name(id=name):
            return _WORDS[name]
    raise ValueError(f"{module}: no words for the type {ast.unparse(hint)}")


def _elements(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]


def _default(node: ast.expr | None) -> str:
    match node:
        case ast.Call(func=ast.Name(id="when"), args=[_, default]):
            return _default(default)
        case ast.Call(func=ast.Name(id="Path"), args=arguments):
            return _default(arguments[0]) if arguments else "."
        case ast.Constant(value=value) if value is not None and not isinstance(value, bool):
            return str(value)
        case ast.Tuple(elts=parts):
            return " ".join(map(_default, parts))
    return ""


def _summary_and_meanings(docstring: str) -> tuple[str, dict[str, str]]:
    """The first paragraph of a docstring, and the meaning of each argument."""
    summary, _, arguments = docstring.partition("\nArgs:\n")
    entries = re.findall(r"^    (\w+): (.*(?:\n     .*)*)", arguments, re.MULTILINE)
    return " ".join(summary.split("\n\n")[0].split()), {name: " ".join(text.split()) for name, text in entries}


def _found(module: str, name: str) -> tuple[str, ast.stmt]:
    """Where a name of a module is defined, and its definition."""
    for node in _source(module).body:
        match node:
            case ast.ClassDef(name=found) | ast.FunctionDef(name=found) if found == name:
                return module, node
            case ast.Assign(targets=[ast.Name(id=found)]) if found == name:
                return module, node
            case ast.ImportFrom(module=str(home), names=names) if name in [alias.name for alias in names]:
                return _found(home, name)
    raise LookupError(f"{module} defines no {name}")


@cache
def _source(module: str) -> ast.Module:
    path = Path(interplay.__file__).parent.joinpath(*module.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))
