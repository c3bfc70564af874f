"""The service page's examples with curl, against a real server in the order of the page."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.docs.pages import commands
from tests.support.photos import draw_photos
from tests.support.serve_process import running_server

CURL = shutil.which("curl")


@pytest.mark.slow
@pytest.mark.skipif(CURL is None, reason="no curl on the PATH")
def test_the_examples_work(tmp_path: Path) -> None:
    draw_photos(tmp_path / "photos", each=2)
    examples = [words for line in commands() if (words := shlex.split(line))[0] == "curl"]
    assert len(examples) == 8
    id = ""
    with running_server(tmp_path / "service") as server:
        for words in examples:
            command = [
                word.replace("localhost:8686", f"localhost:{server.port}").replace("ID", id)
                for word in words
            ]
            if command[-1].endswith("cancel"):  # of one that is not done
                id = server.ask(seed=1)
                command[-1] = f"localhost:{server.port}/v2/visualizations/{id}/cancel"
            done = subprocess.run(
                [*command, "--silent", "--show-error", "--fail-with-body"],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            answer = json.loads(done.stdout) if done.stdout else {}
            if command[-1].endswith("/applications"):
                assert answer["application"]["name"] == "cats"
            elif "--json" in command:
                id = answer["output"]["id"]
                assert answer["output"]["status"] == {"code": 10001, "description": "pending"}
                data = server.ended(id)["data"]
                assert data["image"]["url"] == f"/v2/visualizations/{id}/image"
        with Image.open(tmp_path / "mosaic.jpg") as mosaic:
            assert mosaic.size == (2 * 96, 2 * 96)
        assert server.client.get(f"/v2/visualizations/{id}").status_code == 404
