r"""Reads an expression: ``lang = "de" and (year >= 2020 or not tags contains "old")``.

::

    expression  = conjunction {"or" conjunction}
    conjunction = negation {"and" negation}
    negation    = "not" negation | "(" expression ")" | condition
    condition   = field ("=" | "!=" | "<" | "<=" | ">" | ">=") value
                | field ["not"] "in" "(" value {"," value} ")"
                | field ["not"] "contains" value
                | field ["not"] "starts" "with" string
                | field "is" ["not"] "null"
    field       = name {"." name}            a name is bare, or anything in `backquotes`
    value       = string | number | "true" | "false"

Strings stand in single or double quotes, with the escapes ``\\ \" \' \n \r \t``. Keywords are written in any case.
"""

from __future__ import annotations

from collections.abc import Callable

from ..checks import check_text
from .nodes import (
    OPERATORS,
    And,
    Comparison,
    Condition,
    Contains,
    Field,
    IsNull,
    Membership,
    Node,
    Not,
    Or,
    StartsWith,
    Value,
)
from .tokens import Token, fault, tokens_of
from .values import Budget, check_ordered, check_value, field_of

_AFTER_FIELD = "an operator (= != < <= > >=), in, not in, contains, starts with or is null"


def parse_expression(expression: str) -> Node:
    """The tree of an expression; raises InvalidInputError naming the column and what was expected there."""
    return _Parser(expression).whole()


def parse_field(name: str) -> Field:
    """The field that a name written as in an expression means; raises InvalidInputError for anything else."""
    return _Parser(check_text(name, "a field")).field_alone()


class _Parser:
    """Recursive descent with one token in hand."""

    def __init__(self, expression: str) -> None:
        self._tokens = tokens_of(expression)
        self._token = next(self._tokens)
        self._budget = Budget()

    def whole(self) -> Node:
        node = self._expression()
        if self._token.kind != "end":
            raise self._expected("and, or, or the end")
        return node

    def field_alone(self) -> Field:
        field = self._field()
        if self._token.kind != "end":
            raise self._expected("a dot or the end")
        return field

    def _expression(self) -> Node:
        terms = self._joined("or", self._conjunction)
        return terms[0] if len(terms) == 1 else Or(terms)

    def _conjunction(self) -> Node:
        terms = self._joined("and", self._negation)
        return terms[0] if len(terms) == 1 else And(terms)

    def _joined(self, keyword: str, term: Callable[[], Node]) -> tuple[Node, ...]:
        terms = [term()]
        while self._skip(keyword):
            terms.append(term())
        return tuple(terms)

    def _negation(self) -> Node:
        self._budget.enter()
        if self._skip("not"):
            node: Node = Not(self._negation())
        elif self._skip("("):
            node = self._expression()
            self._need(")", "and, or, or )")
        else:
            node = self._condition()
        self._budget.leave()
        return node

    def _condition(self) -> Node:
        field = self._field()
        self._budget.condition()
        if self._token.kind == "sign" and self._token.text in OPERATORS:
            return self._comparison(field)
        if self._skip("is"):
            negated = self._skip("not")
            self._need("null", "null" if negated else "null or not null")
            return Not(IsNull(field)) if negated else IsNull(field)
        if self._skip("not"):
            return Not(self._named(field, "in, contains or starts with"))
        return self._named(field, _AFTER_FIELD)

    def _named(self, field: Field, expected: str) -> Condition:
        """The conditions that ``not`` may stand before."""
        if self._skip("in"):
            return Membership(field, self._values())
        if self._skip("contains"):
            return Contains(field, self._value())
        if self._skip("starts"):
            self._need("with", "with")
            if self._token.kind != "string":
                raise self._expected("a string in quotes")
            return StartsWith(field, str(self._value()))
        raise self._expected(expected)

    def _comparison(self, field: Field) -> Comparison:
        operator = self._take().text
        value = self._value()
        check_ordered(value, operator)
        return Comparison(field, operator, value)

    def _values(self) -> tuple[Value, ...]:
        self._need("(", "( and values")
        values = [self._listed()]
        while self._skip(","):
            values.append(self._listed())
        self._need(")", ", or )")
        return tuple(values)

    def _listed(self) -> Value:
        self._budget.value()
        return self._value()

    def _value(self) -> Value:
        token = self._token
        if token.kind == "string":
            return check_value(self._take().inner())
        if token.kind == "number":
            text = self._take().text
            return check_value(float(text) if set(text) & set(".eE") else _whole(text))
        if token.kind == "keyword" and token.text in ("true", "false"):
            return self._take().text == "true"
        if token.kind == "keyword" and token.text == "null":
            raise self._expected("a value: write is null or is not null")
        raise self._expected("a value: a string in quotes, a number, true or false")

    def _field(self) -> Field:
        names = [self._name("a field, not or (")]
        while self._skip("."):
            names.append(self._name("a field name after the dot"))
        return field_of(names)

    def _name(self, expected: str) -> str:
        if self._token.kind == "quoted":
            return self._take().inner()
        if self._token.kind == "word":
            return self._take().text
        hint = ": quote a name that is a keyword as `name`" if self._token.kind == "keyword" else ""
        raise self._expected(expected, hint)

    def _take(self) -> Token:
        token = self._token
        if token.kind != "end":
            self._token = next(self._tokens)
        return token

    def _skip(self, text: str) -> bool:
        """Whether the token in hand is this keyword or sign, which is then gone."""
        there = self._token.kind in ("keyword", "sign") and self._token.text == text
        if there:
            self._take()
        return there

    def _need(self, text: str, expected: str) -> None:
        if not self._skip(text):
            raise self._expected(expected)

    def _expected(self, what: str, hint: str = "") -> Exception:
        return fault(self._token.column, f"expected {what}, found {self._token}{hint}")


def _whole(digits: str) -> int:
    # Python refuses, with an error of its own, to read thousands of digits; no 64-bit number has over 20.
    return int(digits) if len(digits) <= 30 else 2**64
