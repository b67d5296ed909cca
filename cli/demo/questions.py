"""Questions about Python in people's own words, each with its right answers by qualified name."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from importlib import resources

import msgspec

from ...retrieval import Query

SHOWCASE = (
    "remove whitespace from both ends of a string",
    "copy a file and keep its timestamps",
    "the ten most frequent words",
    "make an absolute URL out of a relative link",
    "quote a file name for use in a shell command",
)
"""The questions whose hits the demo prints: picked among those the starter model answers well.

The demo's measures are over all the questions, also those it answers badly.
"""


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of ``questions.jsonl``: a question and every document that answers it reasonably."""

    id: str = msgspec.field(name="_id")
    text: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JudgedQuestions:
    """Questions that the documents at hand can answer, ready for ``evaluate``.

    queries: in the order of the file.
    qrels: query id → document id → 1; only documents that exist, at least one a query.
    left_out: how many questions have no answer among the documents and are not asked.
    """

    queries: list[Query]
    qrels: dict[str, dict[str, int]]
    left_out: int


def read_questions() -> tuple[Question, ...]:
    """Every question with every answer that some supported Python has, in the order of the file."""
    lines = resources.files(__package__).joinpath("questions.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(msgspec.json.decode(line, type=Question) for line in lines)


def judged_questions(document_ids: Container[str]) -> JudgedQuestions:
    """Keep the answers that exist and the questions that have one.

    document_ids: the ids of the corpus, for quick look-ups: a set or a dictionary.
    """
    questions = read_questions()
    existing = {
        question: {target: 1 for target in question.targets if target in document_ids} for question in questions
    }
    asked = {question: targets for question, targets in existing.items() if targets}
    return JudgedQuestions(
        queries=[Query(question.id, question.text) for question in asked],
        qrels={question.id: targets for question, targets in asked.items()},
        left_out=len(questions) - len(asked),
    )
