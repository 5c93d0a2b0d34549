"""Centres from a file: each form, both units, what falls back to the centroid, and what is refused in one line."""

import json

import numpy as np
import pytest

from nmcdist.calibration.grains.centres import read_centres
from nmcdist.calibration.grains.sections import Section
from nmcdist.errors import InputError


def sections(*names):
    return [Section(name, np.ones((20, 30), np.int32), 50.0, (9.5, 14.5)) for name in names]


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.csv", "name,y_px,x_px\na.ang,4,7.5\n"),
        ("c.csv", "\ufeffname, y_nm, x_nm\r\n a.ang , 200, 375\r\n\r\n"),
        ("c.json", '{"unit": "nm", "centres": {"a.ang": [200, 375]}}'),
        ("c.yaml", "unit: px\ncentres:\n  a.ang: [4, 7.5]\n"),
    ],
)
def test_every_form_gives_rows_and_columns_of_the_pixels(tmp_path, name, text):
    ((a, b), (c,)), fallen = read_centres(written(tmp_path, name, text)).placed(
        sections("a.ang", "b.ang"), sections("c")
    )
    assert a.centre_px == (4.0, 7.5)
    assert a.origin_nm == (-200.0, -375.0)
    assert b.centre_px == c.centre_px == (9.5, 14.5)
    assert fallen == ["b.ang", "c"]


def test_held_out_sections_may_be_named_too(tmp_path):
    path = written(tmp_path, "c.csv", "name,y_px,x_px\nc,1,2\n")
    assert read_centres(path).placed(sections("a"), sections("c"))[0][1][0].centre_px == (1.0, 2.0)


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("c.csv", "name,y,x\na.ang,1,2\n", "found 'name,y,x', expected name,y_px,x_px or name,y_nm,x_nm"),
        ("c.csv", "", "found 'nothing', expected name,y_px"),
        ("c.csv", "name,y_px,x_px\n", "found no centre"),
        ("c.csv", "name,y_px,x_px\na.ang,1\n", r"'a.ang' has the centre \[1.0\], expected two finite numbers"),
        ("c.csv", "name,y_px,x_px\na.ang,1,nan\n", "expected two finite numbers"),
        ("c.csv", "name,y_px,x_px\na.ang,1,2\na.ang,1,2\n", "'a.ang' is given twice"),
        ("c.csv", "name,y_px,x_px\na.amg,1,2\n", "names 'a.amg', expected the file of a section; did you mean 'a.ang'"),
        ("c.csv", "name,y_px,x_px\na.ang,20,2\n", "row 20, column 2, expected a place in its 20 x 30 pixels"),
        ("c.csv", "name,y_nm,x_nm\na.ang,2,-40\n", "column -0.8, expected a place"),
        ("c.json", "{", "not valid JSON"),
        ("c.json", "[1]", "found list, expected a JSON object"),
        ("c.json", json.dumps({"a.ang": [1, 2]}), "found the fields a.ang, expected unit"),
        ("c.yaml", "unit: um\ncentres: {a.ang: [1, 2]}", "unit: found 'um', expected px or nm"),
        ("c.yaml", "unit: px\ncentres: []", "centres: found list, expected names"),
        ("c.yaml", "unit: px\ncentres: {a.ang: [true, 2]}", r"\[True, 2\], expected two finite numbers"),
        ("c.yaml", "unit: px\ncentres: {a.ang: 5}", "expected two finite numbers"),
        ("c.yaml", "a: b: c", "not valid YAML"),
        ("c.txt", "name,y_px,x_px\na.ang,1,2\n", "extension is '.txt', expected .csv, .json or .yaml"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path, name, text, fault):
    path = written(tmp_path, name, text)
    with pytest.raises(InputError, match=fault) as caught:
        read_centres(path).placed(sections("a.ang", "b.ang"))
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "c.csv").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        read_centres(tmp_path / "c.csv")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yaml", "unit: px\ncentres: {a: [010, 1]}\n"),
        ("c.yaml", "unit: px\ncentres: {a: [1_0, 1]}\n"),
        ("c.yaml", "unit: px\ncentres: {a: [12:30, 1]}\n"),
        ("c.yaml", "unit: px\ncentres: {a: ['7', 1]}\n"),
        ("c.yaml", "unit: px\ncentres: {a: [1, 2], a: [3, 4]}\n"),
        ("c.yaml", "unit: px\ncentres:\n  z: &a [x, x]\n  y: [*a, *a]\n"),
        ("c.json", '{"unit": "px", "centres": {"a": [1, 2], "a": [3, 4]}}'),
        ("c.json", '{"unit": "px", "centres": {"a": ["7", 2]}}'),
        ("c.csv", "name,y_px,x_px\na,1_0,2\n"),
        ("c.csv", "name,y_px,x_px\na,\u0663,2\n"),
        ("c.csv", "name,y_px,x_px\n,1,2\n"),
        ("c.csv", f"name,y_px,x_px\n{'a' * 200_000},1,2\n"),
    ],
)  # fmt: skip
def test_values_that_readers_take_differently_and_names_that_are_none_are_refused(tmp_path, name, text):
    with pytest.raises(InputError) as caught:
        read_centres(written(tmp_path, name, text))
    assert len(str(caught.value)) < 400
    assert len(str(caught.value).splitlines()) == 1
