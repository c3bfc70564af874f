"""A server whose workers let a real Ray on this machine embed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tbgrid.check.run import check
from tests.support.serve_process import running_server


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs Ray: pip install -e '.[test-all]'"
)
def test_ray_embeds_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with running_server(tmp_path / "root", "--runner", "ray") as server:
        server.add(12)
        for seed, embedded in ((0, 12), (1, 0)):
            output = server.ended(server.ask(seed=seed))
            assert output["status"]["description"] == "done", server.logs()
            assert output["data"]["embedded"] == embedded
            assert output["data"]["photos"] == 12
            assert check(server.root / output["data"]["run"]) == []
        first = {path.name for path in (server.root / "service/shards/default").iterdir()}
        server.add(3, start=50)
        assert server.ended(server.ask())["data"]["embedded"] == 15
        (now,) = (server.root / "service/shards/default").iterdir()
        assert now.name not in first
