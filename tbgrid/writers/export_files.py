"""Writes the files of an export and the summaries of its event file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tbgrid import run_format
from tbgrid.embedding.image_set import ImageSet
from tbgrid.grid.cells import format_gap
from tbgrid.grouping.groups import CLUSTER
from tbgrid.progress import Progress
from tbgrid.types import Json
from tbgrid.util.disk_arrays import drop_pages
from tbgrid.util.unique_names import unique_name
from tbgrid.writers import deep_zoom, grid_tab, projector
from tbgrid.writers import mosaic as pictures
from tbgrid.writers.event_file import (
    HParamsSummary,
    ImageSummary,
    ScalarSummary,
    Summary,
    TextSummary,
    file_errors,
)
from tbgrid.writers.export_contents import IMAGE_SIDE, ExportContents
from tbgrid.writers.report import markdown, skipped_tsv
from tbgrid.writers.scatter import scatter

MOSAIC_SIDE = 8192  # px: the longest side of the mosaic's file; the Grid tab shows all pixels
FRAME_SIDE = 2048  # px: the longest side of one step of the snap
LARGE_SET = 2500  # photos from which the picture of the layout is as large as the mosaic
STEPS = 11  # of the progress of writing


def metadata_columns(
    images: ImageSet, groups: Mapping[str, list[object]] | None = None
) -> dict[str, list[object]]:
    """The metadata of the photos, column by column.

    Labels come first if there are any, since viewers start with the first column. `groups` come
    last, so that of two columns of one name the user's keeps it; the other gets a number.

    Args:
        images: the photos, n.
        groups: further columns, n values each.

    Returns:
        name -> n values, at least two columns.
    """
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
    if len(columns) < 2:  # the Projector needs two
        columns["row"] = list(range(len(images.photos)))
    return columns


def write_files(folder: Path, contents: ExportContents, report: Json, progress: Progress) -> None:
    """Write the files of an export into its own directory, where the previews are already.

    Args:
        folder: the directory.
        contents: the parts.
        report: see `build_report`.
        progress: is called with "write".

    Raises:
        OSError: a file cannot be written.
    """
    images, grid = contents.images, contents.map_result.grid
    progress("write", 0, STEPS)
    groups = contents.groups.columns()
    columns = metadata_columns(images, groups)
    clusters = next((name for name, values in columns.items() if values is groups.get(CLUSTER)), "")
    _write_projector(folder, contents, columns, clusters, progress)
    drop_pages(contents.tiles)
    progress("write", 3, STEPS)
    tile = pictures.tile_within(grid, contents.tiles.shape[1], MOSAIC_SIDE)
    (folder / run_format.MOSAIC).write_bytes(contents.mosaic(tile))
    progress("write", 4, STEPS)
    skipped = [*images.skipped, *contents.groups.collapsed]
    _write_text(folder / run_format.SKIPPED, skipped_tsv(skipped))
    if contents.groups.copies is not None:
        _write_text(folder / run_format.DUPLICATES, contents.groups.tsv())
    _write_text(folder / run_format.REPORT, json.dumps(report, indent=1) + "\n")
    tab = folder / run_format.FOLDER
    tab.mkdir(exist_ok=True)
    drop_pages(contents.tiles)
    cell = deep_zoom.write_pyramid(tab, contents.tiles, grid)
    progress("write", 5, STEPS)
    grid_tab.write_tab_files(
        tab,
        images,
        grid,
        contents.neighbors,
        contents.harmony,
        columns,
        _manifest(contents, cell),
        categories=[clusters] if clusters else [],
    )
    grid_tab.write_warm_start_files(tab, contents.map_result.layout.positions, images)
    drop_pages(contents.tiles)
    progress("write", 6, STEPS)


def _write_projector(
    folder: Path,
    contents: ExportContents,
    columns: Mapping[str, Sequence[object]],
    clusters: str,
    progress: Progress,
) -> None:
    """Write checkpoint, metadata, bookmarks and sprite; `clusters` names their column."""
    rows, images = contents.projected, contents.images
    layout, grid = contents.map_result.layout, contents.map_result.grid
    vectors, positions = images.vectors, layout.positions
    if len(rows) < len(images.photos):
        columns = {name: [values[row] for row in rows] for name, values in columns.items()}
        vectors, positions = vectors[rows], positions[rows]
        grid = replace(grid, cells=grid.cells[rows], places=grid.places[rows])
    with file_errors(folder / run_format.CHECKPOINT_PREFIX):
        projector.write_checkpoint(folder / run_format.CHECKPOINT_PREFIX, contents.tensors)
    progress("write", 1, STEPS)
    _write_text(folder / run_format.METADATA, projector.metadata_tsv(columns))
    states = projector.bookmarks(
        vectors,
        positions,
        grid,
        columns,
        layout.title,
        layout.perplexity,
        clusters or None,
    )
    _write_text(folder / run_format.BOOKMARKS, projector.bookmarks_json(states))
    drop_pages(images.vectors)
    progress("write", 2, STEPS)
    if images.pictured:
        chosen = None if len(rows) == len(images.photos) else rows
        board = projector.sprite(images.thumbnails, chosen)
        (folder / run_format.SPRITE).write_bytes(pictures.png(board))


def _manifest(contents: ExportContents, cell: int) -> Json:
    """The texts of the Grid tab's manifest; `cell`: a photo's side in the pyramid, in pixels."""
    images, model = contents.images, contents.model
    layout, grid = contents.map_result.layout, contents.map_result.grid
    empty = grid.rows * grid.columns - len(images.photos)
    summary = {
        "photos": f"{len(images.photos):,} shown, {len(images.skipped):,} skipped",
        "model": model.model_id,
        "metric": model.metric,
        **({"fit": contents.options.fit} if images.pictured else {}),
        "layout": layout.title,
        "seed": str(contents.options.tsne.seed),
        "grid": f"{grid.rows} x {grid.columns}, {empty} cells empty",
        "solver": f"{grid.solver}; {format_gap(grid.gap)}",
    }
    rows = (*contents.map_result.summary_rows(), *contents.groups.summary_rows())
    return {
        "title": contents.title,
        "model": model.model_id,
        "layout": layout.name,
        "metric": model.metric,
        "cell": cell,
        "preview": contents.preview,
        "summary": [list(row) for row in summary.items()],
        "report": [list(row) for row in rows],
        "notes": list(contents.notes),
    }


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, "utf-8", newline="\n")


def summaries(contents: ExportContents, report: Json, progress: Progress) -> Iterator[Summary]:
    """What the Images, Text, Scalars and HParams tabs show.

    Args:
        contents: the parts.
        report: see `build_report`.
        progress: is called with "write".
    """
    map_result, model = contents.map_result, contents.model
    layout, grid, count = map_result.layout, map_result.grid, len(contents.images.photos)
    yield from _pictures(contents, progress)
    progress("write", 9, STEPS)
    title = f"{contents.title}: {layout.name} of {count} {_noun(contents)}, {model.model_id}"
    picture = scatter(layout.positions, contents.images.labels, title)
    description = f"One point for each of the {_noun(contents)}, coloured by label."
    yield ImageSummary("tbgrid/scatter", 0, picture, description)
    texts = {**report, "report card": dict(map_result.card.summary_rows())}
    yield TextSummary("tbgrid/report", markdown(texts, contents.images.skipped))
    for name, value in map_result.card.scalars().items():
        yield ScalarSummary(f"tbgrid/{name}", value)
    for name, value in contents.seconds.items():
        # An underscore sorts after a slash, so that the HParams tab shows the report card first.
        yield ScalarSummary(f"tbgrid_seconds/{name.replace(' ', '_')}", value)
    yield HParamsSummary(
        {
            "model": model.model_id,
            "metric": model.metric,
            "fit": contents.options.fit,
            "layout": layout.name,
            **({} if layout.perplexity is None else {"perplexity": layout.perplexity}),
            "seed": contents.options.tsne.seed,
            "grid": f"{grid.rows}x{grid.columns}",
            "assignment_cost": contents.options.grid.assignment_cost,
            "photos": count,
        }
    )


def _noun(contents: ExportContents) -> str:
    return "photos" if contents.images.pictured else "points"


def _pictures(contents: ExportContents, progress: Progress) -> Iterator[ImageSummary]:
    """The mosaic, the layout and the steps from the layout to the grid."""
    layout, grid = contents.map_result.layout, contents.map_result.grid
    tiles, side, noun = contents.tiles, contents.tiles.shape[1], _noun(contents)
    yield ImageSummary(
        "tbgrid/mosaic",
        0,
        contents.mosaic(pictures.tile_within(grid, side, IMAGE_SIDE)),
        f"{len(tiles)} {noun} on a grid of {grid.rows} x {grid.columns}, with similar ones side "
        "by side. Click to enlarge.",
    )
    progress("write", 7, STEPS)
    if layout.cells is not None:  # the layout is the grid itself
        return
    longest = FRAME_SIDE if len(tiles) < LARGE_SET else IMAGE_SIDE
    yield ImageSummary(
        f"tbgrid/{layout.method}",
        0,
        pictures.jpeg(pictures.scatter_photos(tiles, layout.positions, longest, side)),
        f"The {noun} at their {layout.name} positions.",
    )
    progress("write", 8, STEPS)
    tile = pictures.tile_within(grid, side, FRAME_SIDE)
    for step, frame in enumerate(pictures.snap_frames(tiles, grid, tile)):
        last = step == pictures.SNAP_STEPS - 1  # equals the mosaic
        yield ImageSummary(
            "tbgrid/snap",
            step,
            contents.mosaic(tile) if last else pictures.jpeg(frame),
            f"From the {layout.name} positions to the grid; move the slider.",
        )
