"""What a text is, before any tokeniser sees it."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import InvalidInputError


def require_texts(texts: Sequence[str]) -> None:
    """Raise InvalidInputError for one text in place of several, for what is no text, and for a lone surrogate.

    Everything else is a text: the empty one, blanks, NULs, any script, any length.
    """
    if isinstance(texts, str):
        raise InvalidInputError("one text where a list of texts belongs: put it in a list")
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidInputError(f"texts[{place}] is no text but {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            at = f"(at character {error.start + 1})"
            message = f"texts[{place}] holds a lone surrogate {at}, which UTF-8 cannot write: remove it"
            raise InvalidInputError(message) from error
