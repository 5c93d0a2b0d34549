"""Layouts: a task owns whole files, and nothing that can be data is a fill value."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmcdist.datasets.layout import boxes_of, descriptor_variable, files_in_box, volume_variable

edges = st.integers(2, 200)


@given(st.tuples(edges, edges, edges), st.integers(8, 64), st.integers(0, 100))
def test_shards_are_whole_chunks_no_longer_than_asked_for(shape, chunk, more):
    volume = volume_variable(3, shape, chunk, chunk + more, {})
    for c, s, n in zip(volume.chunks[1:], volume.file_shape[1:], shape, strict=True):
        assert s % c == 0
        assert s <= max(chunk + more, c)
        assert s < n + c  # no shard is longer than the axis with its last chunk filled up


@given(st.tuples(edges, edges, edges), st.integers(8, 64), st.integers(0, 100), st.integers(1, 3))
def test_blocks_of_whole_shards_own_every_file_exactly_once(shape, chunk, more, shards_a_block):
    volume = volume_variable(2, shape, chunk, chunk + more, {})
    block = tuple(min(n, s * shards_a_block) for n, s in zip(shape, volume.file_shape[1:], strict=True))
    boxes = boxes_of(shape, block)
    owned = [name for box in boxes for name in files_in_box(volume, 1, box)]
    assert sorted(owned) == sorted(volume.files(1))
    assert len(set(owned)) == len(owned)
    assert sum(math.prod(b - a for a, b in box) for box in boxes) == math.prod(shape)


def test_a_volume_that_fits_in_a_shard_is_one_file():
    assert list(volume_variable(2, (160, 160, 160), 64, 512, {}).files(1)) == ["volume/c/1/0/0/0"]


@pytest.mark.parametrize(
    ("dtype", "stored", "fill"),
    [("bool", "uint8", 255), ("int8", "int8", -128), ("uint16", "uint16", 65535), ("int64", "int64", -(2**63))],
)
def test_fill_values_of_integers_are_no_data(dtype, stored, fill):
    variable = descriptor_variable("flag", 3, ["axis"], [3], dtype, {})
    assert (variable.dtype, variable.fill_value) == (stored, fill)


def test_a_missing_number_is_nan_and_each_sample_has_its_own_chunk():
    variable = descriptor_variable("tau", 5, ["phase", "axis"], [4, 3], np.float64, {"units": "1"})
    assert math.isnan(variable.fill_value)
    assert variable.chunks == (1, 4, 3)
    assert list(variable.files(2)) == ["tau/c/2/0/0"]
