"""The mask of a query: its tree on arrays of float64."""

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from nmcdist.queries.grammar import Column, Comparison, Condition, Not, Number, Unary, Value

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": np.true_divide,
}  # fmt: skip
_ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "==": np.equal,
    "!=": lambda a, b: np.less(a, b) | np.greater(a, b),  # unlike np.not_equal false for NaN, as every other order
}  # fmt: skip
Columns = Callable[[str], np.ndarray]


def holds(condition: Condition, columns: Columns) -> Any:
    """Return whether a condition holds, as an array of bool, or one bool if it names no column.

    Parameters
    ----------
    condition : Comparison, Not or Several
    columns : callable
        Name -> array of float64.
    """
    with np.errstate(all="ignore"):  # x / 0 is infinite or NaN, as in the arrays of a user
        return _holds(condition, columns)


def _holds(condition: Condition, columns: Columns) -> Any:
    if isinstance(condition, Not):
        return np.logical_not(_holds(condition.operand, columns))
    if isinstance(condition, Comparison):
        values = [_value(operand, columns) for operand in condition.operands]
        orders = zip(condition.operators, values[:-1], values[1:], strict=True)
        return functools.reduce(np.logical_and, (_ORDERS[order](left, right) for order, left, right in orders))
    parts = [_holds(operand, columns) for operand in condition.operands]
    return functools.reduce(np.logical_and if condition.operator == "and" else np.logical_or, parts)


def _value(value: Value, columns: Columns) -> Any:
    if isinstance(value, Number):
        return np.float64(value.value)
    if isinstance(value, Column):
        return columns(value.name)
    if isinstance(value, Unary):
        operand = _value(value.operand, columns)
        return np.abs(operand) if value.operator == "abs" else np.negative(operand)
    return _ARITHMETIC[value.operator](_value(value.left, columns), _value(value.right, columns))
