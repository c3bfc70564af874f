"""Rows that wait on disk come back as they were, whatever memory is given back in between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tbgrid.util import disk_arrays
from tbgrid.util.disk_arrays import drop_pages, iter_releasing, open_disk_array


def test_rows_come_back_after_their_memory_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_arrays, "_OFTEN", 2)
    rows = np.random.default_rng(0).integers(0, 256, (50, 3000), np.uint8)
    with open_disk_array(np.uint8, tmp_path) as spooled:
        for part in np.array_split(rows, 7):
            spooled.add(part)
        found = spooled.as_array()
    assert not list(tmp_path.iterdir()), "the file has no name"
    given_back: list[int] = []

    def counted(array: np.ndarray) -> None:
        given_back.append(len(array))
        drop_pages(array)

    monkeypatch.setattr(disk_arrays, "drop_pages", counted)
    seen = {row: found[row].tobytes() for row in iter_releasing(found, [3, 1, 4, 49, 0, 3])}
    assert given_back == [50, 50, 50]
    assert seen == {row: rows[row].tobytes() for row in (3, 1, 4, 49, 0)}
    drop_pages(found[5:])
    np.testing.assert_array_equal(found, rows)


def test_arrays_in_memory_stay() -> None:
    rows = np.arange(12).reshape(4, 3)
    drop_pages(rows)
    assert [rows[row].sum() for row in iter_releasing(rows, range(4))] == [3, 12, 21, 30]
