"""Stages: pieces are kept on a resume if they are what was written, and made again if not."""

import json
import shutil

import numpy as np
import pytest
import zarr

from nmcdist.calibration.boxes import tiled, widened
from nmcdist.calibration.stages import Stages
from nmcdist.errors import ImageError, StoreError

SHAPE, EDGES = (5, 7, 4), (2, 3, 4)


class Work:
    """Counts the boxes that it makes; stops after some."""

    def __init__(self, most=99):
        self.boxes, self.most = [], most

    def __call__(self, box):
        if len(self.boxes) == self.most:
            raise KeyboardInterrupt
        self.boxes.append(box)
        z, y, x = np.meshgrid(*(np.arange(part.start, part.stop) for part in box), indexing="ij")
        return (100 * z + 10 * y + x).astype(np.uint16), int(z.size)


def made(folder, work, after="a"):
    return Stages(folder).boxes("numbers", work, SHAPE, EDGES, "uint16", (20.0,) * 3, after)


def content(stage):
    return np.asarray(zarr.open_array(stage.path, mode="r")[:])


EXPECTED = np.add.outer(np.add.outer(100 * np.arange(5), 10 * np.arange(7)), np.arange(4))


def test_boxes_tile_an_image_once():
    seen = np.zeros(SHAPE, int)
    for box in tiled(SHAPE, EDGES):
        seen[box] += 1
    assert (seen == 1).all()


def test_a_widened_box_holds_the_box():
    image = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    for box in tiled(SHAPE, EDGES):
        wide, inner = widened(box, SHAPE, (1, 2, 3))
        assert (image[wide][inner] == image[box]).all()
        assert all(w.start == max(0, b.start - r) for w, b, r in zip(wide, box, (1, 2, 3), strict=True))


def test_a_stage_is_an_image_with_its_voxel_size_and_facts(tmp_path):
    stage = made(tmp_path, Work())
    assert (content(stage) == EXPECTED).all()
    assert zarr.open_array(stage.path).attrs["voxel_size_nm"] == [20.0] * 3
    assert sum(stage.facts) == EXPECTED.size


def test_an_interrupted_stage_goes_on_with_what_is_missing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, Work(most=4))
    rest = Work()
    assert (content(made(tmp_path, rest)) == EXPECTED).all()
    assert len(rest.boxes) == len(tiled(SHAPE, EDGES)) - 4


def test_a_line_that_a_crash_cut_off_is_ignored(tmp_path):
    made(tmp_path, Work())
    journal = tmp_path / "numbers.jsonl"
    journal.write_text(journal.read_text()[:-20])
    again = Work()
    assert (content(made(tmp_path, again)) == EXPECTED).all()
    assert len(again.boxes) == 1


def test_a_damaged_piece_is_made_again(tmp_path):
    stage = made(tmp_path, Work())
    zarr.open_array(stage.path, mode="r+")[0, 0, 0] = 7
    (stage.path / "c" / "2" / "2" / "0").write_bytes(b"no chunk")
    again = Work()
    assert (content(made(tmp_path, again)) == EXPECTED).all()
    assert len(again.boxes) == 2


@pytest.mark.parametrize("lost", ["numbers.jsonl", "numbers.zarr/zarr.json"])
def test_what_was_removed_is_made_again(tmp_path, lost):
    made(tmp_path, Work())
    (tmp_path / lost).unlink()
    assert (content(made(tmp_path, Work())) == EXPECTED).all()


@pytest.mark.parametrize("text", ["junk", "{}", "[]", '{"zarr_format": 3, "node_type": "group", "attributes": {}}'])
def test_damaged_metadata_makes_the_stage_again(tmp_path, text):
    stage = made(tmp_path, Work())
    (stage.path / "zarr.json").write_text(text)
    assert (content(made(tmp_path, Work())) == EXPECTED).all()


@pytest.mark.parametrize("line", ['{"piece": "x"}', '{"piece": null}', '{"piece": [1]}', '{"piece": -1}', "[]", "nan"])
def test_a_strange_receipt_counts_as_none(tmp_path, line):
    made(tmp_path, Work())
    journal = tmp_path / "numbers.jsonl"
    first, second, *rest = journal.read_text().splitlines()
    strange = line.replace("}", ', "sha256": "0", "facts": null}') if line.startswith("{") else line
    journal.write_text("\n".join([first, strange, second, *rest]) + "\n")
    assert (content(made(tmp_path, Work())) == EXPECTED).all()


def test_edited_facts_make_the_piece_again(tmp_path):
    made(tmp_path, Work())
    journal = tmp_path / "numbers.jsonl"
    journal.write_text(journal.read_text().replace('"facts": 24', '"facts": 25', 1))
    again = Work()
    assert sum(made(tmp_path, again).facts) == EXPECTED.size
    assert len(again.boxes) == 1


@pytest.mark.parametrize("name", ["numbers.zarr/c/0/0", "numbers.zarr", "numbers.jsonl", "lock"])
def test_links_are_refused_before_anything_is_written(tmp_path, name):
    folder, elsewhere = tmp_path / "stages", tmp_path / "elsewhere"
    made(folder, Work())
    (folder / "lock").touch()
    elsewhere.mkdir()
    path = folder / name
    path.rename(tmp_path / "moved")
    path.symlink_to(elsewhere)
    with pytest.raises(StoreError, match=f"{path}: is a link, expected an ordinary file or folder"):
        Stages(folder).locked().__enter__()
    assert list(elsewhere.iterdir()) == []


def test_other_settings_make_the_stage_again(tmp_path):
    made(tmp_path, Work())
    again = Work()
    stage = made(tmp_path, again, after="b")
    assert len(again.boxes) == len(tiled(SHAPE, EDGES))
    assert stage.key != made(tmp_path / "other", Work()).key


def test_arrays_are_kept_by_their_digest(tmp_path):
    calls = []

    def count(item):
        calls.append(item)
        return {"n": np.arange(item), "name": "two"}

    stages = Stages(tmp_path)
    first = stages.arrays("counts", count, [2, 3], {"lag": 1.5})
    (tmp_path / "counts" / "00001.npz").write_bytes(b"")
    again = stages.arrays("counts", count, [2, 3], {"lag": 1.5})
    assert calls == [2, 3, 3]
    assert [found["n"].tolist() for found in again.facts] == [found["n"].tolist() for found in first.facts]


def test_a_late_worker_does_not_make_a_removed_folder_again(tmp_path):
    """A piece that begins when the folder of a refused input is already removed, and is refused, too."""

    def refused(item):
        raise ImageError("refused")

    def late(function, items):
        shutil.rmtree(tmp_path / "stages")
        return [function(item) for item in items]

    with pytest.raises(ImageError, match="refused"):
        Stages(tmp_path / "stages", late).arrays("numbers", refused, [1], "a")
    assert not (tmp_path / "stages").exists()


def test_a_recording_map_yields_the_tuples_of_the_function(tmp_path):
    spread = Stages(tmp_path).recording("pairs", "a")
    expected = [(np.arange(n), np.ones(n, np.int64)) for n in (1, 4)]
    for _ in range(2):
        found = list(spread(lambda n: (np.arange(n), np.ones(n, np.int64)), [1, 4]))
        assert [[part.tolist() for part in each] for each in found] == [[part.tolist() for part in e] for e in expected]


def test_facts_of_a_stage_say_what_was_kept(tmp_path):
    made(tmp_path, Work())
    told = []
    Stages(tmp_path, progress=told.append).boxes("numbers", Work(), SHAPE, EDGES, "uint16", (20.0,) * 3, "a")
    assert told == [{"event": "stage", "name": "numbers", "pieces": 9, "kept": 9}]
    first = json.loads((tmp_path / "numbers.jsonl").read_text().splitlines()[0])
    assert first["stage"] == "numbers"


def test_two_processes_do_not_work_on_one_folder(tmp_path):
    with Stages(tmp_path).locked(), pytest.raises(StoreError, match="another process works on it"):
        Stages(tmp_path).locked().__enter__()
