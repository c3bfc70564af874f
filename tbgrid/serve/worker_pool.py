"""The worker processes as the server sees them.

A thread per worker gives it jobs, reads its messages, and starts a new process when one dies.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO

from tbgrid.choices import Runner
from tbgrid.serve import jobs
from tbgrid.serve.jobs import JobOutcome
from tbgrid.serve.paths import ServicePaths
from tbgrid.serve.store import Store

_CANCEL_GRACE = 5.0  # s in which a worker must stop a cancelled job; then it is killed
_RETRY_DELAY = 1.0  # s before something that failed is tried again


@dataclass(frozen=True)
class Stage:
    """How far a job is.

    Attributes:
        name: the stage.
        done: units done.
        total: units in all, None where unknown.
    """

    name: str
    done: int
    total: int | None


class WorkerHandle:
    """A worker process, and the job that it is running.

    Attributes:
        number: which worker, from 0.
        process: the process, None before the first start.
        job: id of the job, "" for none.
        stage: how far the job is, None where unknown.
        lock: held while these change.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: subprocess.Popen[str] | None = None
        self.job = ""
        self.stage: Stage | None = None
        self.lock = threading.Lock()


class WorkerPool:
    """Worker processes that run the jobs of a store.

    Args:
        store: the database.
        paths: where files are stored.
        count: number of workers.
        runner: what embeds the photos.
        models: models that clients can use, by the names that they use (`models_by_name`).
        notify: receives a line for each problem, such as a worker that died.
    """

    def __init__(
        self,
        *,
        store: Store,
        paths: ServicePaths,
        count: int,
        runner: Runner,
        models: Mapping[str, str],
        notify: Callable[[str], None],
    ) -> None:
        self._store, self._paths, self._runner = store, paths, runner
        self._models, self._notify = dict(models), notify
        self._workers = [WorkerHandle(number) for number in range(count)]
        self._new_job = threading.Condition()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._supervise, args=(worker,), daemon=True)
            for worker in self._workers
        ]
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Have an idle worker look for a new job."""
        with self._new_job:
            self._new_job.notify()

    def stage_of(self, id: str) -> Stage | None:
        """How far a job is, None if it is not running."""
        return next((worker.stage for worker in self._workers if worker.job == id), None)

    def cancel(self, id: str) -> None:
        """Ask the worker of a job to stop it, and kill the worker if it does not."""
        for worker in self._workers:
            with worker.lock:
                if worker.job == id and worker.process is not None:
                    _send(worker.process, {"cancel": id})
                    threading.Thread(
                        target=_kill_if_stuck, args=(worker, worker.process, id), daemon=True
                    ).start()

    def close(self) -> None:
        """Kill the workers. Their jobs are run again at the next start."""
        with self._new_job:
            self._closing = True
            self._new_job.notify_all()
        for worker in self._workers:
            with worker.lock:
                if worker.process is not None:
                    worker.process.kill()
        for thread in self._threads:
            thread.join()

    def _supervise(self, worker: WorkerHandle) -> None:
        while not self._closing:
            try:
                self._run_next(worker)
            except Exception as error:  # such as a full disk: keep the service up, and try again
                self._notify(f"worker {worker.number}: {type(error).__name__}: {error}")
                time.sleep(_RETRY_DELAY)
        if worker.process is not None:
            _reap(worker.process)

    def _run_next(self, worker: WorkerHandle) -> None:
        """Run one job, or wait a while for one."""
        if worker.process is None or worker.process.poll() is not None:
            with worker.lock:
                if self._closing:
                    return
                worker.process = self._start(worker)
        with self._new_job:
            row = None if self._closing else jobs.claim(self._store)
            if row is None:
                self._new_job.wait(_RETRY_DELAY)
                return
        with worker.lock:
            worker.job, worker.stage = row["id"], None
        outcome: JobOutcome | None = None
        try:
            outcome = self._run_job(worker, worker.process, row["id"])
        finally:
            with worker.lock:
                worker.job, worker.stage = "", None
            self.record_outcome(worker, row["id"], outcome)

    def record_outcome(self, worker: WorkerHandle, id: str, outcome: JobOutcome | None) -> None:
        """Record how a job ended, and keep trying while the database cannot be written.

        Args:
            worker: the worker that ran the job.
            id: id of the job.
            outcome: None if the job was interrupted and must be run again.
        """
        while True:
            try:
                if outcome is None:
                    jobs.requeue(self._store, id)
                else:
                    jobs.finish(self._store, self._paths, id, outcome)
                return
            except (sqlite3.Error, OSError) as error:
                if self._closing:  # the job is run again at the next start
                    return
                self._notify(
                    f"worker {worker.number}: cannot record the outcome of a job ({error})"
                )
                time.sleep(_RETRY_DELAY)

    def _start(self, worker: WorkerHandle) -> subprocess.Popen[str]:
        log = self._paths.service / f"worker-{worker.number}.log"
        if worker.process is not None:
            _reap(worker.process)
        with log.open("wb" if worker.process is None else "ab") as errors:
            return subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tbgrid.serve.worker",
                    os.fspath(self._paths.root),
                    self._runner,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C reaches only the server, which ends its workers
                env={"OMP_WAIT_POLICY": "PASSIVE", "TF_CPP_MIN_LOG_LEVEL": "2", **os.environ},
            )

    def _run_job(
        self, worker: WorkerHandle, process: subprocess.Popen[str], id: str
    ) -> JobOutcome | None:
        """Have `process` run a job, and read its messages; None if the server shuts down first."""
        row = self._store.one("SELECT cancel, deleted FROM visualizations WHERE id = ?", id)
        if row is None or row["cancel"] or row["deleted"]:  # since the job was claimed
            return JobOutcome()
        _send(process, {"job": id, "models": self._models})
        for line in _messages(process):
            if not line.endswith("\n"):  # the worker died while writing it
                break
            message = json.loads(line)
            if "stage" in message:
                worker.stage = Stage(message["stage"], message["done"], message["total"])
            elif "result" in message:
                return JobOutcome(message["result"], size=message["size"])
            else:
                return JobOutcome(details=message.get("failed", "cancelled"))
        code = process.wait()
        if self._closing:
            return None
        exit = _describe_exit(code)
        self._notify(f"worker {worker.number} died ({exit}); starting a new one")
        return JobOutcome(
            details=f"its worker died ({exit}), as in the attempt before", worker_died=True
        )


def _kill_if_stuck(worker: WorkerHandle, process: subprocess.Popen[str], id: str) -> None:
    """Kill the worker of a cancelled job that is still running it after the grace period."""
    deadline = time.monotonic() + _CANCEL_GRACE
    while time.monotonic() < deadline:
        if worker.job != id or worker.process is not process:
            return
        time.sleep(0.05)
    with worker.lock:
        if worker.job == id and worker.process is process:
            process.kill()


def _messages(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def _send(process: subprocess.Popen[str], command: dict[str, object]) -> None:
    """Send a command to a worker. If it has died, the end of its messages will show that."""
    assert process.stdin is not None
    with contextlib.suppress(OSError, ValueError):
        process.stdin.write(json.dumps(command) + "\n")
        process.stdin.flush()


def _reap(process: subprocess.Popen[str]) -> None:
    """Kill a process, wait for it, and close its pipes."""
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
