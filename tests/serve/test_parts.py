"""Parts of the service by themselves: the one thread that writes, and what a worker keeps."""

from __future__ import annotations

import io
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from tbgrid.errors import TbgridError, option
from tbgrid.serve import jobs, photos, worker_pool
from tbgrid.serve import store as store_module
from tbgrid.serve.errors import RequestError
from tbgrid.serve.idempotency import IdempotentRequest
from tbgrid.serve.image_files import save_image
from tbgrid.serve.jobs import JobOutcome
from tbgrid.serve.limits import Limits, format_bytes
from tbgrid.serve.options import Options, export_options, models_by_name, name_of
from tbgrid.serve.paths import ServicePaths, redact_paths
from tbgrid.serve.photos import NewPhoto
from tbgrid.serve.store import FILE_NAME, ClosedError, Reader, Store, Transaction, open_store
from tbgrid.serve.worker import JobCancelledError, Worker
from tbgrid.serve.worker_pool import WorkerHandle, WorkerPool
from tbgrid.util.cache import Cache
from tests.support.serve_process import picture


def test_writes_that_fail_leave_the_others(tmp_path: Path) -> None:
    """Also those that are committed together with them."""
    with open_store(tmp_path) as store:
        outcomes: dict[str, str] = {}
        gate = threading.Event()

        def add(transaction: Transaction, name: str) -> str:
            transaction.execute("INSERT INTO applications (name, created) VALUES (?, 0)", name)
            if name.startswith("bad"):
                raise ValueError(name)
            return name

        def ask(name: str) -> None:
            try:
                outcomes[name] = store.write(lambda transaction: add(transaction, name))
            except ValueError as error:
                outcomes[name] = f"refused {error}"

        threads = [threading.Thread(target=store.write, args=(lambda _: gate.wait(30),))]
        names = [f"{kind}{number}" for number in range(20) for kind in ("good", "bad")]
        threads += [threading.Thread(target=ask, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        gate.set()
        for thread in threads:
            thread.join()
        assert outcomes == {
            name: name if name.startswith("good") else f"refused {name}" for name in names
        }
        rows = store.all("SELECT name FROM applications")
        assert {row["name"] for row in rows} == {n for n in names if n.startswith("good")}


def test_what_comes_after_a_write_sees_it(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        seen = []

        def operation(transaction: Transaction) -> None:
            transaction.execute("INSERT INTO applications (name, created) VALUES ('a', 0)")
            transaction.on_commit(lambda: seen.append(len(store.all("SELECT * FROM applications"))))

        store.write(operation)
        assert seen == [1]
        with pytest.raises(sqlite3.IntegrityError):
            store.write(operation)
        assert seen == [1]


@pytest.mark.parametrize("error", [OSError("gone"), sqlite3.OperationalError("disk I/O error")])
def test_what_fails_after_a_write_stops_no_other(tmp_path: Path, error: Exception) -> None:
    def failing() -> None:
        raise error

    with open_store(tmp_path) as store:

        def write() -> None:
            store.write(lambda transaction: transaction.on_commit(failing))
            store.write(lambda transaction: transaction.execute("SELECT 1"))

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()


def test_answers_are_given_again_for_a_week(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("tbgrid.serve.idempotency.time.time", lambda: now)
    with open_store(tmp_path) as store:

        def keep(header: str) -> None:
            once = IdempotentRequest.from_header(header, "", "route", {})
            store.write(lambda transaction: once.store(transaction, 201, header))

        def given(header: str) -> tuple[int, Any] | None:
            return IdempotentRequest.from_header(header, "", "route", {}).stored_response(store)

        keep("first")
        now += 6 * 86_400
        keep("second")
        assert given("first") == (201, "first")
        now += 2 * 86_400
        keep("third")
        assert given("first") is None
        assert given("second") == (201, "second")


def test_reading_threads_that_end_leave_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_now: list[Path] = []

    def connect(path: Path) -> sqlite3.Connection:
        opened_now.append(path)
        return connected(path)

    with open_store(tmp_path) as store:
        connected = store_module.connect
        monkeypatch.setattr(store_module, "connect", connect)
        for _ in range(20):
            thread = threading.Thread(target=store.all, args=("SELECT 1",))
            thread.start()
            thread.join()
        assert len(opened_now) == 1


def test_a_store_that_is_closed_takes_no_more(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.write(lambda transaction: transaction.execute("SELECT 1"))
    with pytest.raises(ClosedError, match="the service is shutting down"):
        store.write(lambda transaction: transaction.execute("SELECT 1"))


def test_numbers_that_json_lacks_are_null(tmp_path: Path) -> None:
    assert redact_paths({"a": [float("nan"), 1.5, 2]}, tmp_path) == {"a": [None, 1.5, 2]}


def test_a_damaged_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1000)
    with (
        pytest.raises(TbgridError, match="cannot use the service's database"),
        open_store(tmp_path),
    ):
        pass


def test_a_worker_keeps_its_models(tmp_path: Path) -> None:
    paths, models = ServicePaths(tmp_path), models_by_name(["pixels"])
    with open_store(paths.service), Cache(paths.cache) as cache:
        out = io.StringIO()
        worker = Worker(
            paths=paths,
            store=Reader(paths.service / FILE_NAME),
            cache=cache,
            runner="local",
            output=out,
        )

        def model(name: str, side: int | None = None) -> object:
            asked = Options(model=name, image_size=side)
            return worker.load_model(export_options(asked, paths, models), 10)

        first = model("pixels")
        assert model("pixels") is first
        second = model("pixels", 16)
        assert second is not first
        assert model("pixels") is first
        model("pixels", 24)
        assert next(iter(worker.models.values())) is first  # the longest unused has gone
        assert len(worker.models) == 2
        worker._job = "a"
        worker.cancelled.add("a")
        with pytest.raises(JobCancelledError):
            worker.progress("embed", 1, 2)


def test_models_on_the_disk_are_called_by_their_last_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets" / "mine").mkdir(parents=True)
    url = "https://example.org/net/1"
    given = ["pixels", "keras:ResNet50V2", url, "/srv/nets/cats/", "nets/mine", "nets/none"]
    named = models_by_name(given)
    assert list(named) == ["pixels", "keras:ResNet50V2", url, "cats", "mine", "nets/none"]
    assert list(named.values()) == given
    asked = Options(model="cats")
    assert export_options(asked, ServicePaths(tmp_path), named).model == "/srv/nets/cats/"
    with pytest.raises(TbgridError, match="model /srv/nets/cats: expected one of pixels"):
        export_options(Options(model="/srv/nets/cats"), ServicePaths(tmp_path), named)
    with pytest.raises(TbgridError, match="two models are called pixels"):
        models_by_name(["pixels", "/srv/pixels"])


def test_hints_name_options_as_json_does() -> None:
    hint = f"use {option('groups.min_cluster')} 5, {option('refine.seconds')} 2 or"
    error = TbgridError("too few", f"{hint} {option('grid.shape')} 3x3 - well")
    assert error.spelled(name_of) == (
        "too few: use min_cluster 5, refine_seconds 2 or grid 3x3 - well"
    )


def test_the_end_of_a_job_is_written_when_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full for a while loses no end."""
    lines: list[str] = []
    finish, failures = jobs.finish, [OSError("full"), sqlite3.OperationalError("disk is full")]

    def failing(*arguments: Any) -> None:
        if failures:
            raise failures.pop()
        finish(*arguments)

    monkeypatch.setattr(jobs, "finish", failing)
    monkeypatch.setattr(worker_pool, "_RETRY_DELAY", 0.01)
    paths = ServicePaths(tmp_path)
    with open_store(paths.service) as store:
        store.write(
            lambda transaction: [
                transaction.execute("INSERT INTO applications (name, created) VALUES ('a', 0)"),
                transaction.execute(
                    "INSERT INTO visualizations (id, application, name, options, upto, status,"
                    " created) VALUES ('x', 'a', 'x', '{}', 0, 'running', 0)"
                ),
            ]
        )
        pool = WorkerPool(
            store=store, paths=paths, count=0, runner="local", models={}, notify=lines.append
        )
        pool.record_outcome(WorkerHandle(0), "x", JobOutcome(details="well"))
        row = store.one("SELECT status, details FROM visualizations")
        assert row is not None
        assert tuple(row) == ("failed", "well")
    assert len(lines) == 2


def test_the_last_byte_of_the_disk_that_may_be_used_can_be(tmp_path: Path) -> None:
    paths = ServicePaths(tmp_path)
    pictures = [picture(number, side=10) for number in range(4)]

    def add(store: Store, data: bytes, limit: int) -> int:
        file = save_image([data], paths.incoming, 1000, "it")
        new, request = [NewPhoto(file)], IdempotentRequest()
        return photos.add(store, paths, Limits(disk=limit), "default", new, request)[0]

    with open_store(paths.service) as store:
        photos.prepare(store, paths)
        limit = sum(map(len, pictures[:3]))
        for data in pictures[:3]:
            assert add(store, data, limit) == 201
        with pytest.raises(RequestError, match=f"the limit of {format_bytes(limit)}"):
            add(store, pictures[3], limit)
        assert len(list(paths.inputs.iterdir())) == 3
        assert not list(paths.incoming.iterdir())


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1, "1 bytes"),
        (999, "999 bytes"),
        (1500, "1.5 kB"),
        (64_000_000, "64 MB"),
        (5 * 10**10, "50 GB"),
    ],
)
def test_bytes_are_shown_in_a_unit(count: int, text: str) -> None:
    assert format_bytes(count) == text
