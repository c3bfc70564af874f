"""Requests that the OpenAPI document allows, and ones that it forbids: none breaks the server."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.serve_process import running_server, stopped, worker_of

pytest.importorskip("schemathesis", reason="needs Schemathesis: pip install -e '.[test-all]'")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "use_after_free",
)
FEW, MANY = 4, 200
# Without the 600 requests of the phase "coverage", which come with the many.
PHASES = {FEW: "fuzzing,stateful", MANY: "examples,coverage,fuzzing,stateful"}


@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_by_its_openapi_document(tmp_path: Path, examples: int) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running_server(tmp_path / "root", "--max-queue", "5"))
        server.add(3)
        if examples == FEW and sys.platform == "linux":
            # The requests matter, not the maps: they wait behind one that is not made.
            stack.enter_context(stopped(worker_of(server)))
            server.running(server.ask())
        done = subprocess.run(
            [
                program,
                "run",
                f"{server.address}/openapi.json",
                f"--checks={','.join(CHECKS)}",
                f"--max-examples={examples}",
                f"--phases={PHASES[examples]}",
                "--seed=1",
                "--generation-database=none",
                "--no-color",
            ],
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        assert "Traceback" not in server.logs()
        assert server.client.get("/v2/models").status_code == 200
