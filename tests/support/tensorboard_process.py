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

from tests.support.preloaded import Preloaded, Process

STARTS_WITHIN = 120  # seconds: TensorFlow alone takes many on a busy machine


@contextlib.contextmanager
def tensorboard(
    executable: Path | Preloaded,
    logdir: Path | None,
    log: Path,
    *options: str,
    ready: str = "projector",
) -> Iterator[str]:
    """Run TensorBoard over `logdir` on a free port till the end; yield its address.

    `options`: more of its command line. `ready`: the plugin whose tab is waited for, if any; the
    Projector is switched off until TensorBoard has looked for embeddings.
    """
    command: list[str | Path] = ["--port", "0", *options]
    command += ["--logdir", logdir] if logdir else []
    command += [] if "--bind_all" in options else ["--host", "127.0.0.1"]
    environment = {key: value for key, value in os.environ.items() if key[:6] != "PYTHON"}
    process: subprocess.Popen[bytes] | Process
    with log.open("wb") as output:
        if isinstance(executable, Preloaded):
            process = executable.start(
                "tensorboard", *command, stdout=output, stderr=output, env=environment
            )
        else:
            process = subprocess.Popen(
                [executable, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
            )
        try:
            deadline = time.monotonic() + STARTS_WITHIN
            address = ""
            while not (address and (not ready or plugins(address)[ready]["enabled"])):
                text = log.read_text("utf-8", "replace")
                assert process.poll() is None, text
                assert time.monotonic() < deadline, f"no {ready or 'TensorBoard'}: {text}"
                found = re.search(r"TensorBoard \S+ at (http://\S+?)/? ", text)
                address = found.group(1) if found else ""
                time.sleep(0.2)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def get_json(address: str) -> Any:
    """What `address` answers, decoded."""
    with urllib.request.urlopen(address, timeout=60) as answer:
        return json.load(answer)


def plugins(address: str) -> Any:
    """TensorBoard's listing of its plugins."""
    return get_json(f"{address}/data/plugins_listing")
