"""Many clients at once: nothing is lost or doubled, and asking stays quick while maps are made."""

from __future__ import annotations

import hashlib
import statistics
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.support.serve_process import (
    ServerProcess,
    listed,
    picture,
    running_server,
    stopped,
    worker_of,
)

CLIENTS, PICTURES = 200, 10_000
FEW_CLIENTS, FEW_PICTURES = 20, 60
ASKED = 40  # times for a median
SLOWER = 3  # times at most, while a job runs


def add_by(server: ServerProcess, clients: int, count: int) -> tuple[Counter[int], float]:
    """Add `count` pictures to the application `load` by `clients` threads at a time; the statuses,
    and the seconds it took."""
    server.add_application("load")
    statuses: Counter[int] = Counter()
    datas = [picture(20_000 + number, side=16) for number in range(count)]

    def add(own: int) -> None:
        with httpx.Client(base_url=server.address, timeout=300, verify=False) as client:
            for number in range(own, count, clients):
                answer = client.post(
                    "/v2/inputs",
                    params={"application": "load"},
                    files={"image": (f"{number}.png", datas[number])},
                )
                statuses[answer.status_code] += 1

    threads = [threading.Thread(target=add, args=(own,)) for own in range(clients)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses, time.monotonic() - begun


def check_nothing_is_lost_or_doubled(server: ServerProcess, clients: int, count: int) -> None:
    folder = server.root / "service" / "inputs"
    before = set(folder.iterdir())
    statuses, seconds = add_by(server, clients, count)
    assert statuses == {201: count}
    found = [one["sha256"] for one in listed(server, "load")]
    assert len(found) == len(set(found)) == count
    expected = {
        hashlib.sha256(picture(20_000 + number, side=16)).hexdigest() for number in range(count)
    }
    assert set(found) == expected
    files = set(folder.iterdir()) - before
    assert {path.name for path in files} == expected
    for path in files:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    print(f"{count} pictures by {clients} clients: {count / seconds:.0f} a second")


def test_nothing_is_lost_or_doubled(server: ServerProcess) -> None:
    check_nothing_is_lost_or_doubled(server, FEW_CLIENTS, FEW_PICTURES)


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_of_many_clients(tmp_path: Path) -> None:
    with running_server(tmp_path / "root") as server:
        check_nothing_is_lost_or_doubled(server, CLIENTS, PICTURES)


def ask_median(server: ServerProcess) -> float:
    """The median of the seconds that asking for a visualization takes, of ones that wait behind a
    job until they are deleted."""
    taken = []
    for _ in range(ASKED):
        begun = time.perf_counter()
        id = server.ask("small")
        taken.append(time.perf_counter() - begun)
        server.client.delete(f"/v2/visualizations/{id}")
        time.sleep(0.05)
    return statistics.median(taken)


def ask_median_idle(server: ServerProcess) -> float:
    """The same, of a server whose worker does not compute: it is stopped meanwhile, with a job
    that keeps the others waiting."""
    with stopped(worker_of(server)):
        blocking = server.ask("small")
        server.running(blocking)
        found = ask_median(server)
    server.ended(blocking)
    return found


@pytest.mark.slow
def test_asking_stays_quick_while_a_job_runs(tmp_path: Path) -> None:
    with running_server(tmp_path / "root") as server:
        server.add_application("small")
        server.add(3, application="small")
        server.add(2000)
        server.ended(server.ask("small"))
        idle = ask_median_idle(server)
        job = server.ask(model="builtin", image_size=96)
        server.running(job, "embed")
        busy = ask_median(server)
        assert server.get(job)["status"]["description"] == "running"
        print(f"asking: {1000 * idle:.1f} ms idle, {1000 * busy:.1f} ms while a job runs")
        assert busy < SLOWER * idle
        server.client.delete(f"/v2/visualizations/{job}")
