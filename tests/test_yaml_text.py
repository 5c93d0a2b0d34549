"""YAML: values are what is written, or refused with the line; expected values are those of the YAML 1.2 core schema."""

import os
import time

import pytest

from nmcdist.errors import InputError, RecipeError
from nmcdist.yaml_text import DEPTH_LIMIT, SIZE_LIMIT, load_yaml, parsed_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3), ("-7", -7), ("+4", 4), ("0", 0), ("18446744073709551615", 2**64 - 1),
        ("2.21e-11", 2.21e-11), ("2e1", 20.0), (".5", 0.5), ("1.e3", 1000.0), ("0.50", 0.5), ("-1.5E+2", -150.0),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        ("12:30", "12:30"), ("12:00:00", "12:00:00"), ("2026-01-01", "2026-01-01"), ("2026-01-01 10:00:00",) * 2,
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("Off", "Off"), ("y", "y"), ("=", "="), ("1.2.3", "1.2.3"),
        ("nan", "nan"), ("Infinity", "Infinity"), ("1_a", "1_a"), ("'010'", "010"), ('"0x10"', "0x10"), ("'1'", "1"),
        ("|\n  1_0\n", "1_0\n"), ("[1, 'a', {b: 2.0}]", [1, "a", {"b": 2.0}]), ('"\\u00b5m"', "\u00b5m"),
    ],
)  # fmt: skip
def test_plain_values_follow_the_core_schema(text, value):
    found = parsed_yaml(f"field: {text}", "file")["field"]
    assert found == value
    assert type(found) is type(value)


def test_zero_has_no_sign():
    assert str(parsed_yaml("a: -0.0", "file")["a"]) == "0.0"


@pytest.mark.parametrize(
    "text", ["010", "00", "-07", "0x10", "0o17", "0b11", "1_0", "1_0.5", "1_0e3", ".inf", "-.INF", ".NaN"]
)
def test_numbers_that_readers_take_differently_are_refused_by_line(text):
    with pytest.raises(InputError, match=r"^file: line 2: found .*; write a plain decimal number, or text in quotes$"):
        parsed_yaml(f"a: 1\nb: {text}", "file")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("9" * 10_000, "an integer beyond 64 bits"), ("18446744073709551616", "an integer beyond 64 bits"),
        ("-9223372036854775809", "beyond 64 bits"), ("1e999", "too large"), ("-1e999", "too large"),
        ("1e-999", "too small"), ("!!python/object/apply:os.system [x]", "tag"), ("!!binary aGk=", "tag"),
        ("!!set {x, y}", "tag"), ("!local 3", "tag"), ("! 3", "tag"), ("&a 3", "found &a"), ("*a", r"found \*a"),
        ("{<<: {a: 1}}", "merge key"), ("{1: a}", "found 1 as a key"), ("{true: a}", "found True as a key"),
        ("{? [1] : a}", "found a list as a key"), ("{x: 1, y: 2, x: 3}", "x is given twice, first in line 3"),
        ('"\\x07"', "control character"), ('"\\0"', "control character"), ('"\\ud800"', "control character"),
        ("[1, 2", "not valid YAML"), ("b: c", "not valid YAML"), ("'x", "not valid YAML"),
    ],
)  # fmt: skip
def test_what_is_more_than_plain_data_is_refused_by_line(text, complaint):
    with pytest.raises(InputError, match=rf"^file: line [34]: .*{complaint}") as caught:
        parsed_yaml(f"# about\n\nfield: {text}", "file")
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 250


def test_entities_that_grow_are_refused_at_the_first():
    levels = "\n".join(f"l{k}: &l{k} [{', '.join([f'*l{k - 1}'] * 9)}]" for k in range(1, 30))
    with pytest.raises(InputError, match="line 1: found &l0"):
        parsed_yaml(f"l0: &l0 [x]\n{levels}", "file")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused(opening):
    with pytest.raises(InputError, match=f"found more than {DEPTH_LIMIT} mappings and lists inside each other"):
        parsed_yaml(f"a:\n {opening * 10_000}", "file")


def test_nesting_up_to_the_bound_is_read():
    assert parsed_yaml(f"a: {'[' * (DEPTH_LIMIT - 1)}{']' * (DEPTH_LIMIT - 1)}", "file")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("", "found nothing"), ("# only this", "found nothing"), ("---\n...\n", "found nothing"), ("- 1", "found a list"),
     ("words", "found the text words"), ("12", "found 12"), ("a: 1\n---\nb: 2", "line 2: found a second document"),
     ("---\n---\na: 1", "line 2: found a second document"), ("a: 1\n\nb\0: 2", "line 3: .*is the file UTF-16"),
     ("a: 1\n# \x1b[31m", "line 2: found the control character"), ("a: \ufeffb", "control character")],
)  # fmt: skip
def test_a_file_is_one_mapping_of_printable_text(text, complaint):
    with pytest.raises(InputError, match=complaint):
        parsed_yaml(text, "file")


def test_many_keys_take_linear_time():
    """The pairwise search for keys given twice took 30 s for 30,000 keys, against 2 s for the rest."""
    text = "\n".join(f"key{k}: {k}" for k in range(30_000))
    start = time.process_time()
    assert len(parsed_yaml(text, "file")) == 30_000
    assert time.process_time() - start < 15


def test_file_is_ordinary_bounded_and_utf_8(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x")
    assert load_yaml(path) == {"name": "x"}
    path.write_bytes("name: x".encode("utf-16"))
    with pytest.raises(RecipeError, match=r"r.yaml: is not a UTF-8 text file \(it is UTF-16\)"):
        load_yaml(path, RecipeError)
    path.write_bytes(b"a" * (SIZE_LIMIT + 1))
    with pytest.raises(RecipeError, match=f"expected at most {SIZE_LIMIT}"):
        load_yaml(path, RecipeError)
    os.mkfifo(tmp_path / "pipe")
    for strange in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises(RecipeError, match="expected an ordinary file"):
            load_yaml(strange, RecipeError)
