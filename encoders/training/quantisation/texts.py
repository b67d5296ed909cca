"""Texts to calibrate with, and texts to measure by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from ....errors import InvalidInputError

PACKAGED = Path(__file__).parent / "texts.txt"
"""512 short texts: WordNet glosses, questions, docstrings (benchmarks/calibration_texts.py)."""
QUERY_SHARE = 7
"""One text in so many is a query."""
MOST_QUERIES, MOST_DOCUMENTS = 1_000, 6_000


@dataclass(frozen=True)
class ParityTexts:
    """Queries and documents by whose neighbours int8 is judged; calibration texts should not be among them."""

    queries: Sequence[str]
    documents: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class ExportTexts:
    """What an export reads: texts to calibrate with (the packaged ones when None), and to measure by (if any)."""

    calibration: Sequence[str] | None = None
    parity: ParityTexts | None = None


def read_texts(path: Path = PACKAGED) -> list[str]:
    """Read a UTF-8 file of one text a line; blank lines are left out.

    Raises InvalidInputError, naming the file, when it cannot be read or holds no text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"not a text file ({error}): name one of a text a line", path=path) from error
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise InvalidInputError("no texts: write one on each line", path=path)
    return texts


def split_texts(texts: Sequence[str]) -> ParityTexts:
    """Share texts out by their hashes: one in seven is a query, at most 1,000 and 6,000 of each kind; twins go once."""
    digests = {text: blake2b(text.encode(), digest_size=8).digest() for text in texts}
    ordered = sorted(digests, key=lambda text: digests[text])
    queries = [text for text in ordered if digests[text][0] % QUERY_SHARE == 0]
    documents = [text for text in ordered if digests[text][0] % QUERY_SHARE]
    return ParityTexts(queries[:MOST_QUERIES], documents[:MOST_DOCUMENTS])
