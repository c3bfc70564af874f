"""A real TensorBoard process for tests."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STARTS_WITHIN = 120  # seconds: TensorFlow alone takes many on a busy machine


@contextlib.contextmanager
def tensorboard(executable: Path, logdir: Path, log: Path) -> Iterator[str]:
    """Run `executable` over `logdir` on a free port till the end; yield its address.

    Its Projector is switched off until TensorBoard has looked for embeddings, so wait for that.
    """
    command = [executable, "--logdir", logdir, "--host", "127.0.0.1", "--port", "0"]
    environment = {key: value for key, value in os.environ.items() if key[:6] != "PYTHON"}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        ) as process,
    ):
        try:
            deadline = time.monotonic() + STARTS_WITHIN
            address = ""
            while not (address and plugins(address)["projector"]["enabled"]):
                text = log.read_text("utf-8", "replace")
                assert process.poll() is None, text
                assert time.monotonic() < deadline, f"the Projector is not ready: {text}"
                found = re.search(r"TensorBoard \S+ at (http://[^/\s]+)", text)
                address = found.group(1) if found else ""
                time.sleep(0.2)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def get_json(address: str) -> Any:
    """What `address` answers, decoded."""
    with urllib.request.urlopen(address, timeout=60) as answer:
        return json.load(answer)


def plugins(address: str) -> Any:
    """TensorBoard's listing of its plugins."""
    return get_json(f"{address}/data/plugins_listing")
