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

STARTS_WITHIN = 120  # seconds
ENDS_WITHIN = 240  # seconds, for a map on a busy machine


def picture(number: int, side: int = 40, kind: str = "PNG") -> bytes:
    """A picture that differs from those of other numbers, of one of three colours."""
    rng = np.random.default_rng(number)
    pixels = rng.normal((60, 90, 120), 12, (side, side, 3))
    pixels[..., number % 3] += 100
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


class Served:
    """A server on a free port over `root`, and a client of it."""

    def __init__(self, root: Path, *options: str, key: str = "") -> None:
        self.root, self.options, self.key = root, options, key
        self.log = root.parent / f"{root.name}.log"
        self.start()

    def start(self, port: int = 0) -> None:
        environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}
        command = [sys.executable, "-m", "tbgrid", "serve", "--root", str(self.root)]
        command += ["--port", str(port), *self.options]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
            )
        deadline, found = time.monotonic() + STARTS_WITHIN, None
        while found is None:
            told = self.log.read_text("utf-8", "replace")
            assert self.process.poll() is None, told
            assert time.monotonic() < deadline, told
            found = re.search(r"serves (http://\S+:(\d+))/", told)
            time.sleep(0.05)
        self.port = int(found.group(2))
        self.address = f"http://127.0.0.1:{self.port}"
        headers = {"Authorization": f"Key {self.key}"} if self.key else {}
        self.client = httpx.Client(base_url=self.address, headers=headers, timeout=120)

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

    def add(self, count: int, start: int = 0, application: str = "default") -> list[Any]:
        """Add pictures, labelled by their colours."""
        found: list[Any] = []
        for first in range(start, start + count, 100):
            numbers = range(first, min(first + 100, start + count))
            answer = self.client.post(
                "/v2/inputs",
                params={"application": application},
                files=[("image", (f"{n}.png", picture(n))) for n in numbers],
                data={"label": [["red", "green", "blue"][n % 3] for n in numbers]},
            )
            assert answer.status_code == 201, answer.text
            found += answer.json()["inputs"]
        return found

    def ask(self, application: str = "default", **options: Any) -> str:
        """Ask for a visualization; its id."""
        answer = self.client.post(
            "/v2/visualizations",
            params={"application": application},
            json={"model": "pixels", "preview": 0, **options},
        )
        assert answer.status_code == 202, answer.text
        output = answer.json()["output"]
        assert re.fullmatch("[0-9a-f]{32}", output["id"])
        assert output["status"]["description"] == "pending"
        return str(output["id"])

    def get(self, id: str) -> Any:
        """A visualization as it is now."""
        answer = self.client.get(f"/v2/visualizations/{id}")
        assert answer.status_code == 200, answer.text
        return answer.json()["output"]

    def ended(self, id: str) -> Any:
        """A visualization when it has ended."""
        deadline = time.monotonic() + ENDS_WITHIN
        while (output := self.get(id))["status"]["description"] in ("pending", "running"):
            assert time.monotonic() < deadline, (output, self.told())
            time.sleep(0.1)
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
            assert time.monotonic() < deadline, self.told()
            time.sleep(0.01)

    def told(self) -> str:
        """What server and workers have written."""
        logs = [self.log, *self.root.glob("service/worker-*.log")]
        return "\n".join(path.read_text("utf-8", "replace") for path in logs)


@contextlib.contextmanager
def served(root: Path, *options: str, key: str = "") -> Iterator[Served]:
    """A server that is ended at the end."""
    server = Served(root, *options, key=key)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()
