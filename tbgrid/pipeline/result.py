"""The result of an export: its directory, the result of each stage, and the report."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tbgrid import run_format
from tbgrid.embedding.image_set import ImageSet
from tbgrid.grid.cells import Grid
from tbgrid.grid.layout import Layout
from tbgrid.grouping.groups import Groups
from tbgrid.mapping.arrange import MapResult
from tbgrid.metrics.report_card import ReportCard
from tbgrid.photos import SkippedFile
from tbgrid.types import Json

NOTEBOOK_SIDE = 1024  # px: the longest side of the mosaic in a notebook


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """A finished export. In a notebook it shows its mosaic and report card.

    Attributes:
        directory: of the run.
        export: the export's own directory below it.
        images: the photos with their vectors.
        map_result: layout, grid and report card.
        groups: duplicates and clusters.
        notes: what the user should know about how options were applied.
        seconds: wall time of each stage.
        report: what report.json holds.
    """

    directory: Path
    export: Path
    images: ImageSet
    map_result: MapResult
    groups: Groups
    notes: tuple[str, ...]
    seconds: Mapping[str, float]
    report: Json

    @property
    def layout(self) -> Layout:
        """The positions in the plane."""
        return self.map_result.layout

    @property
    def grid(self) -> Grid:
        """The cells."""
        return self.map_result.grid

    @property
    def card(self) -> ReportCard:
        """The quality of the map."""
        return self.map_result.card

    @property
    def skipped(self) -> tuple[SkippedFile, ...]:
        """The files that are not shown, with their reasons."""
        return self.images.skipped

    @property
    def mosaic(self) -> Path:
        """The mosaic's file."""
        return self.export / run_format.MOSAIC

    @property
    def skipped_tsv(self) -> Path:
        """The file that lists the skipped files with their reasons."""
        return self.export / run_format.SKIPPED

    def _repr_html_(self) -> str:
        with Image.open(self.mosaic) as board:
            board.thumbnail((NOTEBOOK_SIDE, NOTEBOOK_SIDE))
            buffer = io.BytesIO()
            board.save(buffer, "JPEG", quality=85)
        data = base64.b64encode(buffer.getvalue()).decode()
        rows = [("photos", f"{len(self.images.photos)}, {len(self.skipped)} skipped")]
        rows += [*self.map_result.summary_rows(), *self.groups.summary_rows()]
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for name, value in rows
        )
        return (
            f"<img alt='mosaic of {len(self.images.photos)} photos' style='max-width:100%' "
            f"src='data:image/jpeg;base64,{data}'><table>{cells}</table>"
        )
