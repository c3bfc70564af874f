"""Commands in processes that have their modules loaded, which takes most of the time of one.

A server loads TensorFlow and the others once, before there are any threads, and forks for each
command: the process that comes of it has arguments, streams, environment and folder of its own,
runs what the installed script runs, and ends as Python ends. What tests the loading itself (what
is loaded, how long it takes, Ctrl-C meanwhile) starts `python` instead.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

COMMANDS = {"tbgrid": ("tbgrid.cli.main", "main"), "tensorboard": ("tensorboard.main", "run_main")}
LOADED = (
    "openTSNE",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "sklearn.cluster",
    "sklearn.manifold",
    "tensorboard.main",
    "tensorboard.default",
    "tensorboard.data.server_ingester",
    "tensorflow",
    "tbgrid.cli.main",
    "tbgrid.pipeline.export",
)


class Process:
    """A command that runs in a process forked by a `Preloaded`; like a `subprocess.Popen`."""

    def __init__(self, connection: socket.socket) -> None:
        self._answers = connection.makefile("r")
        self._connection = connection
        self.pid = int(self._answers.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0.001)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, when it has ended: a negative one is that of a signal."""
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                status = int(self._connection.recv(99))
            except TimeoutError:
                raise subprocess.TimeoutExpired("preloaded", timeout or 0) from None
            self.returncode = os.waitstatus_to_exitcode(status)
            self._answers.close()
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Preloaded:
    """Starts `tbgrid` and `tensorboard` in processes that have loaded their modules."""

    def __init__(self, address: str) -> None:
        self._address = address

    def start(
        self,
        *command: str | Path,
        stdout: int | Any = None,
        stderr: int | Any = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Process:
        """Start a command, whose output goes to open files, or nowhere."""
        request = {
            "function": COMMANDS[Path(command[0]).name],
            "argv": [str(part) for part in command],
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
        }
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._address)
        with Path(os.devnull).open("w") as nothing:
            files = [
                nothing.fileno()
                if file in (None, subprocess.DEVNULL)
                else file
                if isinstance(file, int)
                else file.fileno()
                for file in (stdout, stderr)
            ]
            socket.send_fds(connection, [json.dumps(request).encode() + b"\n"], files)
            return Process(connection)

    def run(
        self,
        *command: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = self.start(*command, stdout=out, stderr=err, cwd=cwd, env=env)
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode())
        return subprocess.CompletedProcess([str(part) for part in command], code, *texts)


@contextlib.contextmanager
def preloaded() -> Iterator[Preloaded]:
    """A server, ready."""
    with tempfile.TemporaryDirectory(prefix="tbgrid-") as folder:
        address = str(Path(folder, "socket"))
        process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import main; main({address!r})"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield Preloaded(address)
        process.stdin.close()  # which ends it
        process.wait(60)
        process.stdout.close()


def main(address: str) -> None:
    """The server: fork for each connection, until stdin ends."""
    import gc
    import importlib

    for name in LOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # so that processes share the memory of what is loaded
    assert threading.active_count() == 1, "a thread is lost in a fork"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen()
    print("ready", flush=True)
    request = serve(listening)
    if request is not None:
        sys.argv = request["argv"]
        module, function = request["function"]
        sys.exit(getattr(importlib.import_module(module), function)())


def serve(listening: socket.socket) -> Any:
    """Serve until stdin ends: None. In the process of a command: what it shall run."""
    import select

    while True:
        ready, _, _ = select.select([listening, sys.stdin], [], [], 1)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if sys.stdin in ready:
            return None
        if listening not in ready:
            continue
        connection, _ = listening.accept()
        if os.fork():
            connection.close()
            continue
        # This process waits for the one that runs the command.
        listening.close()
        data, files, _, _ = socket.recv_fds(connection, 2**20, 2)
        while not data.endswith(b"\n"):
            data += connection.recv(2**20)
        request = json.loads(data)
        child = os.fork()
        if child:
            connection.sendall(f"{child}\n".encode())
            for file in files:
                os.close(file)
            _, status = os.waitpid(child, 0)
            with contextlib.suppress(OSError):  # nobody waits for it any more
                connection.sendall(f"{status}".encode())
            os._exit(0)
        connection.close()
        become(request, files)
        return request


def become(request: Any, files: Sequence[int]) -> None:
    """Take the streams, the folder and the environment of a command."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, *files)):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
