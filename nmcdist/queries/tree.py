"""The tree of a query: conditions on numbers, as data."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Number:
    """A number in the text."""

    value: float


@dataclass(frozen=True)
class Column:
    """A column by the name in the text, with points before labels."""

    name: str


@dataclass(frozen=True)
class Unary:
    """`-` or `abs` of a number."""

    operator: str
    operand: "Value"


@dataclass(frozen=True)
class Binary:
    """Two numbers joined by `+`, `-`, `*` or `/`."""

    operator: str
    left: "Value"
    right: "Value"


@dataclass(frozen=True)
class Comparison:
    """Numbers of which each is compared with the next."""

    operators: tuple[str, ...]
    operands: tuple["Value", ...]


@dataclass(frozen=True)
class Not:
    """A condition that must not hold."""

    operand: "Condition"


@dataclass(frozen=True)
class Several:
    """Conditions joined by `and` or by `or`."""

    operator: str
    operands: tuple["Condition", ...]


Value = Number | Column | Unary | Binary
Condition = Comparison | Not | Several
Node = Value | Condition


def columns_in(node: Node | None) -> list[str]:
    """Return the names of the columns of a tree in the order of the text, each once."""
    return list(dict.fromkeys(_names(node))) if node else []


def _names(node: Node) -> Iterator[str]:
    if isinstance(node, Column):
        yield node.name
    elif isinstance(node, Unary | Not):
        yield from _names(node.operand)
    elif isinstance(node, Binary):
        yield from _names(node.left)
        yield from _names(node.right)
    elif isinstance(node, Comparison | Several):
        for operand in node.operands:
            yield from _names(operand)
