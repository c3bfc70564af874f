"""The real `tbgrid serve`, as a process, for tests."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from tbgrid.cli.main import main

STARTS_WITHIN = 120  # seconds
ENDS_WITHIN = 240  # seconds, for a map on a busy machine
# Of a server that is strict.
LIMITS = {
    "upload": 100_000,
    "pixels": 10_000,
    "inputs": 6,
    "queue": 2,
    "disk": 300_000,
}


def picture(number: int, side: int = 40, kind: str = "PNG") -> bytes:
    """An image that differs from those of other numbers, in one of three colours."""
    rng = np.random.default_rng(number)
    pixels = rng.normal((60, 90, 120), 12, (side, side, 3))
    pixels[..., number % 3] += 100
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


class ServerProcess:
    """A server on a free port over `root`, and a client of it.

    `key`: the client's key. `application`: the one of requests that name no other. `directory`:
    where the server runs, to which `--root` is relative then.
    """

    def __init__(
        self,
        root: Path,
        *options: str,
        key: str = "",
        application: str = "default",
        directory: Path | None = None,
    ) -> None:
        self.root, self.options, self.key = root, options, key
        self.application, self.directory = application, directory
        self.log = root.parent / f"{root.name}.log"
        self.start()

    def start(self, port: int = 0) -> None:
        environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}
        root = self.root.relative_to(self.directory) if self.directory else self.root
        command = [sys.executable, "-m", "tbgrid", "serve", "--root", str(root)]
        command += ["--port", str(port), *self.options]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=self.directory,
            )
        deadline, found = time.monotonic() + STARTS_WITHIN, None
        while found is None:
            text = self.log.read_text("utf-8", "replace")
            assert self.process.poll() is None, text
            assert time.monotonic() < deadline, text
            found = re.search(r"serves (http://\S+:(\d+))/", text)
            time.sleep(0.05)
        self.port = int(found.group(2))
        self.address = f"http://127.0.0.1:{self.port}"
        self.client = self.client_of(self.key)

    def client_of(self, key: str) -> httpx.Client:
        """Another client, with a key of its own or without one."""
        headers = {"Authorization": f"Key {key}"} if key else {}
        # Without certificates, which take time to load and are not needed on loopback.
        return httpx.Client(base_url=self.address, headers=headers, timeout=120, verify=False)

    def kill(self) -> None:
        """As by `kill -9`."""
        self.client.close()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def stop(self) -> int:
        """As by Ctrl-C; the exit code."""
        self.client.close()
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def restart(self) -> None:
        self.start()

    def worker_ids(self) -> list[int]:
        """The process ids of its workers."""
        folder = Path(f"/proc/{self.process.pid}/task")
        return [int(id) for task in folder.glob("*/children") for id in task.read_text().split()]

    def add_application(self, name: str) -> str:
        """Create an application; its name."""
        response = self.client.post("/v2/applications", json={"name": name})
        assert response.status_code == 201, response.text
        assert response.json()["application"]["name"] == name
        return name

    def add(self, count: int, start: int = 0, application: str = "") -> list[Any]:
        """Add pictures, labelled by their colours."""
        inputs: list[Any] = []
        for first in range(start, start + count, 100):
            numbers = range(first, min(first + 100, start + count))
            response = self.client.post(
                "/v2/inputs",
                params={"application": application or self.application},
                files=[("image", (f"{n}.png", picture(n))) for n in numbers],
                data={"label": [["red", "green", "blue"][n % 3] for n in numbers]},
            )
            assert response.status_code == 201, response.text
            inputs += response.json()["inputs"]
        return inputs

    def ask(self, application: str = "", **options: Any) -> str:
        """Request a visualization, a quick one unless `options` say otherwise; its id."""
        response = self.client.post(
            "/v2/visualizations",
            params={"application": application or self.application},
            json={
                "model": "pixels",
                "preview": 0,
                "refine": "refine_seconds" in options,
                **options,
            },
        )
        assert response.status_code == 202, response.text
        output = response.json()["output"]
        assert re.fullmatch("[0-9a-f]{32}", output["id"])
        assert output["status"]["description"] == "pending"
        return str(output["id"])

    def get(self, id: str) -> Any:
        """A visualization as it is now."""
        response = self.client.get(f"/v2/visualizations/{id}")
        assert response.status_code == 200, response.text
        return response.json()["output"]

    def ended(self, id: str) -> Any:
        """A visualization when it has ended."""
        deadline = time.monotonic() + ENDS_WITHIN
        while (output := self.get(id))["status"]["description"] in ("pending", "running"):
            assert time.monotonic() < deadline, (output, self.logs())
            time.sleep(0.25)
        return output

    def running(self, id: str, stage: str = "") -> Any:
        """A visualization while it runs, in a `stage` if one is given."""
        deadline = time.monotonic() + ENDS_WITHIN
        while True:
            output = self.get(id)
            status = output["status"]["description"]
            if status == "running" and stage in output.get("stage", ""):
                return output
            assert status in ("pending", "running"), output
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.03)

    def logs(self) -> str:
        """What server and workers have written."""
        logs = [self.log, *self.root.glob("service/worker-*.log")]
        return "\n".join(path.read_text("utf-8", "replace") for path in logs)


@contextlib.contextmanager
def running_server(
    root: Path,
    *options: str,
    key: str = "",
    application: str = "default",
    directory: Path | None = None,
) -> Iterator[ServerProcess]:
    """A `ServerProcess` that is ended at the end."""
    server = ServerProcess(root, *options, key=key, application=application, directory=directory)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def error_line(response: httpx.Response, status: int) -> str:
    """The description of an error response, which has the form of all of them."""
    assert response.status_code == status, response.text
    body = response.json()["status"]
    assert body["code"] == status
    assert "\n" not in body["description"]
    return str(body["description"])


def add_key(root: Path, *applications: str) -> str:
    """Make a key by the command line."""
    words = [word for name in applications for word in ("--application", name)]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert main(["serve", "key", "add", "--root", str(root), *words]) == 0
    return output.getvalue().strip()


def _stored(server: ServerProcess) -> tuple[int, int, int]:
    """The number of files among the inputs, of incoming files, and of rows."""
    home = server.root / "service"
    applications = server.client.get("/v2/applications").json()["applications"]
    rows = sum(application["inputs"] for application in applications)
    return len(list((home / "inputs").iterdir())), len(list((home / "incoming").iterdir())), rows


@contextlib.contextmanager
def nothing_stored(server: ServerProcess) -> Iterator[None]:
    """What happens meanwhile adds no input."""
    before = _stored(server)
    yield
    assert _stored(server) == before
    assert before[1] == 0


def until(true: object, what: str) -> None:
    deadline = time.monotonic() + 60
    assert callable(true)
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def worker_of(server: ServerProcess) -> int:
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


def listed(server: ServerProcess, application: str = "default") -> list[dict[str, str]]:
    """All inputs of an application, page by page."""
    found: list[dict[str, str]] = []
    after = None
    while True:
        params = {
            "application": application,
            "limit": "1000",
            **({"after": after} if after else {}),
        }
        page = server.client.get("/v2/inputs", params=params).json()
        found += page["inputs"]
        after = page.get("next")
        if after is None:
            return found
