"""The journal: receipts are exact, and damaged ones count for nothing."""

import numpy as np
import pytest

from nmcdist.datasets.files import file_record
from nmcdist.execution.journal import Journal, Receipt, is_done, packed, unpacked

BOX = ((0, 8), (0, 8), (0, 8))


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "a.run")


@pytest.fixture
def receipt(tmp_path):
    (tmp_path / "chunk").write_bytes(b"data")
    return Receipt(task="item-0", fingerprint="f", box=BOX, files={"chunk": file_record(tmp_path / "chunk")})


def test_a_receipt_reads_back_as_it_was(journal, receipt):
    journal.write_receipt(receipt)
    assert journal.receipt("item-0") == receipt


def test_a_task_is_done_only_if_all_of_its_receipt_holds(journal, receipt, tmp_path):
    def done(fingerprint="f", box=BOX, files=("chunk",)):
        return is_done(journal, tmp_path, "item-0", fingerprint, box, files)

    assert not done()
    journal.write_receipt(receipt)
    assert done()
    assert not done(fingerprint="g")
    assert not done(box=((0, 8), (0, 8), (8, 16)))
    assert not done(files=("chunk", "more"))
    (tmp_path / "chunk").write_bytes(b"date")
    assert not done()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"task": "item-0"}'])
def test_a_damaged_receipt_is_none(journal, receipt, text):
    journal.write_receipt(receipt)
    (journal.folder / "receipts" / "item-0.json").write_text(text)
    assert journal.receipt("item-0") is None


def test_a_dropped_receipt_takes_the_failure_along(journal, receipt):
    journal.write_receipt(receipt)
    failure = journal.write_failure("item-0", "Traceback")
    journal.drop_receipt("item-0")
    assert journal.receipt("item-0") is None
    assert not failure.exists()


def test_arrays_survive_json_bit_for_bit():
    arrays = {
        "counts": np.array([[2**62, -1], [0, 7]], dtype=np.int64),
        "sums": np.array([0.1, 1e-300, np.pi, 1 / 3]),
        "none": np.zeros((0, 3), dtype=np.uint8),
    }
    text = Receipt(task="t", fingerprint="f", box=BOX, files={}, partials=packed(arrays)).model_dump_json()
    found = unpacked(Receipt.model_validate_json(text).partials)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert (found[name] == array).all()
