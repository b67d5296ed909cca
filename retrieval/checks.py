"""The questions asked of every value that enters: is it text that can be stored, is it JSON, is it a count."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..errors import InvalidInputError

MAX_DEPTH = 64
"""Levels of nesting that metadata may have: far above any real use, far below what a JSON parser can take."""

MAX_BITS = 4_096
"""Bits that a whole number in metadata may have: Python itself refuses to write one of over 4,300 digits."""


def check_text(value: object, name: str) -> str:
    """Give ``value`` back when it is a string that UTF-8 can write and that holds no NUL.

    Raises InvalidInputError naming ``name`` otherwise.
    """
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} must be a string, not {described(value)}")
    if "\0" in value:
        raise InvalidInputError(f"{name} holds a NUL character (at character {value.index(chr(0)) + 1}): remove it")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"{name} holds a lone surrogate (at character {error.start + 1}), which UTF-8 cannot write: remove it"
        ) from None
    return value


def check_id(value: object, name: str = "id") -> str:
    """Give ``value`` back when it can be an id: a string that is not blank, otherwise taken exactly as it stands.

    Raises InvalidInputError naming ``name`` otherwise; a number is told how to become a string.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise InvalidInputError(f'{name} must be a string, not the number {value}: write "{value}"')
    text = check_text(value, name)
    if not text.strip():
        raise InvalidInputError(f"{name} is empty or blank: give every document and query an id of its own")
    return text


def as_ids(ids: Iterable[str]) -> list[str]:
    """Give ids as a list; raises InvalidInputError for one string instead of a list, and for what is no id."""
    if isinstance(ids, str):
        raise InvalidInputError(f"ids must be a list, not one string: use [{ids!r}]")
    return [check_id(identifier) for identifier in ids]


def check_count(value: object, name: str) -> int:
    """Give ``value`` back when it is a whole number of at least 1; raises InvalidInputError otherwise."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidInputError(f"{name} must be a whole number, not {described(value)}")
    if value < 1:
        raise InvalidInputError(f"{name} must be at least 1, not {value}")
    return value


def json_copy(value: object, name: str, depth: int = MAX_DEPTH) -> object:
    """Copy a JSON value, so that what the caller does to it later changes nothing here.

    Exactly JSON's own types are taken (dict with string keys, list, str, int, finite float, bool, None): anything
    else would come back from the index as something else than it went in.

    Raises InvalidInputError naming where in ``name`` the fault stands.
    """
    if depth < 0:
        raise InvalidInputError(f"{name[:80]} is nested deeper than {MAX_DEPTH} levels: flatten it")
    if type(value) is dict:
        return {_key(key, name): json_copy(entry, f"{name}[{key!r}]", depth - 1) for key, entry in value.items()}
    if type(value) is list:
        return [json_copy(entry, f"{name}[{place}]", depth - 1) for place, entry in enumerate(value)]
    if type(value) is str:
        return check_text(value, name)
    if type(value) is float and not math.isfinite(value):
        raise InvalidInputError(f"{name} is {value}, which JSON cannot write: leave it out or use null")
    if type(value) is int and value.bit_length() > MAX_BITS:
        raise InvalidInputError(f"{name} is a number of more than {MAX_BITS} bits: write it as a string")
    if value is None or type(value) in (bool, int, float):
        return value
    raise InvalidInputError(
        f"{name} is {described(value)}, not a JSON value: use a string, number, boolean, null, list or object"
    )


def _key(key: object, name: str) -> str:
    return check_text(key, f"a key of {name}")


def described(value: object) -> str:
    """Name the kind of a value in the words of JSON, for messages."""
    if value is None:
        return "null"
    words = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return words.get(type(value), f"a {type(value).__name__}")
