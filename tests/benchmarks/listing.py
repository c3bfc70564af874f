"""What the Grid tab costs TensorBoard's listing of plugins, in CPU time. Prints a table.

    python -m tests.benchmarks.listing [--runs 20] [--requests 1500]

TensorBoards with and without the plugin show the same logdir. They are asked in turn, request by
request, so that what else the machine does falls on all of them alike. CPU time is that of
TensorBoard's process, all threads, as the kernel counts it. Two without the plugin tell how much
is chance. The plugin looks once a minute whether there is still a run, however often it is asked;
"with a look each time" is the worst case, in which it looks again at once.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.support.tab_runs import write_run

SERVE = """
import sys
from tensorboard import default, program
from tensorboard.plugins import base_plugin
from tbgrid.plugin import GridLoader, runs
logdir, port, kind = sys.argv[1:]
plugins = [p for p in default.get_plugins() if "without" not in kind or p is not GridLoader]
assert len(plugins) == len(default.get_plugins()) - ("without" in kind)
if kind == "looking":
    runs.KEPT = 0.0
tb = program.TensorBoard(plugins=plugins)
tb.configure(argv=["tensorboard", "--logdir", logdir, "--port", port, "--host", "127.0.0.1"])
tb.main()
"""
KINDS = {
    "without": "without the tab",
    "without, again": "without the tab, again",
    "with": "with it (at most 1.1)",
    "looking": "with a look each time",
}
ROUNDS = 10
TICK = os.sysconf("SC_CLK_TCK")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    import socket

    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """User and system time of the process so far, without that of its children."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def ask(port: int, times: int) -> bytes:
    """The last of so many listings."""
    for _ in range(times):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/plugins_listing") as answer:
            found: bytes = answer.read()
    return found


def wait_for(port: int) -> None:
    """Until TensorBoard answers."""
    for _ in range(600):
        try:
            ask(port, 1)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
        else:
            return
    raise RuntimeError("TensorBoard does not answer")


def wait_until_idle(process: subprocess.Popen[bytes]) -> None:
    """Until the process works no more: after its start TensorBoard imports TensorFlow."""
    before = -1.0
    while (now := cpu_seconds(process)) > before + 0.02:
        before = now
        time.sleep(2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.listing", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--requests", type=int, default=1500)
    given = parser.parse_args()
    each = -(-given.requests // ROUNDS)
    with tempfile.TemporaryDirectory() as logdir:
        for number in range(given.runs):
            directory = Path(logdir, f"group-{number % 4}", f"run-{number}")
            write_run(directory)
            (directory / "events.out.tfevents.1.tbgrid").write_bytes(b"")
        ports = dict(zip(KINDS, free_ports(len(KINDS)), strict=True))
        servers = {
            kind: subprocess.Popen(
                [sys.executable, "-c", SERVE, logdir, str(port), kind], stderr=subprocess.DEVNULL
            )
            for kind, port in ports.items()
        }
        spent: dict[str, list[float]] = {kind: [] for kind in KINDS}
        try:
            for kind, port in ports.items():
                wait_for(port)
                listed = b'"tbgrid"' in ask(port, each)
                assert listed == ("without" not in kind)
            for server in servers.values():
                wait_until_idle(server)
            for _ in range(ROUNDS):
                before = {kind: cpu_seconds(servers[kind]) for kind in KINDS}
                for number in range(each):
                    for kind in [*KINDS][number % len(KINDS) :] + [*KINDS][: number % len(KINDS)]:
                        ask(ports[kind], 1)
                for kind in KINDS:
                    spent[kind].append(cpu_seconds(servers[kind]) - before[kind])
        finally:
            for server in servers.values():
                server.terminate()
                server.wait()
    base = sum(spent["without"])
    print(f"| plugins_listing, {given.runs} runs, {each * ROUNDS} requests each | CPU-ms | ratio |")
    print("| --- | --- | --- |")
    for kind, name in KINDS.items():
        total = sum(spent[kind])
        ratios = [one / other for one, other in zip(spent[kind], spent["without"], strict=True)]
        ratio = f"{total / base:.2f} ({min(ratios):.2f} to {max(ratios):.2f} in {ROUNDS} rounds)"
        print(f"| {name} | {1000 * total / each / ROUNDS:.2f} | {ratio} |")


if __name__ == "__main__":
    main()
