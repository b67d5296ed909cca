"""Docstrings that only the interpreter can give: of built-in names and of modules compiled into it."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from types import ModuleType

from .records import Entry, Module, is_public

COMPILED_IN = (
    "builtins",
    "_codecs",
    "_collections",
    "_functools",
    "_io",
    "_operator",
    "_weakref",
    "itertools",
    "posix",
    "sys",
    "time",
)
"""Modules without source that every interpreter has loaded before the demo starts.

Each is compiled into the interpreter (``sys.builtin_module_names``) and loaded either at its start or by
``dataclasses`` and ``inspect``, which this part imports anyway. So reading them imports nothing, and what is
read does not hang on what else the process has loaded, as it would with ``math``, a shared library mostly.
"""

_FIRST_PARAMETER = re.compile(r"^\(\$\w+(, /)?(, )?")


def read_interpreter() -> list[Module]:
    """Read the modules of ``COMPILED_IN`` that are loaded; names come sorted."""
    loaded = [sys.modules[name] for name in COMPILED_IN if name in sys.modules]
    return [Module(module.__name__, None, tuple(_entries(module))) for module in loaded]


def _entries(module: ModuleType) -> Iterator[Entry]:
    yield from _documented("", "module", module)
    for name, current in sorted(vars(module).items()):
        value = vars(module).get(f"__{name}__", current)  # sys.__excepthook__: the hook before anybody set another
        if not is_public(name) or getattr(value, "__name__", None) != name:
            continue
        if isinstance(value, type):
            yield from _type_entries(name, value)
        elif inspect.isbuiltin(value):
            yield from _documented(name, "function", value)


def _type_entries(name: str, value: type) -> Iterator[Entry]:
    yield from _documented(name, "class", value)
    for member, attribute in sorted(vars(value).items()):
        method = attribute.__func__ if isinstance(attribute, staticmethod) else attribute
        if is_public(member) and (inspect.isroutine(method) or inspect.isdatadescriptor(method)):
            yield from _documented(f"{name}.{member}", "method", method)


def _documented(name: str, kind: str, value: object) -> Iterator[Entry]:
    text = value.__doc__
    if isinstance(text, str) and text.strip():
        yield Entry(name, kind, _signature(value), inspect.cleandoc(text))


def _signature(value: object) -> str:
    """``(chars=None, /)`` from the ``($self, chars=None, /)`` that compiled code carries."""
    signature = getattr(value, "__text_signature__", None)
    return _FIRST_PARAMETER.sub("(", signature) if isinstance(signature, str) else ""
