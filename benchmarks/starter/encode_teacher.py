"""Encode a run's texts with the teacher's int8 tower, several times faster than ``train distill`` does it in fp32.

    twinbert model import MINILM IMPORTED
    python benchmarks/starter/encode_teacher.py pairs.jsonl MINILM IMPORTED WORK
    twinbert train distill pairs.jsonl OUT --teacher MINILM --work WORK ...

WORK gets the vectors under the names under which the run looks for those of MINILM, the sentence-transformers folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from twinbert.encoders import TwinEncoder
from twinbert.encoders.training.data import read_pairs
from twinbert.encoders.training.teacher import BiEncoderTeacher, teacher_vectors


class Int8Teacher(BiEncoderTeacher):
    """A teacher whose vectors are those of an imported model's int8 tower."""

    def __init__(self, source: Path, imported: Path) -> None:
        super().__init__(source)
        self.encoder = TwinEncoder.from_pretrained(imported, threads=1)

    def embed(self, texts: list[str]) -> NDArray[np.float16]:  # type: ignore[override]
        """Encode texts: ``(n, dimension)`` float16, unit rows."""
        return self.encoder.encode_documents(texts).astype(np.float16)


def main() -> None:
    """Fill the work folder."""
    pairs, source, imported, work = (Path(argument) for argument in sys.argv[1:])
    read = read_pairs(pairs)
    texts = list(dict.fromkeys(text for pair in read for text in (pair.query, pair.document)))
    teacher = Int8Teacher(source, imported)
    vectors = teacher_vectors(
        teacher, texts, work / "teacher", lambda done, total: print(f"{done}/{total}", flush=True)
    )
    print(f"{len(vectors)} vectors")


if __name__ == "__main__":
    main()
