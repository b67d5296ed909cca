"""Lines of text files that know their place, plain or gzip by suffix: what qrels and runs are kept in."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ..errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end; ``number`` counts from 1."""

    path: Path
    number: int
    text: str

    def refuse(self, message: str) -> NoReturn:
        """Raise InvalidInputError at this line."""
        raise InvalidInputError(message, path=self.path, line=self.number)


def read_lines(path: Path | str) -> Iterator[Line]:
    r"""The lines of a UTF-8 file that are not blank, ended by ``\n`` or ``\r\n``; unpacked when named ``.gz``.

    A byte order mark at the start is taken off.

    Raises InvalidInputError, naming the line where there is one, when there is no such file, it cannot be read
    or unpacked, or it is not UTF-8.
    """
    path, number = Path(path), 0
    if not path.exists():
        raise InvalidInputError("no such file: check the path", path=path)
    try:
        with gzip.open(path, "rb") if _packed(path) else path.open("rb") as stream:
            for number, raw in enumerate(stream, start=1):
                line = _decoded(path, number, raw)
                if line.text.strip():
                    yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        message = f"the gzip data is cut or damaged ({error}): make or fetch the file anew"
        raise InvalidInputError(message, path=path, line=number + 1) from error
    except OSError as error:
        raise InvalidInputError(f"cannot be read ({error.strerror or error}): check the file", path=path) from error


def write_lines(path: Path | str, lines: list[str]) -> None:
    r"""Write lines in UTF-8, each ended by ``\n``; packed when the file is named ``.gz``.

    Raises InvalidInputError when the file cannot be written.
    """
    path = Path(path)
    data = "".join(f"{line}\n" for line in lines).encode()
    try:
        path.write_bytes(gzip.compress(data) if _packed(path) else data)
    except OSError as error:
        raise InvalidInputError(f"cannot be written ({error.strerror}): name another file", path=path) from error


def _packed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _decoded(path: Path, number: int, raw: bytes) -> Line:
    try:
        text = raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"not UTF-8 (byte 0x{raw[error.start]:02x} at byte {error.start + 1}): save the file as UTF-8"
        raise InvalidInputError(message, path=path, line=number) from None
    return Line(path, number, text.removeprefix("\ufeff") if number == 1 else text)
