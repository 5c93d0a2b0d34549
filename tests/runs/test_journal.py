"""The journal: receipts are exact, damaged ones count for nothing, and one driver at a time."""

import errno
import fcntl
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from nmcdist.datasets.files import file_record
from nmcdist.errors import StoreError
from nmcdist.runs.journal import Journal, Receipt, is_done, packed, unpacked
from nmcdist.runs.locks import locked

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


def test_a_second_driver_is_told_who_has_the_lock(tmp_path):
    complaint = rf"process {os.getpid()} on {socket.gethostname()}\) is working"
    with locked(tmp_path / "run"), pytest.raises(StoreError, match=complaint), locked(tmp_path / "run"):
        pass
    with locked(tmp_path / "run"):
        pass


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def unsupported(handle, kind):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(StoreError, match=rf"{tmp_path}/lock: this file system has no locks"), locked(tmp_path):
        pass


def test_one_who_is_refused_does_not_erase_who_has_the_lock(tmp_path):
    for _ in range(2):
        with locked(tmp_path):
            for _ in range(2):
                with pytest.raises(StoreError, match=f"process {os.getpid()} on "), locked(tmp_path):
                    pass


_HOLD = """
import sys, time
from pathlib import Path
from nmcdist.runs.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_driver_is_free(tmp_path):
    command = [sys.executable, "-c", _HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=f"process {child.pid}"), locked(tmp_path / "run"):
            pass
        child.kill()
    with locked(tmp_path / "run"):
        pass
