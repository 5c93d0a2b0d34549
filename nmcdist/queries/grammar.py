"""The grammar of queries: text becomes a tree of conditions and numbers; nothing is evaluated as Python.

    condition  = each {"or" each}
    each       = single {"and" single}
    single     = "not" single | comparison
    comparison = sum {("<" | "<=" | ">" | ">=" | "==" | "!=") sum}
    sum        = product {("+" | "-") product}
    product    = factor {("*" | "/") factor}
    factor     = ("+" | "-") factor | "abs" "(" sum ")" | "(" condition or sum ")" | number | column

The precedence is that of Python. A column is a name with its labels after points, ``volume_fraction.pore``, or in
brackets, ``volume_fraction[pore]``.
"""

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nmcdist.errors import QueryError
from nmcdist.queries.tree import Binary, Column, Comparison, Condition, Node, Not, Number, Several, Unary, Value
from nmcdist.wording import shown

MOST_CHARACTERS = 2000
MOST_TOKENS = 200
MOST_DEPTH = 20

_COLUMN = r"[A-Za-z_]\w*(?:\.\w+)*(?:\[[ ]*\w+[ ]*(?:,[ ]*\w+[ ]*)*\])?"
_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))"
    rf"|(?P<word>{_COLUMN})"
    r"|(?P<sign><=|>=|==|!=|[<>()+*/-])",
    re.ASCII,
)
_SPACE = re.compile(r"[ \t\r\n]*")
_STRANGE = re.compile(r"[^\s\w()]+|\w[\w.]*|.", re.DOTALL)
_ORDERS = ("<", "<=", ">", ">=", "==", "!=")
_KEYWORDS = ("and", "or", "not", "abs")
_CONSTANTS = ("true", "false")  # of other languages
_INSTEAD = {
    "=": "==", "&": "and", "&&": "and", "|": "or", "||": "or", "!": "not", "\u2265": ">=", "\u2264": "<=",
    "\u2260": "!=",
}  # fmt: skip


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int  # characters before it


def parsed(text: str) -> Condition | None:
    """Return the tree of a query, None if the text is blank.

    Raises
    ------
    QueryError
        If the text is too long or too deep, or is not of the grammar.
    """
    if not isinstance(text, str):
        raise QueryError(f"query: found {shown(text)}, expected text")
    if len(text) > MOST_CHARACTERS:
        raise QueryError(f"query: has {len(text)} characters, expected at most {MOST_CHARACTERS}")
    tokens = list(_tokens(text))
    if len(tokens) > MOST_TOKENS + 1:
        raise QueryError(f"query: has more than {MOST_TOKENS} words, numbers and signs")
    return _Parser(tokens).whole() if len(tokens) > 1 else None


def column_name(text: str) -> str:
    """Return the name of a column with points before its labels; other text unchanged."""
    name, _, labels = text.strip().partition("[")
    return ".".join([name, *(label.strip() for label in labels.removesuffix("]").split(","))]) if labels else name


def _tokens(text: str) -> Iterator[_Token]:
    """Yield at most one token more than allowed, the last of kind "end"."""
    place = _SPACE.match(text, 0).end()  # type: ignore[union-attr]  # it matches the empty text
    for _ in range(MOST_TOKENS + 1):
        if place == len(text):
            break
        found = _TOKEN.match(text, place)
        if not found:
            strange = _STRANGE.match(text, place)[0]  # type: ignore[index]  # it matches any character
            expected = _INSTEAD.get(strange, "a column, a number, a comparison, and, or, not, abs")
            raise QueryError(f"query: character {place + 1}: found {shown(strange)}, expected {expected}")
        word, kind = found[0], str(found.lastgroup)
        yield _Token("keyword" if word in _KEYWORDS else kind, word, place)
        place = _SPACE.match(text, found.end()).end()  # type: ignore[union-attr]
    yield _Token("end", "the end", place)


class _Parser:
    """Recursive descent; each method reads one rule of the grammar from the current token on."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens, self._next, self._depth = tokens, 0, 0

    def whole(self) -> Condition:
        node = self._condition()
        if self._token.kind != "end":
            raise self._unexpected("and, or, or the end of the query")
        return _as_condition(node, 0)

    def _condition(self) -> Node:
        return self._joined("or", self._each)

    def _each(self) -> Node:
        return self._joined("and", self._single)

    def _joined(self, operator: str, part: Callable[[], Node]) -> Node:
        start, node = self._token.at, part()
        operands: list[Condition] = []
        while self._taken(operator):
            operands = operands or [_as_condition(node, start)]
            start = self._token.at
            operands.append(_as_condition(part(), start))
        return Several(operator, tuple(operands)) if operands else node

    def _single(self) -> Node:
        if not self._taken("not"):
            return self._comparison()
        with self._deeper():
            start = self._token.at
            return Not(_as_condition(self._single(), start))

    def _comparison(self) -> Node:
        start, node = self._token.at, self._sum()
        operators: list[str] = []
        operands: list[Value] = []
        while operator := self._taken(*_ORDERS):
            operands = operands or [_as_value(node, start)]
            operators.append(operator)
            start = self._token.at
            operands.append(_as_value(self._sum(), start))
        return Comparison(tuple(operators), tuple(operands)) if operators else node

    def _sum(self) -> Node:
        return self._chain(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._chain(("*", "/"), self._factor)

    def _chain(self, operators: tuple[str, ...], part: Callable[[], Node]) -> Node:
        start, node = self._token.at, part()
        while operator := self._taken(*operators):
            left, start_of_right = _as_value(node, start), self._token.at
            node = Binary(operator, left, _as_value(part(), start_of_right))
        return node

    def _factor(self) -> Node:
        token = self._token
        if operator := self._taken("+", "-"):
            with self._deeper():
                start = self._token.at
                value = _as_value(self._factor(), start)
            return Unary("-", value) if operator == "-" else value
        if self._taken("abs"):
            if self._token.text != "(":
                raise self._unexpected("( after abs")
            start = self._token.at
            return Unary("abs", _as_value(self._factor(), start))
        if self._taken("("):
            with self._deeper():
                node = self._condition()
            if not self._taken(")"):
                raise self._unexpected(") or an operator")
            return node
        if token.kind not in ("number", "word"):
            raise self._unexpected("a column or a number")
        self._next += 1
        return _number(token) if token.kind == "number" else Column(column_name(token.text))

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _taken(self, *texts: str) -> str:
        """Step over the current token if it is one of these, and return it; else return an empty text."""
        token = self._token
        if token.kind in ("sign", "keyword") and token.text in texts:
            self._next += 1
            return token.text
        return ""

    @contextlib.contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise QueryError(f"query: character {self._token.at + 1}: nested more than {MOST_DEPTH} deep")
        yield
        self._depth -= 1

    def _unexpected(self, expected: str) -> QueryError:
        token = self._token
        found = token.text if token.kind == "end" else shown(token.text)
        meant = next((word for word in _KEYWORDS if token.text != word == token.text.lower()), "")
        return QueryError(f"query: character {token.at + 1}: found {found}, expected {meant or expected}")


def _number(token: _Token) -> Number:
    value = float(token.text)
    if math.isinf(value):
        raise QueryError(f"query: character {token.at + 1}: found {shown(token.text)}, expected at most 1.8e308")
    return Number(value)


def _as_value(node: Node, at: int) -> Value:
    if isinstance(node, Condition):
        raise QueryError(f"query: character {at + 1}: found a condition, expected a number or a column")
    return node


def _as_condition(node: Node, at: int) -> Condition:
    if isinstance(node, Column) and node.name.lower() in _CONSTANTS:
        raise QueryError(f"query: no column {shown(node.name)}; an empty condition selects every item")
    if isinstance(node, Value):
        raise QueryError(f"query: character {at + 1}: found a number, expected a condition such as d_max_nm > 8000")
    return node
