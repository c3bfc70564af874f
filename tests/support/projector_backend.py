"""TensorBoard's own Projector plugin, which says what it reads in a run."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
from werkzeug.test import Client

from tbgrid.types import UInt8Array

# Without any one of these the Projector's panel throws (vz_projector/data.ts and the panels).
STATE_KEYS = {
    "label",
    "isSelected",
    "selectedProjection",
    "dataSetDimensions",
    "tSNEIteration",
    "tSNEPerplexity",
    "tSNELearningRate",
    "tSNEis3d",
    "umapIs3d",
    "umapNeighbors",
    "umapMinDist",
    "pcaComponentDimensions",
    "customSelectedSearchByMetadataOption",
    "customXLeftText",
    "customXLeftRegex",
    "customXRightText",
    "customXRightRegex",
    "customYUpText",
    "customYUpRegex",
    "customYDownText",
    "customYDownRegex",
    "projections",
    "filteredPoints",
    "selectedPoints",
    "cameraDef",
    "selectedColorOptionName",
    "forceCategoricalColoring",
    "selectedLabelOption",
}


bytes_ = bytes  # a method has its name


class Backend:
    """TensorBoard's Projector plugin over a logdir, without a network."""

    def __init__(self, logdir: Path) -> None:
        from tensorboard.backend import application  # warns of its own html5lib

        runs = EventMultiplexer()
        runs.AddRunsFromDirectory(str(logdir))
        runs.Reload()
        provider = MultiplexerDataProvider(runs, str(logdir))
        context = base_plugin.TBContext(logdir=str(logdir), data_provider=provider)
        plugin = ProjectorPlugin(context)
        self.client = Client(application.TensorBoardWSGI([plugin], data_provider=provider))

    def bytes(self, route: str, **query: str) -> bytes_:
        answer = self.client.get(f"/data/plugin/projector/{route}", query_string=query)
        assert answer.status_code == 200, answer.text
        data: bytes_ = answer.data
        return data

    def json(self, route: str, **query: str) -> Any:
        return json.loads(self.bytes(route, **query))

    def tensors(self, run: str) -> dict[str, Any]:
        """What the config says of each tensor of `run`, by name."""
        return {found["tensorName"]: found for found in self.json("info", run=run)["embeddings"]}

    def tensor(self, run: str, name: str) -> NDArray[np.float32]:
        shape = self.tensors(run)[name]["tensorShape"]
        return np.asarray(
            np.frombuffer(self.bytes("tensor", run=run, name=name), np.float32).reshape(shape)
        )

    def sprite(self, run: str, name: str) -> UInt8Array:
        picture = Image.open(io.BytesIO(self.bytes("sprite_image", run=run, name=name)))
        return np.asarray(picture.convert("RGB"))
