import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nmcdist.bundle import load_bundle
from nmcdist.cli import main
from nmcdist.errors import NmcdistError, StoreError
from nmcdist.inputs import ordinary_file
from nmcdist.wording import in_utf8, one_line, shortened, shown

LONG = "x" * 1_000_000


class Rude:
    def __repr__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((10.0, 10.0, 20.0), "(10.0, 10.0, 20.0)"),
        ([1] * 5001, "a list"),
        ({"a": LONG}, "a dict"),
        ("a b", "'a b'"),
        ("a\nb", "'a\\nb'"),
        (np.zeros((3, 4)), "an array of shape (3, 4)"),
        (xr.DataArray(np.zeros((3, 4))), "an array of shape (3, 4)"),
        (None, "None"),
        (10**5000, "a value of type int"),
    ],
    ids=range(9),
)
def test_a_value_is_shown_whole_if_it_is_short_and_else_by_its_kind(value, text):
    assert shown(value) == text


def test_whatever_is_shown_is_one_short_line():
    nested = []
    for _ in range(100_000):
        nested = [nested]
    for value in (LONG, LONG.encode(), [LONG], {LONG: LONG}, {1, 2}, nested, Rude(), 10**4000, range(9), LONG + "\n"):
        assert len(shown(value)) < 100
        assert "\n" not in shown(value)
    assert len(one_line(ValueError("a\n" * 10_000))) < 400


class TestMessages:
    def test_a_message_of_a_readable_length_stays_as_it_is(self):
        path = "/a" * 199
        assert (
            str(StoreError(f"{path}: there is no such store\nand more")) == f"{path}: there is no such store\nand more"
        )

    def test_a_long_word_keeps_its_beginning_and_its_end_and_the_message_the_rest(self):
        found = str(NmcdistError(f"/first/{LONG}/last.yaml: no such file"))
        assert found.startswith("/first/xxx")
        assert found.endswith("xxx/last.yaml: no such file")
        assert len(found) < 500

    def test_many_words_are_shortened_too_and_lines_stay_lines(self):
        text = "\n".join(["one two " * 10_000] * 3)
        assert [len(line) for line in shortened(text).split("\n")] == [2000] * 3

    def test_files_and_bundles_of_impossible_names(self):
        for read in (ordinary_file, load_bundle):
            with pytest.raises(NmcdistError) as caught:
                read(LONG)
            assert len(str(caught.value)) < 600

    @pytest.mark.parametrize(
        "arguments",
        [
            ["run", LONG], ["plan", "--cluster", LONG, LONG], ["verify", LONG], ["status", LONG], ["finalise", LONG],
            ["describe", LONG], ["report", LONG], ["export", LONG, "--item", LONG], [LONG], ["run", f"--{LONG}"],
            ["plan", "x", "--workers", LONG], ["catalog", "list", "--catalog", LONG], ["catalog", "show", LONG],
            ["bundle", "show", LONG], ["calibrate", "grains", LONG, "--out", LONG], ["retry-failed", LONG],
            ["calibrate", "phantom", LONG, "--out", "x"],
        ],
        ids=lambda words: " ".join(word[:12] for word in words),
    )  # fmt: skip
    def test_no_argument_of_the_command_line_is_echoed_whole(self, arguments, monkeypatch, capsys, tmp_path):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", ["nmcdist", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 2
        assert len(capsys.readouterr().err) < 1000


def test_paths_become_text_that_files_can_hold():
    assert in_utf8("b/ö.tif") == "b/ö.tif"
    assert in_utf8(Path(os.fsdecode(b"b/\xf6.tif"))) == "b/\ufffd.tif"
