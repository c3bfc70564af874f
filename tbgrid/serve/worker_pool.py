"""The worker processes, as the server sees them: a thread for each, which gives it jobs, hears how
they go, and starts another process where one has died."""

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
from dataclasses import dataclass, field
from typing import IO

from tbgrid.choices import Runner
from tbgrid.serve import jobs
from tbgrid.serve.jobs import Ending
from tbgrid.serve.paths import Places
from tbgrid.serve.store import Store

_GRACE = 5.0  # s in which a worker leaves a cancelled job by itself; then it is killed
_PAUSE = 1.0  # s before another worker is started where one died without a job


@dataclass(frozen=True)
class Stage:
    """How far a job is: `done` of `total` units of a stage, None where that is not known."""

    name: str
    done: int
    total: int | None


@dataclass
class Slot:
    """A worker and its job, "" for none."""

    number: int
    process: subprocess.Popen[str] | None = None
    job: str = ""
    stage: Stage | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Workers:
    """`count` worker processes over the jobs of `store`. `models`: those that may be asked for
    (`models_by_name`). `told`: hears of workers that died."""

    def __init__(
        self,
        store: Store,
        places: Places,
        count: int,
        runner: Runner,
        models: Mapping[str, str],
        told: Callable[[str], None],
    ) -> None:
        self._store, self._places, self._runner = store, places, runner
        self._models, self._told = dict(models), told
        self._slots = [Slot(number) for number in range(count)]
        self._work = threading.Condition()
        self._ending = False
        self._threads = [
            threading.Thread(target=self._run, args=(slot,), daemon=True) for slot in self._slots
        ]
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """There may be a new job."""
        with self._work:
            self._work.notify()

    def stage_of(self, id: str) -> Stage | None:
        """How far a job is, None if it does not run."""
        return next((slot.stage for slot in self._slots if slot.job == id), None)

    def cancel(self, id: str) -> None:
        """Have the worker of a job leave it, by force if it does not soon."""
        for slot in self._slots:
            with slot.lock:
                if slot.job == id and slot.process is not None:
                    _write(slot.process, {"cancel": id})
                    threading.Thread(
                        target=self._insist, args=(slot, slot.process, id), daemon=True
                    ).start()

    def _insist(self, slot: Slot, process: subprocess.Popen[str], id: str) -> None:
        deadline = time.monotonic() + _GRACE
        while time.monotonic() < deadline:
            if slot.job != id or slot.process is not process:
                return
            time.sleep(0.05)
        with slot.lock:
            if slot.job == id and slot.process is process:
                process.kill()

    def close(self) -> None:
        """End the workers; their jobs go on at the next start."""
        with self._work:
            self._ending = True
            self._work.notify_all()
        for slot in self._slots:
            with slot.lock:
                if slot.process is not None:
                    slot.process.kill()
        for thread in self._threads:
            thread.join()

    def _run(self, slot: Slot) -> None:
        while not self._ending:
            try:
                self._turn(slot)
            except Exception as error:  # a full disk, say: the service goes on, and tries again
                self._told(f"worker {slot.number}: {type(error).__name__}: {error}")
                time.sleep(_PAUSE)
        if slot.process is not None:
            _end(slot.process)

    def _turn(self, slot: Slot) -> None:
        """Do one job, or wait a while for one."""
        if slot.process is None or slot.process.poll() is not None:
            with slot.lock:
                if self._ending:
                    return
                slot.process = self._start(slot)
        with self._work:
            row = None if self._ending else jobs.claim(self._store)
            if row is None:
                self._work.wait(_PAUSE)
                return
        with slot.lock:
            slot.job, slot.stage = row["id"], None
        ending: Ending | None = None
        try:
            ending = self._done(slot, slot.process, row["id"])
        finally:
            with slot.lock:
                slot.job, slot.stage = "", None
            self._settle(slot, row["id"], ending)

    def _settle(self, slot: Slot, id: str, ending: Ending | None) -> None:
        """Write how a job ended, as soon as that can be written; None: it did not."""
        while True:
            try:
                if ending is None:
                    jobs.put_back(self._store, id)
                else:
                    jobs.finish(self._store, self._places, id, ending)
                return
            except (sqlite3.Error, OSError) as error:
                if self._ending:  # it goes on at the next start
                    return
                self._told(f"worker {slot.number}: the end of a job cannot be written ({error})")
                time.sleep(_PAUSE)

    def _start(self, slot: Slot) -> subprocess.Popen[str]:
        log = self._places.service / f"worker-{slot.number}.log"
        if slot.process is not None:
            _end(slot.process)
        with log.open("wb" if slot.process is None else "ab") as errors:
            return subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tbgrid.serve.worker",
                    os.fspath(self._places.root),
                    self._runner,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C is for the server, which ends its workers
                env={"OMP_WAIT_POLICY": "PASSIVE", "TF_CPP_MIN_LOG_LEVEL": "2", **os.environ},
            )

    def _done(self, slot: Slot, process: subprocess.Popen[str], id: str) -> Ending | None:
        """Have `process` do a job, and hear it to its end; None if it ends because the server
        does."""
        row = self._store.one("SELECT cancel, deleted FROM visualizations WHERE id = ?", id)
        if row is None or row["cancel"] or row["deleted"]:  # before the worker could be told
            return Ending()
        _write(process, {"job": id, "models": self._models})
        for line in _lines(process.stdout):
            if not line.endswith("\n"):  # it died in the middle of it
                break
            told = json.loads(line)
            if "stage" in told:
                slot.stage = Stage(told["stage"], told["done"], told["total"])
            elif "result" in told:
                return Ending(told["result"], weight=told["weight"])
            else:
                return Ending(details=told.get("failed", "cancelled"))
        code = process.wait()
        if self._ending:
            return None
        reason = f"its worker died ({_told_code(code)})"
        self._told(f"worker {slot.number} died ({_told_code(code)}); another takes its place")
        return Ending(details=f"{reason}, as did the one before", died=True)


def _lines(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def _write(process: subprocess.Popen[str], command: dict[str, object]) -> None:
    """Tell a worker; one that has died will be heard of by its silence."""
    assert process.stdin is not None
    with contextlib.suppress(OSError, ValueError):
        process.stdin.write(json.dumps(command) + "\n")
        process.stdin.flush()


def _end(process: subprocess.Popen[str]) -> None:
    """Wait for a process that is killed or dead, and close its pipes."""
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _told_code(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
