"""Servers and workers that end at any moment: what was accepted is there, and every job ends."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from tbgrid.check.run import check
from tests.support.serve_process import (
    ENDS_WITHIN,
    ServerProcess,
    listed,
    picture,
    running_server,
    stopped,
    until,
    worker_of,
)

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="workers are found by /proc"
)
MOMENTS = 20
RETRIES = 200


@pytest.fixture
def server(server: ServerProcess) -> ServerProcess:
    """The shared server, when it has nothing left to do."""

    def idle() -> bool:
        applications = server.client.get("/v2/applications").json()["applications"]
        pages = [
            server.client.get(
                "/v2/visualizations", params={"application": one["name"], "limit": 1000}
            ).json()
            for one in applications
        ]
        statuses = {output["status"]["description"] for page in pages for output in page["outputs"]}
        return not statuses & {"pending", "running"}

    until(idle, "jobs of other tests")
    return server


def runs(server: ServerProcess) -> set[str]:
    return {path.name for path in (server.root / "runs" / server.application).glob("*")}


def kill_worker_of(server: ServerProcess, id: str) -> None:
    """Kill the worker while it runs a job."""
    worker = worker_of(server)
    with stopped(worker):
        server.running(id)
        os.kill(worker, signal.SIGKILL)
    until(lambda: worker not in server.worker_ids(), "a worker that is killed")


# In this order each worker that dies has been replaced by the test that comes next, and only the
# last one makes a map in a new process, which loads TensorFlow for it.


def test_cancelling(server: ServerProcess) -> None:
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


def delete_what_runs(server: ServerProcess) -> set[str]:
    """Delete a running and a pending visualization; their ids. The worker is stopped meanwhile."""
    first, second = server.ask(seed=11), server.ask(seed=12)
    server.running(first)
    for id in (first, second):
        assert server.client.delete(f"/v2/visualizations/{id}").status_code == 204
        assert server.client.get(f"/v2/visualizations/{id}").status_code == 404
    return {first, second}


def test_deleting_what_runs(server: ServerProcess) -> None:
    with stopped(worker_of(server)):
        deleted = delete_what_runs(server)
    assert server.ended(server.ask(seed=13))["status"]["description"] == "done"
    assert not deleted & runs(server)


@pytest.mark.slow
def test_a_worker_that_does_not_listen_is_killed(server: ServerProcess) -> None:
    worker = worker_of(server)
    with stopped(worker):
        id = server.ask(seed=10)
        server.running(id)
        server.client.post(f"/v2/visualizations/{id}/cancel")
        assert server.ended(id)["status"]["description"] == "cancelled"
    assert worker_of(server) != worker
    assert id not in runs(server)


def test_a_job_whose_workers_die_has_failed(server: ServerProcess) -> None:
    id = server.ask(seed=5)
    for _ in range(2):
        kill_worker_of(server, id)
    output = server.ended(id)
    assert output["status"]["description"] == "failed"
    assert output["status"]["details"] == (
        "its worker died (killed by SIGKILL), as in the attempt before"
    )
    assert id not in runs(server)
    assert not list((server.root / "service").glob("job-*.lock"))


@pytest.mark.slow
def test_what_ends_a_server_or_a_worker_ends_no_job(server: ServerProcess) -> None:
    """Two jobs of embedded photos, behind two that were deleted, through a killed server, one that
    is interrupted, another that is killed, and a worker that dies."""

    def ask(seed: int) -> httpx.Response:
        return server.client.post(
            "/v2/visualizations",
            params={"application": server.application},
            json={"model": "pixels", "preview": 0, "refine": False, "seed": seed},
            headers={"Idempotency-Key": f"outlives {seed}"},
        )

    cached = bool(runs(server))
    worker = worker_of(server)
    with stopped(worker):
        deleted = delete_what_runs(server)
        answers = [ask(1).json(), ask(2).json()]
        server.kill()
    until(lambda: not Path(f"/proc/{worker}").exists(), "the worker outlives its server")
    server.restart()
    assert [ask(1).json(), ask(2).json()] == answers  # which the killed server gave
    first, second = (answer["output"]["id"] for answer in answers)
    with stopped(worker_of(server)):
        server.running(first)
        assert server.stop() == 0
    server.restart()
    with stopped(worker_of(server)):
        server.running(first)
        server.kill()
    server.restart()
    kill_worker_of(server, first)
    for id, embedded in ((first, 0 if cached else 30), (second, 0)):
        output = server.ended(id)
        assert output["status"]["description"] == "done"
        assert output["data"]["embedded"] == embedded
        assert check(server.root / output["data"]["run"]) == []
    assert not deleted & runs(server)
    assert not list((server.root / "service").glob("job-*.lock"))


class Adding(threading.Thread):
    """A client that adds pictures one by one, and asks again until it is answered."""

    def __init__(self, server: ServerProcess) -> None:
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


@pytest.mark.slow
def test_kills_at_random_moments(tmp_path: Path) -> None:
    rng = random.Random(0)
    with running_server(tmp_path / "root", "--workers", "2") as server:
        server.add(20)
        server.ended(server.ask())
        adding = Adding(server)
        adding.start()
        asked: list[str] = []
        for number in range(MOMENTS):
            for _ in range(2):
                asked.append(server.ask(seed=number, duplicates="off", refine=True))
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
