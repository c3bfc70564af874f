"""tbgrid: a folder of photos becomes a TensorBoard run in which look-alikes lie side by side.

``tbgrid.export("photos", "runs/photos")`` runs the whole job. Each stage can be used alone:
`find_photos`, `load_embedder`, `embed`, `tsne`, `snap`, `mosaic`. Names are imported when first
used, so that ``import tbgrid`` costs nothing and never loads TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "export": "pipeline",
    "ExportOptions": "options",
    "ExportResult": "results",
    "compare": "comparison",
    "Comparison": "comparison",
    "embed_shards": "runners",
    "EmbedResult": "runners",
    "find_photos": "folders",
    "open_source": "sources",
    "SourceOptions": "sources",
    "Source": "types",
    "Photo": "types",
    "Rejected": "types",
    "decode": "images",
    "load_embedder": "embedders",
    "embed": "embeddings",
    "ImageSet": "embeddings",
    "tsne": "layout",
    "Layout": "layout",
    "TsneOptions": "layout",
    "snap": "grid",
    "Grid": "grid",
    "GridOptions": "grid",
    "GroupOptions": "groups",
    "mosaic": "artifacts.mosaic",
    "refine": "refinement",
    "RefineOptions": "refinement",
    "report_card": "cards",
    "GridCallback": "callback",
    "GridWriter": "frames",
    "bars": "console",
    "TbgridError": "errors",
    "UsageError": "errors",
}
__all__ = ["__version__", *_HOME]

if TYPE_CHECKING:
    from tbgrid.artifacts.mosaic import mosaic as mosaic
    from tbgrid.callback import GridCallback as GridCallback
    from tbgrid.cards import report_card as report_card
    from tbgrid.comparison import Comparison as Comparison
    from tbgrid.comparison import compare as compare
    from tbgrid.console import bars as bars
    from tbgrid.embedders import load_embedder as load_embedder
    from tbgrid.embeddings import ImageSet as ImageSet
    from tbgrid.embeddings import embed as embed
    from tbgrid.errors import TbgridError as TbgridError
    from tbgrid.errors import UsageError as UsageError
    from tbgrid.folders import find_photos as find_photos
    from tbgrid.frames import GridWriter as GridWriter
    from tbgrid.grid import Grid as Grid
    from tbgrid.grid import GridOptions as GridOptions
    from tbgrid.grid import snap as snap
    from tbgrid.groups import GroupOptions as GroupOptions
    from tbgrid.images import decode as decode
    from tbgrid.layout import Layout as Layout
    from tbgrid.layout import TsneOptions as TsneOptions
    from tbgrid.layout import tsne as tsne
    from tbgrid.options import ExportOptions as ExportOptions
    from tbgrid.pipeline import export as export
    from tbgrid.refinement import RefineOptions as RefineOptions
    from tbgrid.refinement import refine as refine
    from tbgrid.results import ExportResult as ExportResult
    from tbgrid.runners import EmbedResult as EmbedResult
    from tbgrid.runners import embed_shards as embed_shards
    from tbgrid.sources import SourceOptions as SourceOptions
    from tbgrid.sources import open_source as open_source
    from tbgrid.types import Photo as Photo
    from tbgrid.types import Rejected as Rejected
    from tbgrid.types import Source as Source


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tbgrid' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tbgrid.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
