"""What keeps work in stages: keys of what pieces are given, arrays that the next map fills, recorded results."""

from functools import partial

import numpy as np
import pytest

from nmcdist.calibration.shell.blocks import Digested, blocks
from nmcdist.calibration.shell.blur import Edges
from nmcdist.calibration.shell.keeper import Keeper, given, once, recorded, within
from nmcdist.calibration.stages import Stages

SHAPE = (130, 5, 4)


class Stopped(BaseException):
    """Plays a kill."""


def keeper(folder, in_memory=False, told=None):
    def progress(facts):
        if told is not None and facts["event"] == "stage":
            told[facts["name"]] = facts["pieces"] - facts["kept"]

    return Keeper(Stages(folder, progress=progress), (1.0, 1.0, 1.0), in_memory)


def write(array, by, core):
    z, y, x = np.meshgrid(*(np.arange(a, b) for a, b in zip(*core, strict=True)), indexing="ij")
    array[core.slices] = by * (100 * z + 10 * y + x)
    return float(z.max()), True


def counted(array, core):
    return np.unique(array[core.slices]), np.arange(3)


def filled(work, by=1):
    array = work.arrays("numbers", SHAPE, np.int32)
    return array, list(work(partial(write, array, by), blocks(SHAPE)))


def twos(number):
    return {"twos": np.full(number, 2)}


EXPECTED = np.add.outer(np.add.outer(100 * np.arange(130), 10 * np.arange(5)), np.arange(4))


@pytest.mark.parametrize("in_memory", [False, True])
def test_the_next_map_fills_an_array_and_its_results_come_back(tmp_path, in_memory):
    for _ in range(2):
        array, facts = filled(keeper(tmp_path, in_memory))
        assert np.array_equal(array[:], EXPECTED)
        assert np.array_equal(array[2], EXPECTED[2])
        assert list(map(list, facts)) == [[127.0, True], [129.0, True]]


def test_a_map_that_was_stopped_goes_on(tmp_path):
    work = keeper(tmp_path)
    array = work.arrays("numbers", SHAPE, np.int32)

    def spread(function, items):
        for number, item in enumerate(items):
            if number == 1:
                raise Stopped
            yield function(item)

    work.stages.spread = spread
    with pytest.raises(Stopped):
        work(partial(write, array, 1), blocks(SHAPE))
    told = {}
    array, _ = filled(keeper(tmp_path, told=told))
    assert told == {"numbers": 1}
    assert np.array_equal(array[:], EXPECTED)


def test_results_of_pieces_and_tables_are_kept(tmp_path):
    for made in (2, 0):
        told = {}
        work = keeper(tmp_path, told=told)
        array, _ = filled(work)
        found = list(recorded(work, "values")(partial(counted, array), blocks(SHAPE)))
        for (values, _), part in zip(found, (EXPECTED[:128], EXPECTED[128:]), strict=True):
            assert np.array_equal(values, np.unique(part))
        table = once(work, "table", twos, 3)
        assert table["twos"].tolist() == [2, 2, 2]
        assert told == {"numbers": made, "values": made, "table": made // 2}


def test_other_arguments_make_a_stage_again_and_those_that_read_it(tmp_path):
    for by, number in ((1, 2), (1, 0), (3, 2)):
        told = {}
        work = keeper(tmp_path, told=told)
        array, _ = filled(work, by)
        list(recorded(work, "values")(partial(counted, array), blocks(SHAPE)))
        assert told == {"numbers": number, "values": number}
        assert np.array_equal(array[:], by * EXPECTED)


def test_names_have_a_prefix_and_a_number(tmp_path):
    told = {}
    work = keeper(tmp_path, told=told)
    for _ in range(2):
        filled(within(work, work.arrays, "packed")[0])
    assert list(told) == ["packed-numbers", "packed-numbers-2"]
    assert within(map, np.zeros, "packed") == (map, np.zeros)


@pytest.mark.parametrize(
    "other",
    [
        (partial(write, 1), [2.0]), (partial(write, 2), [3.0]), (partial(write, by=1), [2.0]), (counted, [2.0]),
        (partial(write, 2), [2]), (partial(write, 2), (2.0,)), (partial(write, 2), [[2.0]]),
        (partial(write, 2), [None]),
        (partial(write, 2), [np.float32(2)]), (partial(write, 2), [np.array([2.0])]), (partial(write, 2), ["2.0"]),
        (partial(write, 2), [Edges(2.0, 0.5)]), (partial(write, 2), [Digested(None, "2")]), (partial(write, 2), []),
    ],
)  # fmt: skip
def test_keys_differ_where_what_is_given_differs(other):
    assert given(*other) != given(partial(write, 2), [2.0])
    assert given(*other) == given(*other)
    shapes = [np.zeros((2, 3)), np.zeros((3, 2)), np.zeros(6), np.zeros((2, 3), np.int64)]
    assert len({given(write, [array]) for array in shapes}) == 4


def test_what_has_no_key_is_refused():
    for value in (object(), lambda core: core, {1, 2}):
        with pytest.raises(TypeError, match="expected what a stage can be made of"):
            given(write, [value])


def test_an_array_is_filled_before_another_and_by_its_own_boxes(tmp_path):
    work = keeper(tmp_path)
    work.arrays("numbers", SHAPE, np.int32)
    with pytest.raises(RuntimeError, match=r"other: numbers.zarr is not filled yet"):
        work.arrays("other", SHAPE, np.int32)
    work = keeper(tmp_path)
    array = work.arrays("numbers", SHAPE, np.int32)
    first = blocks(SHAPE)[0]
    with pytest.raises(RuntimeError, match=r"numbers.zarr: a piece wrote the box"):
        work(partial(write_elsewhere, array, first), blocks(SHAPE))


def write_elsewhere(array, box, core):
    array[box.slices] = 0
