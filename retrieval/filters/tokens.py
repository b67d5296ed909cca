"""Splits an expression into tokens, each with the column it stands at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import InvalidInputError
from .nodes import KEYWORDS
from .values import MAX_LENGTH

_PATTERNS = {
    "space": r"\s+",
    "string": r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'",
    "quoted": r"`[^`]*`",
    "number": r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.])",
    "word": r"[^\W\d]\w*",
    "sign": r"<=|>=|!=|==|[=<>(),.]",
}
_TOKEN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _PATTERNS.items()), re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "r": "\r", "t": "\t"}
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    kind: ``string``, ``quoted`` (a name in backquotes), ``number``, ``word``, ``keyword``, ``sign`` or ``end``.
    text: as written, keywords in lower case. column: from 1.
    """

    kind: str
    text: str
    column: int

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end"
        return repr(self.text) if len(self.text) <= _SHOWN else f"{self.text[:_SHOWN]!r}…"

    def inner(self) -> str:
        """What stands between the quotes of a ``string`` or ``quoted``, its escapes undone."""
        inside = self.text[1:-1]
        return inside if self.kind == "quoted" else _ESCAPE.sub(self._unescaped, inside)

    def _unescaped(self, found: re.Match[str]) -> str:
        if found[1] not in _ESCAPED:
            raise fault(self.column + 1 + found.start(), rf"expected one of \\ \" \' \n \r \t, not {found[0]!r}")
        return _ESCAPED[found[1]]


def tokens_of(expression: str) -> Iterator[Token]:
    """The tokens, then an ``end``; raises InvalidInputError for what begins no token."""
    if len(expression) > MAX_LENGTH:
        raise InvalidInputError(f"filter: longer than {MAX_LENGTH} characters: ask in several searches")
    place = 0
    while place < len(expression):
        found = _TOKEN.match(expression, place)
        if found is None or found.lastgroup is None:
            raise _no_token(expression, place)
        if found.lastgroup != "space":
            yield _token(found.lastgroup, found[0], place + 1)
        place = found.end()
    yield Token("end", "", place + 1)


def fault(column: int, message: str) -> InvalidInputError:
    """The error of a filter that cannot be read."""
    return InvalidInputError(f"filter, column {column}: {message}")


def _token(kind: str, text: str, column: int) -> Token:
    if kind == "word" and text.lower() in KEYWORDS:
        return Token("keyword", text.lower(), column)
    return Token("sign", "=", column) if text == "==" else Token(kind, text, column)


def _no_token(expression: str, place: int) -> InvalidInputError:
    character = expression[place]
    if character in "\"'`":
        return fault(place + 1, f"expected {character} at the end of what begins here")
    if character.isdigit() or character in "+-":
        return fault(place + 1, "expected a number such as 7, -0.5 or 1e9: write strings in quotes")
    return fault(place + 1, f"expected a field, a value, an operator or a parenthesis, not {character!r}")
