"""What a rerank should give, one document and one word at a time, from texts alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from twinbert.encoders import TwinEncoder, Weights
from twinbert.encoders.serving.sketch import sketch
from twinbert.encoders.serving.words import WordAnalyser
from twinbert.retrieval import Document


class Oracle:
    """Scores documents for queries; ``words``, ``most``: of segments, told apart at spaces."""

    def __init__(
        self,
        encoder: TwinEncoder,
        documents: Sequence[Document],
        weights: Weights,
        *,
        language: str | None = "en",
        words: int = 30,
        most: int = 6,
        width: int = 128,
    ) -> None:
        self.encoder, self.documents, self.weights = encoder, {d.id: d for d in documents}, weights
        self.words, self.most, self.width = words, most, width
        analyser = WordAnalyser(language)
        self.analyse = analyser.words
        self.counts = {d.id: Counter(analyser.words(d.full_text)) for d in documents}
        self.held = Counter(term for counts in self.counts.values() for term in counts)
        self.mean_length = sum(sum(counts.values()) for counts in self.counts.values()) / max(len(documents), 1)

    def cosine(self, query: str, identifier: str) -> float:
        vector = self.encoder.encode_queries([query])[0]
        return float(self.encoder.encode_documents([self.documents[identifier].full_text])[0] @ vector)

    def bm25(self, query: str, identifier: str) -> float:
        """Lucene's, k1 0.9 and b 0.4."""
        counts, total = self.counts[identifier], 0.0
        norm = 0.9 * (1 - 0.4 + 0.4 * sum(counts.values()) / self.mean_length)
        for term, times in Counter(self.analyse(query)).items():
            held = self.held[term]
            idf = math.log(1 + (len(self.documents) - held + 0.5) / (held + 0.5))
            total += times * idf * counts[term] / (counts[term] + norm)
        return total

    def segments(self, identifier: str) -> list[str]:
        every = self.documents[identifier].full_text.split()
        parts = [every[start : start + self.words] for start in range(0, len(every), self.words)]
        if len(parts) > 1 and len(parts[-1]) < self.words / 2:
            parts[-2:] = [parts[-2] + parts[-1]]
        return [" ".join(part) for part in parts][: self.most] if len(parts) > 1 else []

    def best_segment(self, query: str, identifier: str) -> tuple[int, float] | None:
        """Its number, from 1, and its cosine; int8 makes that good to about 0.01."""
        if not (parts := self.segments(identifier)):
            return None
        vector = sketch(self.encoder.encode_queries([query]), self.width)[0]
        values = sketch(self.encoder.encode_documents(parts), self.width) @ vector
        return int(np.argmax(values)) + 1, float(values.max())

    def score(self, query: str, identifier: str) -> float:
        cosine, best = self.cosine(query, identifier), self.best_segment(query, identifier)
        if best is not None:
            cosine = (1 - self.weights.segments) * cosine + self.weights.segments * best[1]
        vector = self.encoder.encode_queries([query])
        documents = self.encoder.encode_documents([self.documents[identifier].full_text])
        head = float(self.encoder.residual(vector[0], documents)[0])
        unfamiliar = 1 + self.weights.unfamiliar * self.encoder.unfamiliar(query)
        lexical = self.weights.lexical * unfamiliar * self.bm25(query, identifier)
        return self.weights.cosine * cosine + lexical + self.weights.head * head

    def nearest(self, query: str, k: int) -> list[str]:
        cosines = {identifier: self.cosine(query, identifier) for identifier in self.documents}
        return sorted(cosines, key=lambda name: (cosines[name], name), reverse=True)[:k]

    def ranking(self, query: str, candidates: Sequence[str], k: int) -> list[tuple[str, float]]:
        scores = {identifier: self.score(query, identifier) for identifier in candidates}
        best = sorted(scores, key=lambda name: (scores[name], name), reverse=True)[:k]
        return [(identifier, scores[identifier]) for identifier in best]
