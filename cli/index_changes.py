"""What the commands that change an index share: their notes, tidying up, and how they report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import TwinBertError
from .output import note, print_facts

if TYPE_CHECKING:
    from ..index import ChangePlan, ChangeReport, Index
    from ..retrieval import Document, Retriever


def noting_blank(documents: Iterable[Document]) -> Iterator[Document]:
    """Pass documents on, and say at the end how many of them hold nothing to search for."""
    blank: list[str] = []
    for document in documents:
        if not document.full_text:
            blank.append(document.id)
        yield document
    if blank:
        more = "" if len(blank) == 1 else f" and {len(blank) - 1} more"
        note(f"note: document {blank[0]!r}{more}: neither title nor text, kept but hard to find")


def tidied(index: Index, report: ChangeReport, wait: float | None, retriever: Retriever | None = None) -> ChangeReport:
    """Compact an index that a change left worn, and give the change's report with the generation after it.

    The change is stored by then: where compacting fails, a note says so and the command has succeeded.

    retriever: of the index, where the command has loaded its model.
    """
    compact = index.compact if retriever is None else retriever.compact
    try:
        return replace(report, generation=compact(wait=wait)) if index.is_worn else report
    except TwinBertError as error:
        note(f"note: the change is stored, but the index could not be compacted: {error}")
        return report


def note_plan(plan: ChangePlan) -> None:
    """Say on stderr what will be done."""
    parts = [f"{getattr(plan, name):,} {name}" for name in ("added", "changed", "unchanged", "removed")]
    note(f"plan: {', '.join(parts)}; {plan.to_encode:,} texts to encode")


def print_changes(report: ChangeReport | None, started: float, *, as_json: bool) -> None:
    """Write what was done, in the keys that programs rely on."""
    seconds = round(time.perf_counter() - started, 3)
    names = ("added", "changed", "unchanged", "removed", "documents", "generation")
    print_facts({name: getattr(report, name) for name in names} | {"seconds": seconds}, as_json=as_json)


def print_plan(index: Index, plan: ChangePlan, started: float, *, as_json: bool) -> None:
    """Write what would be done in the same keys, and how many texts would be encoded."""
    names = ("added", "changed", "unchanged", "removed")
    facts = {name: getattr(plan, name) for name in names}
    facts |= {"documents": len(index) + plan.added - plan.removed, "generation": index.info().generation}
    seconds = round(time.perf_counter() - started, 3)
    print_facts(facts | {"to_encode": plan.to_encode, "seconds": seconds}, as_json=as_json)
