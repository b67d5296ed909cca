"""Docstrings of the standard library, read from its source with ``ast``: nothing is imported or run."""

from __future__ import annotations

import ast
import copy
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from .records import Entry, Module

LEFT_OUT_FOLDERS = frozenset({"__pycache__", "dist-packages", "idle_test", "site-packages", "test", "tests"})
"""Folders below the standard library that hold tests or are not the standard library."""

OTHER_PATH_MODULES = frozenset({"ntpath", "posixpath"}) - {os.path.__name__}
"""The path module of the other system repeats ``os.path`` word for word, so only the running one is read."""

_Function = (ast.FunctionDef, ast.AsyncFunctionDef)
_PROPERTIES = frozenset({"property", "cached_property", "abstractproperty"})
_ACCESSORS = frozenset({"setter", "deleter"})


def read_library(root: Path) -> tuple[list[Module], list[str]]:
    """Read every module below the standard library's folder, sorted by file.

    Returns the modules and the files left out because they could not be read or do not parse.
    """
    modules: list[Module] = []
    skipped: list[str] = []
    for path in _files(root):
        file = path.relative_to(root)
        try:
            tree = _parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            skipped.append(file.as_posix())
        else:
            modules.append(read_module(file, tree))
    return modules, skipped


def read_module(file: Path, tree: ast.Module) -> Module:
    """Gather what one parsed file documents; ``file`` is its path below the folder it is imported from.

    Of several definitions of one name the last that has a docstring counts: nothing here tells platforms apart.
    """
    package = file.name == "__init__.py"
    name = ".".join(file.parent.parts if package else file.with_suffix("").parts)
    statements = list(_statements(tree.body))
    listed = _listed(statements)
    return Module(
        name=name,
        file=file.as_posix(),
        entries=tuple({entry.name: entry for entry in _entries(tree, statements)}.values()),
        imports=tuple(_imports(tree, statements, name if package else name.rpartition(".")[0], listed)),
        listed=listed,
        bases={node.name: _bases(node) for node in statements if isinstance(node, ast.ClassDef)},
    )


def _files(root: Path) -> Iterator[Path]:
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in LEFT_OUT_FOLDERS and name.isidentifier()]
        found += [Path(folder, name) for name in files if name.endswith(".py")]
    return (path for path in sorted(found) if path.stem.isidentifier() and path.stem not in OTHER_PATH_MODULES)


def _parse(source: bytes) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own invalid escapes are not the user's concern
        return ast.parse(source)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements in order, those under ``if``, ``try`` and ``with`` included."""
    for node in body:
        yield node
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            handlers = [handler.body for handler in getattr(node, "handlers", [])]
            for block in (node.body, *handlers, getattr(node, "orelse", []), getattr(node, "finalbody", [])):
                yield from _statements(block)


def _entries(tree: ast.Module, statements: list[ast.stmt]) -> Iterator[Entry]:
    if text := ast.get_docstring(tree):
        yield Entry("", "module", "", text, line=1)
    for node in statements:
        if isinstance(node, _Function):
            yield from _documented(node, "", "function", _signature(node, drop_first=False))
        elif isinstance(node, ast.ClassDef):
            yield from _class_entries(node, "")


def _class_entries(node: ast.ClassDef, prefix: str) -> Iterator[Entry]:
    members = list(_statements(node.body))
    methods = [member for member in members if isinstance(member, _Function)]
    makers = {member.name: member for member in methods if member.name in {"__init__", "__new__"}}
    maker = makers.get("__init__") or makers.get("__new__")
    yield from _documented(node, prefix, "class", _signature(maker, drop_first=True) if maker else "")
    inside = f"{prefix}{node.name}."
    for member in members:
        if isinstance(member, _Function) and not _ACCESSORS & _decorators(member):
            yield from _documented(member, inside, "method", _method_signature(member))
        elif isinstance(member, ast.ClassDef):
            yield from _class_entries(member, inside)


def _documented(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, prefix: str, kind: str, signature: str
) -> Iterator[Entry]:
    if text := ast.get_docstring(node):
        yield Entry(prefix + node.name, kind, signature, text, node.lineno)


def _method_signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    if _PROPERTIES & _decorators(node):
        return ""
    return _signature(node, drop_first="staticmethod" not in _decorators(node))


def _decorators(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    return {_last_name(decorator) for decorator in node.decorator_list}


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef, *, drop_first: bool) -> str:
    arguments = copy.copy(node.args)
    if drop_first:
        first = 1 if arguments.posonlyargs else 0
        arguments.posonlyargs = arguments.posonlyargs[first:]
        arguments.args = arguments.args[1 - first :]
    return f"({ast.unparse(arguments)})"


def _last_name(node: ast.expr) -> str:
    """``c`` of ``a.b.c``, of ``c`` and of a call of either; empty for anything else."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _bases(node: ast.ClassDef) -> tuple[str, ...]:
    return tuple(base.id for base in node.bases if isinstance(base, ast.Name))


def _imports(
    tree: ast.Module, statements: list[ast.stmt], package: str, listed: frozenset[str] | None
) -> Iterator[tuple[str, str]]:
    """Names taken from other modules: at once, or on first use when ``__all__`` lists them (PEP 562)."""
    for node in statements:
        if isinstance(node, ast.ImportFrom):
            yield from ((_source(node, package), name.name) for name in node.names if name.asname is None)
    if listed is None or all(getattr(node, "name", "") != "__getattr__" for node in statements):
        return
    for inner in ast.walk(tree):
        if isinstance(inner, ast.ImportFrom):
            yield from ((_source(inner, package), name.name) for name in inner.names if name.name in listed)


def _source(node: ast.ImportFrom, package: str) -> str:
    """The absolute name of the module that ``from … import`` in a module of ``package`` takes from."""
    if not node.level:
        return node.module or ""
    base = package.split(".")[: len(package.split(".")) - (node.level - 1)]
    return ".".join([*base, node.module] if node.module else base)


def _listed(statements: list[ast.stmt]) -> frozenset[str] | None:
    """The names of ``__all__``, None where it is absent or made by more than lists of strings."""
    names: set[str] = set()
    found = False
    for node in statements:
        value = _all_part(node)
        if value is None:
            continue
        found = True
        if not isinstance(value, (ast.List, ast.Tuple)):
            return None
        names |= {str(item.value) for item in value.elts if isinstance(item, ast.Constant)}
    return frozenset(names) if found else None


def _all_part(node: ast.stmt) -> ast.expr | None:
    """What a statement sets ``__all__`` to, or adds to it: ``=``, ``+=`` and ``.extend``."""
    if isinstance(node, ast.Assign) and [_last_name(target) for target in node.targets] == ["__all__"]:
        return node.value
    if isinstance(node, ast.AugAssign) and _last_name(node.target) == "__all__":
        return node.value
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call = node.value.func
        if isinstance(call, ast.Attribute) and call.attr == "extend" and _last_name(call.value) == "__all__":
            return node.value.args[0]
    return None
