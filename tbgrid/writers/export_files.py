"""What the files and the events of an export hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tbgrid import run_format
from tbgrid.embedding.embed import ImageSet
from tbgrid.grid.cells import format_gap
from tbgrid.grouping.groups import CLUSTER, Groups
from tbgrid.mapping.arrange import Arrangement
from tbgrid.progress import Progress
from tbgrid.run_format import DUPLICATES, LEDGER, MOSAIC, REPORT
from tbgrid.types import Float32Array, IntArray, Json, UInt8Array
from tbgrid.util.disk_arrays import drop_pages
from tbgrid.util.unique_names import unique_name
from tbgrid.vectors.neighbors import Neighbors
from tbgrid.vectors.pca import principal_components
from tbgrid.writers import deep_zoom, grid_tab, projector, report
from tbgrid.writers import mosaic as pictures
from tbgrid.writers.event_file import (
    HParamsSummary,
    ImageSummary,
    ScalarSummary,
    Summary,
    TextSummary,
    file_errors,
)
from tbgrid.writers.scatter import point_colours, scatter

MOSAIC_SIDE = 8192  # px: the longest side of the mosaic's file; the Grid tab has it in full
SHOWN_SIDE = 4096  # px: the longest side of a picture in the Images tab
FRAME_SIDE = 2048  # px: the longest side of one step of the snap
STEPS = 11  # of the progress of writing


@dataclass(frozen=True)
class Map:
    """All that is known when writing begins. `tiles`: what stands for each photo, the thumbnails
    or, without pictures, cells of one colour. `projected` int64[m]: the photos that the Projector
    shows; `tensors`: what the checkpoint holds of them. `alike`, `harmony`: see
    `tbgrid.vectors.neighbors`. `preview`: px, 0 if there are none."""

    title: str
    images: ImageSet
    tiles: UInt8Array
    projected: IntArray
    tensors: dict[str, Float32Array]
    arranged: Arrangement
    alike: Neighbors
    harmony: Float32Array
    groups: Groups
    report: Json
    preview: int
    _mosaics: dict[int, bytes] = field(default_factory=dict, repr=False)

    @property
    def seed(self) -> int:
        """Of the layout."""
        return int(self.report[self.arranged.layout.name]["seed"])

    def mosaic(self, tile: int) -> bytes:
        """The mosaic as JPEG, `tile` px a photo. What the Images tab shows is made only once."""
        if tile in self._mosaics:
            return self._mosaics[tile]
        grid = self.arranged.grid
        encoded = pictures.jpeg(pictures.mosaic(self.tiles, grid, tile))
        if tile * max(grid.rows, grid.columns) <= SHOWN_SIDE:
            self._mosaics[tile] = encoded
        return encoded


def plain_tiles(images: ImageSet, side: int) -> UInt8Array:
    """uint8[n, side, side, 3]: a cell of one colour for each point that has no picture."""
    components = principal_components(images.vectors, 3)
    span = np.ptp(components, axis=0)
    # Where vectors differ in fewer ways than three, the rest is rounding, and would be stretched.
    colours = point_colours(images.labels, np.where(span > 1e-4 * span.max(), components, 0))
    return np.broadcast_to(colours[:, None, None, :], (len(colours), side, side, 3))


def columns_of(
    images: ImageSet, groups: Mapping[str, list[object]] | None = None
) -> dict[str, list[object]]:
    """The metadata of each photo; labels first where there are any, since viewers start there, and
    `groups` last: of two columns of one name the user's own keeps it."""
    columns: dict[str, list[object]] = {}
    labels = images.labels
    if labels is not None:
        columns["label"] = list(labels)
    columns["path"] = [photo.name for photo in images.photos]
    if images.pictured:
        columns["width"] = images.sizes[:, 0].tolist()
        columns["height"] = images.sizes[:, 1].tolist()
    taken = set(columns)
    fields: list[tuple[str, list[object]]] = [
        (name, [photo.fields[index] for photo in images.photos])
        for index, name in enumerate(images.columns)
    ]
    for name, values in (*fields, *(groups or {}).items()):
        unique = unique_name(name, taken, ignore_case=True)
        taken.add(unique.lower())
        columns[unique] = values
    if len(columns) < 2:  # the Projector wants two
        columns["row"] = list(range(len(images.photos)))
    return columns


def write_files(folder: Path, done: Map, progress: Progress) -> None:
    """The files of the export's own directory, beside the previews, which are there already.

    Raises:
        OSError: one cannot be written.
    """
    images, grid = done.images, done.arranged.grid
    progress("write", 0, STEPS)
    groups = done.groups.columns()
    columns = columns_of(images, groups)
    clusters = next((name for name, told in columns.items() if told is groups.get(CLUSTER)), None)
    _write_projector(folder, done, columns, clusters, progress)
    drop_pages(done.tiles)
    progress("write", 3, STEPS)
    tile = pictures.tile_within(grid, done.tiles.shape[1], MOSAIC_SIDE)
    (folder / MOSAIC).write_bytes(done.mosaic(tile))
    progress("write", 4, STEPS)
    _write(folder / LEDGER, report.ledger_tsv([*images.skipped, *done.groups.left]))
    if done.groups.copies is not None:
        _write(folder / DUPLICATES, done.groups.tsv())
    _write(folder / REPORT, json.dumps(done.report, indent=1) + "\n")
    shown = folder / run_format.FOLDER
    shown.mkdir(exist_ok=True)
    drop_pages(done.tiles)
    cell = deep_zoom.write_pyramid(shown, done.tiles, grid)
    progress("write", 5, STEPS)
    grid_tab.write_tab_files(
        shown,
        images,
        grid,
        done.alike,
        done.harmony,
        columns,
        _manifest(done, cell),
        categories=[clusters] if clusters else [],
    )
    grid_tab.write_start(shown, done.arranged.layout.positions, images)
    drop_pages(done.tiles)
    progress("write", 6, STEPS)


def _write_projector(
    folder: Path,
    done: Map,
    columns: Mapping[str, Sequence[object]],
    clusters: str | None,
    progress: Progress,
) -> None:
    rows, images = done.projected, done.images
    layout, grid = done.arranged.layout, done.arranged.grid
    vectors, positions = images.vectors, layout.positions
    if len(rows) < len(images.photos):
        columns = {name: [values[row] for row in rows] for name, values in columns.items()}
        vectors, positions = vectors[rows], positions[rows]
        grid = replace(grid, cells=grid.cells[rows], places=grid.places[rows])
    with file_errors(folder / projector.CHECKPOINT):
        projector.write_checkpoint(folder / projector.CHECKPOINT, done.tensors)
    progress("write", 1, STEPS)
    _write(folder / projector.METADATA, projector.metadata_tsv(columns))
    states = projector.bookmarks(
        vectors,
        positions,
        grid,
        columns,
        layout.title,
        layout.perplexity,
        clusters,
    )
    _write(folder / projector.BOOKMARKS, projector.bookmarks_json(states))
    drop_pages(images.vectors)
    progress("write", 2, STEPS)
    if images.pictured:
        chosen = None if len(rows) == len(images.photos) else rows
        board = projector.sprite(images.thumbnails, chosen)
        (folder / projector.SPRITE).write_bytes(pictures.png(board))


def _manifest(done: Map, cell: int) -> Json:
    """What the Grid tab says of the export in words; `cell`: a photo's side in its pyramid."""
    model, chosen, shown = done.report["model"], done.report["grid"], len(done.images.photos)
    layout, grid = done.arranged.layout, done.arranged.grid
    summary = {
        "photos": f"{shown:,} shown, {len(done.images.skipped):,} left out",
        "model": model["name"],
        "metric": model["metric"],
        **({"fit": model["fit"]} if done.images.pictured else {}),
        "layout": layout.title,
        "seed": str(done.seed),
        "grid": f"{grid.rows} x {grid.columns}, {chosen['empty_cells']} cells empty",
        "solver": f"{grid.solver}; {format_gap(grid.gap)}",
    }
    return {
        "title": done.title,
        "model": model["name"],
        "layout": layout.name,
        "distance": model["metric"],
        "cell": cell,
        "preview": done.preview,
        "summary": [list(line) for line in summary.items()],
        "report": [list(line) for line in (*done.arranged.lines(), *done.groups.lines())],
        "notes": done.report["notes"],
    }


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8", newline="\n")


def summaries(done: Map, progress: Progress) -> Iterator[Summary]:
    """What the Images, Text, Scalars and HParams tabs show."""
    images, layout, grid = done.images, done.arranged.layout, done.arranged.grid
    thumbnails, side = done.tiles, done.tiles.shape[1]

    noun = "photos" if images.pictured else "points"

    def image(tag: str, step: int, encoded: bytes, description: str) -> ImageSummary:
        return ImageSummary(f"tbgrid/{tag}", step, encoded, description)

    yield image(
        "mosaic",
        0,
        done.mosaic(pictures.tile_within(grid, side, SHOWN_SIDE)),
        f"{len(thumbnails)} {noun} on a grid of {grid.rows} x {grid.columns}; look-alikes lie "
        "side by side. Click to enlarge.",
    )
    progress("write", 7, STEPS)
    if layout.cells is None:  # else the mosaic is all there is to see of it
        longest = FRAME_SIDE if len(thumbnails) < 2500 else SHOWN_SIDE
        places = f"{layout.name} places"
        yield image(
            layout.method,
            0,
            pictures.jpeg(pictures.scattered(thumbnails, layout.positions, longest, side)),
            f"The {noun} at their {places}.",
        )
        progress("write", 8, STEPS)
        tile = pictures.tile_within(grid, side, FRAME_SIDE)
        for step, frame in enumerate(pictures.snap_frames(thumbnails, grid, tile)):
            last = step == pictures.SNAP_STEPS - 1  # which is the mosaic
            encoded = done.mosaic(tile) if last else pictures.jpeg(frame)
            yield image("snap", step, encoded, f"From the {places} to the grid: move the slider.")
    progress("write", 9, STEPS)
    title = (
        f"{done.title}: {layout.name} of {len(thumbnails)} {noun}, {done.report['model']['name']}"
    )
    picture = scatter(layout.positions, images.labels, title)
    yield ImageSummary("tbgrid/scatter", 0, picture, "The photos as points, coloured by label.")
    told = {**done.report, "report card": dict(done.arranged.card.summary_rows())}
    yield TextSummary("tbgrid/report", report.markdown(told, images.skipped))
    for name, value in done.arranged.card.scalars().items():
        yield ScalarSummary(f"tbgrid/{name}", value)
    for name, value in done.report["seconds"].items():
        # An underscore sorts after a slash: so the HParams tab shows the report card first.
        yield ScalarSummary(f"tbgrid_seconds/{name.replace(' ', '_')}", value)
    model, chosen = done.report["model"], done.report["grid"]
    yield HParamsSummary(
        {
            "model": model["name"],
            "metric": model["metric"],
            "fit": model["fit"],
            "layout": layout.name,
            **({} if layout.perplexity is None else {"perplexity": layout.perplexity}),
            "seed": done.seed,
            "grid": f"{grid.rows}x{grid.columns}",
            "assignment_cost": chosen["assignment_cost"],
            "photos": len(images.photos),
        }
    )
