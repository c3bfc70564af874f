"""What a source is made of: photos, the files that were skipped, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tbgrid.types import Float32Array, UInt8Array

NO_LABEL = "(none)"


@dataclass(frozen=True)
class Photo:
    """A row of the map. `name`: its path relative to the source, with slashes.

    Its picture is the file at `path`, or `pixels` (uint8[h, w] or [h, w, 3]), or there is none.
    `fields`: its values of the source's further columns. `row`: its place in the list that
    vectors from elsewhere follow.
    """

    path: Path | None
    name: str
    label: str | None = None
    pixels: UInt8Array | None = field(default=None, repr=False, compare=False)
    fields: tuple[str, ...] = ()
    row: int = 0


@dataclass(frozen=True)
class SkippedFile:
    """A file that is not shown, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Source:
    """What was found: `photos` in the order of rows, and what could not even be tried.

    `listed`: how many rows there were, also those that cannot be tried. `columns` names the
    further metadata; `vectors` float32[listed, d] from elsewhere, at `vectors[photo.row]`;
    `pictured` is False where there are no pictures at all. `shards`: the directory that holds the
    photos embedded already (`embedding.shards`); `photo.row` is then their place among all that
    were listed for it.
    """

    name: str
    photos: tuple[Photo, ...]
    skipped: tuple[SkippedFile, ...] = ()
    listed: int = 0
    columns: tuple[str, ...] = ()
    vectors: Float32Array | None = field(default=None, repr=False, compare=False)
    pictured: bool = True
    notes: tuple[str, ...] = ()
    shards: Path | None = None
