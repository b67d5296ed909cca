"""The names people know things by: ``asyncio.gather`` for what stands in ``asyncio/tasks.py``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from .records import Entry, Module, is_public

Names = Mapping[tuple[str, str], str]
"""(module, top-level name in it) → the public module that hands it out."""

KNOWN_AS = {
    "_collections_abc": "collections.abc",
    "_pydecimal": "decimal",
    "builtins": "",
    os.path.__name__: "os.path",
}
"""Modules whose contents go by another name: ``str.strip``, ``os.path.join``, ``decimal.Decimal``."""

HIDDEN = frozenset({"genericpath", "posix"})
"""Modules with public names that exist to be handed out by another: by ``os.path`` and ``os``."""


def public_names(modules: Mapping[str, Module]) -> dict[tuple[str, str], str]:
    """Find which public module hands out what stands in a private module or in a submodule.

    A module hands out a name by importing it, unless ``__all__`` is written out and leaves it out. Only
    imports from private modules and from a package's own submodules count; the module nearest the top wins.
    """
    names: dict[tuple[str, str], str] = {}
    for module in sorted(modules.values(), key=lambda module: (module.name.count("."), module.name)):
        if _is_hidden(module.name):
            continue
        for source, name in module.imports:
            if source in modules and (_is_hidden(source) or source.startswith(f"{module.name}.")):
                for taken in _taken(modules[source], name):
                    if module.listed is None or taken in module.listed:
                        names.setdefault((source, taken), module.name)
    return names


def public_home(module: Module, entry: Entry, names: Names) -> str | None:
    """The public module that hands out an entry of ``module``, None for what is private."""
    if not is_public(entry.name):
        return None
    home = names.get((module.name, entry.name.partition(".")[0]))
    return home if home is not None or _is_hidden(module.name) else module.name


def qualified_name(home: str, entry: Entry) -> str:
    """The name people write: ``str.strip``, ``os.path.join``, ``json`` for the module itself."""
    if not entry.name:
        return KNOWN_AS.get(home) or home
    return ".".join(part for part in (KNOWN_AS.get(home, home), entry.name) if part)


def inherited_entries(module: Module, modules: Mapping[str, Module], names: Names) -> Iterator[tuple[Module, Entry]]:
    """Methods that public classes of a module inherit from private ones, under the name of the public class.

    Yields each with the module it stands in; a method that is overridden comes again, for the caller to drop.
    """
    for name in module.bases:
        if _is_reachable(module, name, names):
            for owner, entry in _private_members(module, name, modules, names):
                yield owner, replace(entry, name=f"{name}.{entry.name.partition('.')[2]}")


def _private_members(
    module: Module, name: str, modules: Mapping[str, Module], names: Names
) -> Iterator[tuple[Module, Entry]]:
    for base in module.bases.get(name, ()):
        owner = _owner(module, base, modules)
        if owner is None or _is_reachable(owner, base, names):
            continue
        yield from ((owner, entry) for entry in owner.entries if entry.name.startswith(f"{base}."))
        yield from _private_members(owner, base, modules, names)


def _owner(module: Module, base: str, modules: Mapping[str, Module]) -> Module | None:
    """The module that a class in ``module`` takes its base class from."""
    if base in module.bases:
        return module
    sources = [source for source, name in module.imports if name == base and source in modules]
    found = modules[sources[0]] if sources else None
    return found if found is not None and base in found.bases else None


def _taken(source: Module, name: str) -> Sequence[str]:
    """The public top-level names that ``from source import name`` takes."""
    if name != "*":
        return [name] if is_public(name) else []
    tops = {entry.name.partition(".")[0] for entry in source.entries} | set(source.bases)
    return sorted(top for top in tops if top and is_public(top) and (source.listed is None or top in source.listed))


def _is_reachable(module: Module, name: str, names: Names) -> bool:
    """True when a top-level name of ``module`` has a public name, there or elsewhere."""
    return (module.name, name) in names or (is_public(name) and not _is_hidden(module.name))


def _is_hidden(module: str) -> bool:
    return module in HIDDEN or (module not in KNOWN_AS and not is_public(module))
