"""Queries against Python's own reading of the same text, and texts of every wrong kind."""

import ast
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmcdist.errors import QueryError
from nmcdist.queries.evaluate import holds
from nmcdist.queries.grammar import parsed
from nmcdist.queries.tree import columns_in

ODD = [0.0, -0.0, 1.0, -1.5, 2.0, 8000.0, 1e300, -1e300, np.nan, np.inf, -np.inf]
NAMES = ("a", "b", "d_max_nm")
numbers = st.sampled_from(["0", "1", "2.", ".5", "1e3", "8000", "1.5e-3", "3E+2"])


def joined(operators, parts, most=3):
    """Texts of parts with operators between them."""
    more = st.lists(st.tuples(st.sampled_from(operators), parts), min_size=1, max_size=most - 1)
    return st.builds(lambda first, rest: first + "".join(f" {o} {p}" for o, p in rest), parts, more)


atoms = numbers | st.sampled_from(NAMES)
values = st.recursive(
    atoms,
    lambda inner: (
        joined("+-*/", inner) | inner.map("({})".format) | inner.map("abs({})".format) | atoms.map("-{}".format)
    ),
    max_leaves=5,
)
comparisons = joined(["<", "<=", ">", ">=", "==", "!="], values)
conditions = st.recursive(
    comparisons,
    lambda inner: joined(["and", "or"], inner) | inner.map("({})".format) | inner.map("not {}".format),
    max_leaves=5,
)


class Wrapped(ast.NodeTransformer):
    """Numbers of NumPy in place of Python's, which refuse x / 0, and the order `!=` that is false for NaN."""

    def visit_Constant(self, node):
        return ast.Call(ast.Name("number", ast.Load()), [node], [])

    def visit_Compare(self, node):
        self.generic_visit(node)
        operands, parts = [node.left, *node.comparators], []
        for order, left, right in zip(node.ops, operands[:-1], operands[1:], strict=True):
            if isinstance(order, ast.NotEq):
                both = [ast.Compare(left, [one], [right]) for one in (ast.Lt(), ast.Gt())]
                parts.append(ast.BoolOp(ast.Or(), both))
            else:
                parts.append(ast.Compare(left, [order], [right]))
        return ast.BoolOp(ast.And(), parts) if len(parts) > 1 else parts[0]


def by_python(text, arrays):
    """The mask by Python's own parser and eval, row by row."""
    tree = ast.fix_missing_locations(Wrapped().visit(ast.parse(text, mode="eval")))
    code = compile(tree, "query", "eval")
    rows = zip(*arrays.values(), strict=True)
    with np.errstate(all="ignore"):
        return [
            bool(eval(code, {"number": np.float64, "abs": abs}, dict(zip(arrays, row, strict=True)))) for row in rows
        ]


def by_us(text, arrays):
    return np.broadcast_to(holds(parsed(text), arrays), len(arrays["a"])).tolist()


@settings(max_examples=400, deadline=None)
@given(conditions, st.data())
def test_a_query_means_what_it_means_in_python(text, data):
    column = st.lists(st.sampled_from(ODD) | st.floats(), min_size=6, max_size=6).map(np.array)
    arrays = {name: data.draw(column, name) for name in NAMES}
    try:
        found = by_us(text, arrays)
    except QueryError as error:
        assert "more than 200" in str(error) or "nested" in str(error)
        return
    assert found == by_python(text, arrays)


@pytest.mark.parametrize("order", ["<", "<=", ">", ">=", "==", "!="])
def test_every_comparison_with_a_missing_value_is_false(order):
    arrays = {"a": np.array([np.nan, np.nan]), "b": np.array([1.0, np.nan])}
    assert by_us(f"a {order} b", arrays) == [False, False]
    assert by_us(f"b {order} a", arrays) == [False, False]
    assert by_us(f"not a {order} b", arrays) == [True, True]


def test_labels_are_spelt_with_points_or_in_brackets():
    spellings = ["v[pore]>1", "v.pore > 1", "v[ pore ] > 1"]
    assert {columns_in(parsed(text))[0] for text in spellings} == {"v.pore"}
    assert columns_in(parsed("t[pore, z] > t.pore.z and a[x] < 1")) == ["t.pore.z", "a.x"]
    assert parsed(" \n") is None


DEEP = "query: character {}: nested more than 20 deep"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("d_max_nm = 3", "query: character 10: found '=', expected =="),
        ("a > 1 & b > 1", "query: character 7: found '&', expected and"),
        ("a \u2265 1", "query: character 3: found '\u2265', expected >="),
        ("a > 1 AND b > 1", "query: character 7: found 'AND', expected and"),
        ("a > 8000nm", "query: character 5: found '8000nm', expected a column, a number"),
        ("a > 1_000", "found '1_000', expected a column"),
        ("a > 1.5.2", "found '1.5.2', expected a column"),
        ("a > 1e999", "query: character 5: found '1e999', expected at most 1.8e308"),
        ("a > " + "9" * 1000, "expected at most 1.8e308"),
        ("a", "query: character 1: found a number, expected a condition such as d_max_nm > 8000"),
        ("a and b > 1", "query: character 1: found a number, expected a condition"),
        ("b > 1 or a + 1", "query: character 10: found a number, expected a condition"),
        ("True", "query: no column 'True'; an empty condition selects every item"),
        ("a > 1 and false", "query: no column 'false'; an empty condition"),
        ("not a", "query: character 5: found a number, expected a condition"),
        ("(a > 1) + 1 > 2", "query: character 1: found a condition, expected a number"),
        ("1 < (a > 1)", "query: character 5: found a condition, expected a number"),
        ("a >", "query: character 4: found the end, expected a column or a number"),
        ("(a > 1", "query: character 7: found the end, expected ) or an operator"),
        ("a > 1)", "query: character 6: found ')', expected and, or, or the end of the query"),
        ("a > 1 b > 2", "query: character 7: found 'b', expected and, or"),
        ("abs a > 1", "query: character 5: found 'a', expected ( after abs"),
        ("a > > 1", "query: character 5: found '>', expected a column or a number"),
        ("v[] > 1", "query: character 2: found '[]', expected a column"),
        ("v[pore > 1", "query: character 2: found '[', expected a column"),
        ("a > 'x'", "found \"'\", expected a column"),
        ("a > 1\0", "query: character 6: found '\\x00', expected a column"),
        ("a > 1 # no", "query: character 7: found '#', expected a column"),
        ("\u0430 > 1", "query: character 1: found '\u0430', expected a column"),  # a Cyrillic a
        ("a > \u0661", "query: character 5: found '\u0661', expected a column"),  # an Arabic 1
        ("__import__('os').system('x') > 1", "query: character 12: found \"'\""),
        ("a ** 2 > 1", "query: character 4: found '*', expected a column or a number"),
        ("a if b else a > 1", "found 'if', expected and, or"),
        ("(" * 21 + "a > 1" + ")" * 21, DEEP.format(22)),
        ("(" * 190, DEEP.format(22)),
        ("not " * 21 + "a > 1", DEEP.format(85)),
        ("-" * 100 + "a > 1", DEEP.format(22)),
        ("abs(" * 30 + "a", DEEP.format(85)),
        ("a > 1" + " or a > 1" * 50, "query: has more than 200 words, numbers and signs"),
        ("+" * 1999, "query: has more than 200 words, numbers and signs"),
        ("a > " + "1" * 1997, "query: has 2001 characters, expected at most 2000"),
        (None, "query: found None, expected text"),
        (b"a > 1", "query: found b'a > 1', expected text"),
    ],
)  # fmt: skip
def test_a_wrong_query_gets_one_line(text, message):
    with pytest.raises(QueryError) as refused:
        parsed(text)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_query_of_the_largest_size_is_taken():
    assert parsed("(" * 20 + "a > 1" + ")" * 20)
    assert parsed("a > 1" + " or a > 1" * 49)


@settings(max_examples=500, deadline=None)
@given(
    st.text()
    | st.lists(st.sampled_from([*"()<>=!+-*/.[],eE \t\n0129a\u00e9\0", "and", "or", "not", "abs"])).map("".join)
)
def test_any_text_is_read_or_refused_in_one_line(text):
    try:
        parsed(text)
    except QueryError as error:
        assert str(error).startswith("query: ")
        assert str(error).isprintable()


def test_short_texts_are_taken_by_us_if_and_only_if_by_python():
    """All texts of up to five of these words; Python also takes numbers as conditions."""
    arrays = {name: np.array([1.0, 2.0, np.nan]) for name in NAMES}
    taken = 0
    for length in range(1, 6):
        for words in itertools.product(["a", "2", "<", "not", "and", "(", ")", "-"], repeat=length):
            text = " ".join(words)
            try:
                found = by_us(text, arrays)
            except QueryError:
                continue
            taken += 1
            assert found == by_python(text, arrays)
    assert taken > 50
