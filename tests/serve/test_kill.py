"""Servers and workers that end at any moment: what was accepted is there, and every job ends."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tbgrid.check.run import check
from tests.support.serve_process import ENDS_WITHIN, Served, picture, served

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="workers are found by /proc"
)
MOMENTS = 20
RETRIES = 200


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("kill") / "root") as server:
        server.add(30)
        server.ended(server.ask())
        yield server


def until(true: object, what: str) -> None:
    deadline = time.monotonic() + 60
    assert callable(true)
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def worker_of(server: Served) -> int:
    """Its only worker, once that is a program of its own: the server waits for so long, and would
    wait for ever for one that is stopped before."""

    def begun() -> bool:
        ids = server.worker_ids()
        if len(ids) != 1:
            return False
        with contextlib.suppress(OSError):
            return b"tbgrid.serve.worker" in Path(f"/proc/{ids[0]}/cmdline").read_bytes()
        return False

    until(begun, "no worker")
    return server.worker_ids()[0]


@contextlib.contextmanager
def stopped(process: int) -> Iterator[None]:
    """A process that does nothing meanwhile."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


def runs(server: Served) -> set[str]:
    return {path.name for path in (server.root / "runs" / "default").iterdir()}


def test_jobs_survive_a_restart(server: Served) -> None:
    with stopped(worker_of(server)):
        first, second = server.ask(seed=1), server.ask(seed=2)
        server.running(first)
        assert server.stop() == 0
    server.restart()
    for id in (first, second):
        output = server.ended(id)
        assert output["status"]["description"] == "done"
        assert output["data"]["embedded"] == 0
        assert check(server.root / output["data"]["run"]) == []
    assert not list((server.root / "service").glob("job-*.lock"))


def test_jobs_survive_a_killed_server_and_its_workers_end(server: Served) -> None:
    worker = worker_of(server)
    id = server.ask(seed=3)
    server.running(id)
    server.kill()
    until(lambda: not Path(f"/proc/{worker}").exists(), "the worker outlives its server")
    server.restart()
    assert server.ended(id)["status"]["description"] == "done"


def test_a_job_whose_worker_dies_is_tried_again_once(server: Served) -> None:
    worker = worker_of(server)
    with stopped(worker):
        id = server.ask(seed=4)
        server.running(id)
        os.kill(worker, signal.SIGKILL)
    assert server.ended(id)["status"]["description"] == "done"
    # The new worker dies too, and with it the second try.
    id = server.ask(seed=5)
    for _ in range(2):
        worker = worker_of(server)
        with stopped(worker):
            server.running(id)
            os.kill(worker, signal.SIGKILL)
        until(lambda gone=worker: gone not in server.worker_ids(), "a worker that is killed")
    output = server.ended(id)
    assert output["status"]["description"] == "failed"
    assert output["status"]["details"] == (
        "its worker died (killed by SIGKILL), as in the attempt before"
    )
    assert id not in runs(server)
    assert server.ended(server.ask(seed=6))["status"]["description"] == "done"
    assert not list((server.root / "service").glob("job-*.lock"))


def test_cancelling(server: Served) -> None:
    worker, client = worker_of(server), server.client
    with stopped(worker):
        first, second = server.ask(seed=7), server.ask(seed=8)
        server.running(first)
        for id, now in ((second, "cancelled"), (first, "running")):
            answer = client.post(f"/v2/visualizations/{id}/cancel")
            assert answer.status_code == 202
            assert answer.json()["output"]["status"]["description"] == now
    assert server.ended(first)["status"]["description"] == "cancelled"
    assert worker_of(server) == worker  # which left the job by itself
    assert not list((server.root / "service").glob("job-*.lock"))
    assert not {first, second} & runs(server)
    again = client.post(f"/v2/visualizations/{first}/cancel")
    assert again.json()["output"]["status"]["description"] == "cancelled"
    done = server.ended(server.ask(seed=9))
    assert client.post(f"/v2/visualizations/{done['id']}/cancel").status_code == 409


def test_a_worker_that_does_not_listen_is_killed(server: Served) -> None:
    worker = worker_of(server)
    with stopped(worker):
        id = server.ask(seed=10)
        server.running(id)
        server.client.post(f"/v2/visualizations/{id}/cancel")
        assert server.ended(id)["status"]["description"] == "cancelled"
    assert worker_of(server) != worker
    assert id not in runs(server)


@pytest.mark.parametrize("restart", [False, True])
def test_deleting_what_runs(server: Served, restart: bool) -> None:
    with stopped(worker_of(server)):
        first, second = server.ask(seed=11), server.ask(seed=12)
        server.running(first)
        for id in (first, second):
            assert server.client.delete(f"/v2/visualizations/{id}").status_code == 204
            assert server.client.get(f"/v2/visualizations/{id}").status_code == 404
        if restart:
            server.kill()
            server.restart()
    id = server.ask(seed=13)
    assert server.ended(id)["status"]["description"] == "done"
    assert not {first, second} & runs(server)


class Adding(threading.Thread):
    """A client that adds pictures one by one, and asks again until it is answered."""

    def __init__(self, server: Served) -> None:
        super().__init__(daemon=True)
        self.server, self.accepted, self.sent = server, 0, 0
        self.digests: set[str] = set()
        self.ids: set[str] = set()
        self.ending = False

    def run(self) -> None:
        while not self.ending:
            data = picture(10_000 + self.sent, side=12)
            self.sent += 1
            while not self.ending:
                try:
                    answer = httpx.post(
                        f"{self.server.address}/v2/inputs", files={"image": ("a.png", data)}
                    )
                except httpx.HTTPError:
                    time.sleep(0.05)
                    continue
                assert answer.status_code == 201, answer.text
                self.ids.add(answer.json()["inputs"][0]["id"])
                self.digests.add(hashlib.sha256(data).hexdigest())
                break


def listed(server: Served) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    after = None
    while True:
        params = {"limit": "1000", **({"after": after} if after else {})}
        page = server.client.get("/v2/inputs", params=params).json()
        found += page["inputs"]
        after = page.get("next")
        if after is None:
            return found


@pytest.mark.slow
def test_kills_at_random_moments(tmp_path: Path) -> None:
    rng = random.Random(0)
    with served(tmp_path / "root", "--workers", "2") as server:
        server.add(20)
        server.ended(server.ask())
        adding = Adding(server)
        adding.start()
        asked: list[str] = []
        for number in range(MOMENTS):
            for _ in range(2):
                asked.append(server.ask(seed=number, duplicates="off"))
            time.sleep(rng.uniform(0, 6))
            if rng.random() < 0.5:
                server.kill()
                server.restart()
            else:
                workers = server.worker_ids()
                if workers:
                    os.kill(rng.choice(workers), signal.SIGKILL)
            outputs = server.client.get("/v2/visualizations", params={"limit": 1000}).json()
            assert set(asked) <= {output["id"] for output in outputs["outputs"]}
        adding.ending = True
        adding.join(60)
        inputs = listed(server)
        digests = [one["sha256"] for one in inputs]
        assert len(set(digests)) == len(digests)
        assert adding.digests <= set(digests)
        assert adding.ids <= {one["id"] for one in inputs}
        for digest in digests:
            data = (server.root / "service" / "inputs" / digest).read_bytes()
            assert hashlib.sha256(data).hexdigest() == digest
        endings = {"done": 0, "failed": 0}
        deadline = time.monotonic() + 3 * ENDS_WITHIN
        for id in asked:
            output = server.ended(id)
            assert time.monotonic() < deadline
            endings[output["status"]["description"]] += 1
            run = server.root / "runs" / "default" / id
            if output["status"]["description"] == "done":
                assert check(run) == []
            else:
                assert "its worker died" in output["status"]["details"]
                assert not run.exists()
        print(f"{len(digests)} inputs, {adding.sent} sent; jobs: {endings}")
        assert endings["done"] > MOMENTS
        assert server.stop() == 0
        left = {path.name for path in (server.root / "service" / "incoming").iterdir()}
        assert not left
