"""What a text is, before any tokeniser sees it."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import InvalidInputError


def require_texts(texts: Sequence[str]) -> None:
    """Raise InvalidInputError for one text in place of several, for what is no text, and for half a surrogate pair.

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
            raise InvalidInputError(
                f"texts[{place}] holds half a surrogate pair at character {error.start}: decode the input anew"
            ) from error
