"""What the demo knows of one module's documentation, whether read from source or given by the interpreter."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing with a docstring.

    name: dotted name inside its module: ``"Path.exists"``; empty for the module itself.
    kind: ``module``, ``class``, ``function`` or ``method`` (properties are methods here).
    signature: its parameters in parentheses, without ``self``; empty where there is none.
    text: the docstring, cleaned as ``inspect.cleandoc`` does, never empty.
    line: where its definition starts, from 1; None when only the interpreter knows it.
    """

    name: str
    kind: str
    signature: str
    text: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Module:
    """One module's documentation and how it is tied to other modules.

    file: path below the standard library's folder, None when compiled into the interpreter.
    entries: everything in it that has a docstring, private things too, in the order of the file.
    imports: its ``from source import name`` as (absolute source, name); the name may be ``*``.
    listed: the names of ``__all__`` where it is written out, else None.
    bases: top-level class → the names it inherits from.
    """

    name: str
    file: str | None
    entries: tuple[Entry, ...]
    imports: tuple[tuple[str, str], ...] = ()
    listed: frozenset[str] | None = None
    bases: dict[str, tuple[str, ...]] = field(default_factory=dict)


def is_public(dotted: str) -> bool:
    """True when no part of a dotted name starts with an underscore."""
    return not any(part.startswith("_") for part in dotted.split("."))
