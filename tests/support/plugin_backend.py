"""TensorBoard with the Grid tab alone, without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tensorboard.plugins import base_plugin
from werkzeug.test import Client, TestResponse

from tbgrid.plugin import GridLoader


class Backend:
    """TensorBoard over a logdir with the tab alone, without a network."""

    def __init__(self, logdir: Path | str, prefix: str = "") -> None:
        from tensorboard.backend import application  # warns of its own html5lib

        self.plugin = GridLoader().load(base_plugin.TBContext(logdir=str(logdir)))
        self.client = Client(application.TensorBoardWSGI([self.plugin], prefix))
        self.base = f"{prefix}/data/plugin/tbgrid/"

    def get(self, route: str, method: str = "GET", **query: Any) -> TestResponse:
        headers = query.pop("headers", None)
        return self.client.open(
            self.base + route, method=method, query_string=query, headers=headers
        )

    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.get("runs").data)["runs"]
        return found
