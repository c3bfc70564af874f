"""Parts of the service by themselves: the one thread that writes, and what a worker keeps."""

from __future__ import annotations

import io
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from tbgrid.errors import TbgridError
from tbgrid.serve import idempotency, jobs, worker_pool
from tbgrid.serve import store as store_module
from tbgrid.serve.idempotency import Once
from tbgrid.serve.jobs import Ending
from tbgrid.serve.options import Options, as_asked, export_options, models_by_name
from tbgrid.serve.paths import Places, public
from tbgrid.serve.store import NAME, ClosedError, Reader, Writing, opened
from tbgrid.serve.worker import Cancelled, Worker
from tbgrid.serve.worker_pool import Slot, Workers
from tbgrid.util.cache import Cache


def test_writes_that_fail_leave_the_others(tmp_path: Path) -> None:
    """Also those that are committed together with them."""
    with opened(tmp_path) as store:
        outcomes: dict[str, str] = {}
        gate = threading.Event()

        def add(writing: Writing, name: str) -> str:
            writing.execute("INSERT INTO applications (name, created) VALUES (?, 0)", name)
            if name.startswith("bad"):
                raise ValueError(name)
            return name

        def ask(name: str) -> None:
            try:
                outcomes[name] = store.write(lambda writing: add(writing, name))
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
    with opened(tmp_path) as store:
        seen = []

        def operation(writing: Writing) -> None:
            writing.execute("INSERT INTO applications (name, created) VALUES ('a', 0)")
            writing.after.append(lambda: seen.append(len(store.all("SELECT * FROM applications"))))

        store.write(operation)
        assert seen == [1]
        with pytest.raises(sqlite3.IntegrityError):
            store.write(operation)
        assert seen == [1]


@pytest.mark.parametrize("error", [OSError("gone"), sqlite3.OperationalError("disk I/O error")])
def test_what_fails_after_a_write_stops_no_other(tmp_path: Path, error: Exception) -> None:
    def failing() -> None:
        raise error

    with opened(tmp_path) as store:

        def write() -> None:
            store.write(lambda writing: writing.after.append(failing))
            store.write(lambda writing: writing.execute("SELECT 1"))

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()


def test_answers_are_given_again_for_a_week(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(idempotency.time, "time", lambda: now)
    with opened(tmp_path) as store:

        def keep(header: str) -> None:
            once = Once.of(header, "", "route", {})
            store.write(lambda writing: once.keep(writing, 201, header))

        def given(header: str) -> tuple[int, Any] | None:
            return Once.of(header, "", "route", {}).given(store)

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

    with opened(tmp_path) as store:
        connected = store_module.connect
        monkeypatch.setattr(store_module, "connect", connect)
        for _ in range(20):
            thread = threading.Thread(target=store.all, args=("SELECT 1",))
            thread.start()
            thread.join()
        assert len(opened_now) == 1


def test_a_store_that_is_closed_takes_no_more(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.write(lambda writing: writing.execute("SELECT 1"))
    with pytest.raises(ClosedError, match="the service ends"):
        store.write(lambda writing: writing.execute("SELECT 1"))


def test_numbers_that_json_lacks_are_null(tmp_path: Path) -> None:
    assert public({"a": [float("nan"), 1.5, 2]}, tmp_path) == {"a": [None, 1.5, 2]}


def test_a_damaged_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no database" * 1000)
    with pytest.raises(TbgridError, match="database cannot be used"), opened(tmp_path):
        pass


def test_a_worker_keeps_its_models(tmp_path: Path) -> None:
    places, models = Places(tmp_path), models_by_name(["pixels", "builtin"])
    with opened(places.service), Cache(places.cache) as cache:
        out = io.StringIO()
        worker = Worker(places, Reader(places.service / NAME), cache, "local", out)

        def model(name: str, side: int | None = None) -> object:
            asked = Options(model=name, image_size=side)
            return worker._model(export_options(asked, places, models), 10)

        first = model("pixels")
        assert model("pixels") is first
        second = model("pixels", 16)
        assert second is not first
        assert model("pixels") is first
        model("builtin")
        assert next(iter(worker.models.values())) is first  # the longest unused has gone
        assert len(worker.models) == 2
        worker.job = "a"
        worker.cancelled.add("a")
        with pytest.raises(Cancelled):
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
    assert export_options(asked, Places(tmp_path), named).model == "/srv/nets/cats/"
    with pytest.raises(TbgridError, match="model /srv/nets/cats: expected one of pixels"):
        export_options(Options(model="/srv/nets/cats"), Places(tmp_path), named)
    with pytest.raises(TbgridError, match="two models are called pixels"):
        models_by_name(["pixels", "/srv/pixels"])


def test_hints_name_options_as_json_does() -> None:
    line = "use --min-cluster 5 or --grid 3x3 - well"
    assert as_asked(line) == "use min_cluster 5 or grid 3x3 - well"


def test_the_end_of_a_job_is_written_when_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full for a while loses no end."""
    told: list[str] = []
    finish, failures = jobs.finish, [OSError("full"), sqlite3.OperationalError("disk is full")]

    def failing(*arguments: Any) -> None:
        if failures:
            raise failures.pop()
        finish(*arguments)

    monkeypatch.setattr(jobs, "finish", failing)
    monkeypatch.setattr(worker_pool, "_PAUSE", 0.01)
    places = Places(tmp_path)
    with opened(places.service) as store:
        store.write(
            lambda writing: [
                writing.execute("INSERT INTO applications (name, created) VALUES ('a', 0)"),
                writing.execute(
                    "INSERT INTO visualizations (id, application, name, options, upto, status,"
                    " created) VALUES ('x', 'a', 'x', '{}', 0, 'running', 0)"
                ),
            ]
        )
        pool = Workers(store, places, 0, "local", {}, told.append)
        pool._settle(Slot(0), "x", Ending(details="well"))
        row = store.one("SELECT status, details FROM visualizations")
        assert row is not None
        assert tuple(row) == ("failed", "well")
    assert len(told) == 2
