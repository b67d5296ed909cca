"""Conditions on documents, asked at exactly the commit that is searched."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Condition:
    """Which documents count.

    sql: an expression over a row of ``documents``, true where it counts: made of ``kind_at`` and ``value_at``, with a
        ``?`` for every value.
    values: what the ``?`` stand for, in their order.
    """

    sql: str
    values: tuple[str | int | float, ...] = ()
