"""The cache keeps what it is given, by content, and never stands in the way."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from tbgrid.errors import TbgridError
from tbgrid.util.cache import Cache, default_directory, digest_of, key_of


def settled(path: Path, data: bytes, age: float = 60) -> Path:
    """Write a file that looks as if it had been there for `age` seconds."""
    path.write_bytes(data)
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def test_values_outlive_the_process(tmp_path: Path) -> None:
    with Cache(tmp_path / "new" / "cache") as cache:
        cache.put("vector", [(b"a", b"1"), (b"b", b"22")])
    with Cache(tmp_path / "new" / "cache") as cache:
        assert cache.get([b"a", b"b", b"c"]) == {b"a": b"1", b"b": b"22"}
        assert [(u.kind, u.entries, u.size) for u in cache.usage()] == [("vector", 2, 3)]
        cache.clear()
        assert cache.get([b"a"]) == {}


def test_many_digests_are_those_of_their_files(tmp_path: Path) -> None:
    paths = [settled(tmp_path / f"{number}", f"{number}".encode()) for number in range(70)]
    for gone in (0, 20, 69):
        paths[gone].unlink()
    expected = [digest_of(path) if path.exists() else b"" for path in paths]
    with Cache(tmp_path / "cache") as cache:
        for workers in (1, 3, None):
            assert cache.digests(paths, workers) == expected
    with Cache(tmp_path / "other") as cache:
        assert cache.digests(paths[::-1], 3) == expected[::-1]


def test_thousands_of_keys_at_once(tmp_path: Path) -> None:
    items = [(key_of(number), str(number).encode()) for number in range(3000)]
    with Cache(tmp_path) as cache:
        cache.put("vector", items)
        assert cache.get([key for key, _ in items]) == dict(items)


def test_keys_differ_whenever_a_part_does() -> None:
    keys = [key_of("ab", "c"), key_of("a", "bc"), key_of("abc"), key_of(b"abc"), key_of(1, 2.0)]
    assert len(set(keys)) == len(keys)


def test_a_file_counts_by_its_bytes(tmp_path: Path) -> None:
    with Cache(tmp_path / "cache") as cache:
        one = cache.digests([settled(tmp_path / "one", b"photo")])[0]
        assert cache.digests([settled(tmp_path / "two", b"photo")])[0] == one
        assert cache.digests([settled(tmp_path / "one", b"other")])[0] != one
        assert cache.digests([settled(tmp_path / "one", b"third", age=50)])[0] != one


def test_a_file_is_not_read_again_while_size_and_time_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = settled(tmp_path / "old", b"photo"), settled(tmp_path / "new", b"photo", age=0)
    with Cache(tmp_path / "cache") as cache:
        expected = cache.digests([old])[0]
        cache.digests([new])[0]
        read: list[object] = []

        def digest(path: object) -> bytes:
            read.append(path)
            return b"again"

        monkeypatch.setattr("tbgrid.util.cache.digest_of", digest)
        assert cache.digests([old])[0] == expected
        assert cache.digests([new])[0] == b"again", "too young to be trusted by its time"
    assert read == [new]


def test_what_cannot_be_read_has_no_digest(tmp_path: Path) -> None:
    there = settled(tmp_path / "there", b"photo")
    paths = [tmp_path / "missing", there, tmp_path, Path("a\0b")]
    for directory in (tmp_path / "cache", tmp_path / "cache"):
        with Cache(directory) as cache:
            assert cache.digests(paths) == [b"", digest_of(there), b"", b""]


def test_a_directory_counts_by_names_and_bytes(tmp_path: Path) -> None:
    for name, file in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("same")
    digests = [digest_of(tmp_path / name) for name in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_the_longest_unused_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Cache(tmp_path, limit=1000) as cache:
        for number in range(12):
            monkeypatch.setattr(time, "time", lambda number=number: 1000.0 + number)
            cache.put("vector", [(bytes([number]), bytes(100))])
        monkeypatch.setattr(time, "time", lambda: 9000.0)
        cache.get([b"\0"])
    with Cache(tmp_path, limit=1000) as cache:
        left = cache.get([bytes([number]) for number in range(12)])
    assert set(left) == {bytes([number]) for number in (0, 5, 6, 7, 8, 9, 10, 11)}


def test_no_directory_means_no_cache(tmp_path: Path) -> None:
    with Cache(None) as cache:
        cache.put("vector", [(b"a", b"1")])
        assert cache.get([b"a"]) == {}
        assert cache.usage() == []
        assert cache.digests([settled(tmp_path / "f", b"x")])[0] == digest_of(tmp_path / "f")


def test_a_cache_that_cannot_be_written_is_told_and_not_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Cache(tmp_path / "file" / "cache") as cache:
        cache.put("vector", [(b"a", b"1")])
        assert cache.get([b"a"]) == {}
        assert cache.failure
        assert str(tmp_path) not in cache.failure, "it goes into the run"


def test_a_damaged_cache_is_said_with_the_way_out(tmp_path: Path) -> None:
    Cache(tmp_path).close()
    (path,) = tmp_path.glob("*.sqlite")
    for other in tmp_path.glob("*.sqlite-*"):
        other.unlink()
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(TbgridError, match="do without the cache"):
        Cache(tmp_path)


def _writer(directory: Path, number: int) -> None:
    with Cache(directory) as cache:
        for step in range(20):
            cache.put("vector", [(key_of(number, step), bytes(1000))])


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_writer, args=(tmp_path, number)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    with Cache(tmp_path) as cache:
        assert len(cache.get([key_of(n, s) for n in range(3) for s in range(20)])) == 60


def test_the_default_is_the_users_cache_directory() -> None:
    assert default_directory().name == "tbgrid"
