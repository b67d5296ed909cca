"""Places inside JSON payloads that conditions ask about, and the SQLite indexes kept on chosen ones.

A place is written as SQLite writes it, every name quoted: ``$."metadata"."year"``. SQLite uses an index on an
expression where a query holds the same one, to the letter, so paths stand in the SQL itself: only in this form, in
which nothing can end a name or a string. Values never do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b

import apsw

from ..errors import InvalidInputError
from .tables import FILTERS

_PATH = re.compile(r'\$(?:\."[^"\\\x00-\x1f\ud800-\udfff]+")+')


def check_paths(paths: Iterable[str]) -> None:
    """Raise InvalidInputError unless each of these is a path."""
    for path in paths:
        if not _PATH.fullmatch(path):
            raise InvalidInputError(f'path {path!r} leads to no place in a payload: quote every name, as in $."a"."b"')


def kind_at(path: str) -> str:
    """SQL for the JSON kind at a place: text, integer, real, true, false, array, object, or null.

    Where there is nothing, that is null too. Raises InvalidInputError for what is no path.
    """
    return f"ifnull(json_type(payload, {_literal(path)}), 'null')"


def value_at(path: str) -> str:
    """SQL for the value at a place as text, integer or real; raises InvalidInputError for what is no path."""
    return f"json_extract(payload, {_literal(path)})"


def entries_at(path: str) -> str:
    """SQL for the entries of the array or object at a place, a table with ``type`` and ``value``.

    Raises InvalidInputError for what is no path.
    """
    return f"json_each(payload, {_literal(path)})"


def keep_columns(connection: apsw.Connection, paths: Iterable[str]) -> None:
    """Have SQLite index exactly these places of the documents' payloads.

    Raises InvalidInputError for what is no path, and where a payload is not JSON.
    """
    wanted = {_name(path): path for path in paths}
    known = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'documents'")
    there = {name for (name,) in known if name.startswith(FILTERS)}
    for name in there - wanted.keys():
        connection.execute(f"DROP INDEX {name}")
    for name in wanted.keys() - there:
        # With died in it, a condition on this place alone is answered without looking at the documents.
        columns = f"{kind_at(wanted[name])}, {value_at(wanted[name])}, died"
        try:
            connection.execute(f"CREATE INDEX {name} ON documents ({columns})")
        except apsw.SQLError as error:
            raise InvalidInputError(f"{wanted[name]} cannot be kept: a payload is not JSON ({error})") from error


def _literal(path: str) -> str:
    check_paths([path])
    return "'" + path.replace("'", "''") + "'"


def _name(path: str) -> str:
    return FILTERS + blake2b(path.encode(), digest_size=16).hexdigest()
