"""The documentation of the Python that runs this, as documents to search: the demo's corpus."""

from __future__ import annotations

import sysconfig
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...retrieval import Document
from .live import read_interpreter
from .naming import KNOWN_AS, inherited_entries, public_home, public_names, qualified_name
from .records import Entry, Module
from .source import read_library

SIGNATURE_CHARACTERS = 100
"""Longer signatures and module summaries are cut in titles, to leave the encoder's room to the text."""


@dataclass(frozen=True, slots=True)
class PythonDocs:
    """What a Python says about itself.

    documents: ids are qualified names and unique: built-in names first, then by file, then compiled modules.
    skipped: files of the standard library that could not be read or do not parse.
    """

    documents: tuple[Document, ...]
    skipped: tuple[str, ...]


def read_python_docs(library: Path | None = None) -> PythonDocs:
    """Read the docstrings of the standard library's source and of what the interpreter has built in.

    library: folder of the standard library, the running Python's own when None. A Python without source there
    (zipped or stripped) still gives its built-in names.

    Private names and tests are left out. The same Python gives the same documents in the same order.
    """
    sources, skipped = read_library(library or Path(sysconfig.get_path("stdlib")))
    builtin, *compiled = read_interpreter()
    documents: dict[str, Document] = {}
    for document in _documents([builtin, *sources, *compiled]):
        documents.setdefault(document.id, document)
    return PythonDocs(tuple(documents.values()), tuple(skipped))


def _documents(ordered: list[Module]) -> Iterator[Document]:
    modules = {module.name: module for module in ordered}
    names = public_names(modules)
    for module in ordered:
        own = [(module, entry) for entry in (*_module_entry(module, modules), *module.entries)]
        for owner, entry in (*own, *inherited_entries(module, modules, names)):
            home = public_home(module, entry, names)
            if home is not None:
                yield _document(qualified_name(home, entry), entry, owner, KNOWN_AS.get(home) or home)


def _module_entry(module: Module, modules: dict[str, Module]) -> Iterator[Entry]:
    """The module's own docstring where it takes it from another: ``from _pydatetime import __doc__``."""
    for source, name in module.imports:
        if name == "__doc__" and source in modules:
            yield from (entry for entry in modules[source].entries if not entry.name)


def _document(name: str, entry: Entry, owner: Module, module: str) -> Document:
    metadata: dict[str, object] = {"kind": entry.kind, "module": module}
    if owner.file is not None:
        metadata |= {"file": owner.file, "line": entry.line}
    return Document(id=name, text=entry.text, title=_title(name, entry), metadata=metadata)


def _title(name: str, entry: Entry) -> str:
    if entry.kind == "module":
        summary = entry.text.partition("\n\n")[0]
        return f"{name}: {textwrap.shorten(summary, SIGNATURE_CHARACTERS, placeholder=' …')}"
    return name + textwrap.shorten(entry.signature, SIGNATURE_CHARACTERS, placeholder=" …)")
