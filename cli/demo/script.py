"""The demo's story of a live update: a team's own functions join Python's, and one leaves again."""

from __future__ import annotations

from dataclasses import dataclass

from ...retrieval import Document


@dataclass(frozen=True, slots=True)
class Scene:
    """A document that is new to the index, and a question that it alone answers.

    deleted_later: True for a document that the second half of the story deletes again.
    """

    question: str
    document: Document
    deleted_later: bool = False


def _acme(name: str, signature: str, text: str) -> Document:
    metadata = {"kind": "function", "module": "acme", "file": "acme/__init__.py"}
    return Document(id=f"acme.{name}", title=f"acme.{name}{signature}", text=text, metadata=metadata)


SCENES = (
    Scene(
        question="make a web address slug from the title of an article",
        document=_acme(
            "slugify",
            "(title, max_length=60)",
            "Turn the title of an article into a slug, the readable last part of its web address.\n\n"
            "Letters become lower case, accents are dropped, and everything else becomes a single hyphen:\n"
            '"Crème brûlée, step by step!" gives "creme-brulee-step-by-step".',
        ),
    ),
    Scene(
        question="which invoices has a customer still not paid",
        document=_acme(
            "open_invoices",
            "(customer, before=None)",
            "List the invoices that a customer has not paid yet, the oldest first.\n\n"
            "Invoices under dispute are left out. With a date, only those due before it are listed.",
        ),
        deleted_later=True,
    ),
    Scene(
        question="ring the colleague who is on call tonight",
        document=_acme(
            "page_on_call",
            "(message, team)",
            "Alert the colleague who is on call for a team.\n\n"
            "Rings the phone until someone acknowledges; after ten minutes the next in the rota is called.",
        ),
    ),
)
"""The documents to upsert, each with the question to ask before, after, and after the deletes."""
