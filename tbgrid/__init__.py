"""tbgrid: turn a folder of photos into a TensorBoard run in which look-alikes lie side by side.

``tbgrid.export("photos", "runs/photos")`` runs the whole job. Each stage also works alone:
`open_source`, `load_embedder`, `embed`, `layout`, `snap`, `refine`, `report_card`, `mosaic`. Names
are imported on first use, so that ``import tbgrid`` is quick and never loads TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tbgrid.version import __version__ as __version__

_HOME = {
    "export": "pipeline.export",
    "ExportOptions": "options",
    "ExportResult": "pipeline.result",
    "compare": "pipeline.compare",
    "Comparison": "pipeline.compare",
    "embed_shards": "pipeline.embed_shards",
    "EmbedResult": "pipeline.embed_shards",
    "ShardIndex": "embedding.shard_index",
    "find_photos": "sources.folders",
    "open_source": "pipeline.inputs",
    "SourceOptions": "options",
    "Source": "photos",
    "Photo": "photos",
    "SkippedFile": "photos",
    "decode": "embedding.decode",
    "Decoded": "embedding.decode",
    "load_embedder": "embedding.load_embedder",
    "Embedder": "types",
    "ModelInfo": "embedding.model_info",
    "Metric": "choices",
    "embed": "embedding.embed",
    "ImageSet": "embedding.image_set",
    "Cache": "util.cache",
    "find_neighbors": "vectors.neighbors",
    "Neighbors": "vectors.neighbors",
    "layout": "layouts.methods",
    "tsne": "layouts.tsne",
    "Layout": "grid.layout",
    "TsneOptions": "options",
    "snap": "grid.snap",
    "Grid": "grid.cells",
    "Refinement": "grid.cells",
    "GridOptions": "options",
    "GroupOptions": "options",
    "mosaic": "writers.mosaic",
    "refine": "grid.refine",
    "RefineOptions": "options",
    "report_card": "metrics.report_card",
    "ReportCard": "metrics.report_card",
    "GridCallback": "training.keras_callback",
    "GridWriter": "training.grid_writer",
    "Progress": "progress",
    "bars": "progress",
    "TbgridError": "errors",
    "UsageError": "errors",
}
__all__ = ["__version__", *_HOME]

if TYPE_CHECKING:
    from tbgrid.choices import Metric as Metric
    from tbgrid.embedding.decode import Decoded as Decoded
    from tbgrid.embedding.decode import decode as decode
    from tbgrid.embedding.embed import embed as embed
    from tbgrid.embedding.image_set import ImageSet as ImageSet
    from tbgrid.embedding.load_embedder import load_embedder as load_embedder
    from tbgrid.embedding.model_info import ModelInfo as ModelInfo
    from tbgrid.embedding.shard_index import ShardIndex as ShardIndex
    from tbgrid.errors import TbgridError as TbgridError
    from tbgrid.errors import UsageError as UsageError
    from tbgrid.grid.cells import Grid as Grid
    from tbgrid.grid.cells import Refinement as Refinement
    from tbgrid.grid.layout import Layout as Layout
    from tbgrid.grid.refine import refine as refine
    from tbgrid.grid.snap import snap as snap
    from tbgrid.layouts.methods import layout as layout
    from tbgrid.layouts.tsne import tsne as tsne
    from tbgrid.metrics.report_card import ReportCard as ReportCard
    from tbgrid.metrics.report_card import report_card as report_card
    from tbgrid.options import ExportOptions as ExportOptions
    from tbgrid.options import GridOptions as GridOptions
    from tbgrid.options import GroupOptions as GroupOptions
    from tbgrid.options import RefineOptions as RefineOptions
    from tbgrid.options import SourceOptions as SourceOptions
    from tbgrid.options import TsneOptions as TsneOptions
    from tbgrid.photos import Photo as Photo
    from tbgrid.photos import SkippedFile as SkippedFile
    from tbgrid.photos import Source as Source
    from tbgrid.pipeline.compare import Comparison as Comparison
    from tbgrid.pipeline.compare import compare as compare
    from tbgrid.pipeline.embed_shards import EmbedResult as EmbedResult
    from tbgrid.pipeline.embed_shards import embed_shards as embed_shards
    from tbgrid.pipeline.export import export as export
    from tbgrid.pipeline.inputs import open_source as open_source
    from tbgrid.pipeline.result import ExportResult as ExportResult
    from tbgrid.progress import Progress as Progress
    from tbgrid.progress import bars as bars
    from tbgrid.sources.folders import find_photos as find_photos
    from tbgrid.training.grid_writer import GridWriter as GridWriter
    from tbgrid.training.keras_callback import GridCallback as GridCallback
    from tbgrid.types import Embedder as Embedder
    from tbgrid.util.cache import Cache as Cache
    from tbgrid.vectors.neighbors import Neighbors as Neighbors
    from tbgrid.vectors.neighbors import find_neighbors as find_neighbors
    from tbgrid.writers.mosaic import mosaic as mosaic


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tbgrid' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tbgrid.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
