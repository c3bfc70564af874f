"""Rows that wait on disk come back as they were, whatever memory is given back in between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tbgrid.util import disk_arrays
from tbgrid.util.disk_arrays import release, released, spool


def test_rows_come_back_after_their_memory_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_arrays, "_OFTEN", 2)
    rows = np.random.default_rng(0).integers(0, 256, (50, 3000), np.uint8)
    with spool(np.uint8, tmp_path) as spooled:
        for part in np.array_split(rows, 7):
            spooled.add(part)
        found = spooled.finished()
    assert not list(tmp_path.iterdir()), "the file has no name"
    given_back: list[int] = []

    def counted(array: np.ndarray) -> None:
        given_back.append(len(array))
        release(array)

    monkeypatch.setattr(disk_arrays, "release", counted)
    seen = {row: found[row].tobytes() for row in released(found, [3, 1, 4, 49, 0, 3])}
    assert given_back == [50, 50, 50]
    assert seen == {row: rows[row].tobytes() for row in (3, 1, 4, 49, 0)}
    release(found[5:])
    np.testing.assert_array_equal(found, rows)


def test_arrays_in_memory_stay() -> None:
    rows = np.arange(12).reshape(4, 3)
    release(rows)
    assert [rows[row].sum() for row in released(rows, range(4))] == [3, 12, 21, 30]
