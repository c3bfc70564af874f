"""What a source is made of: photos, the files that were skipped, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tbgrid.types import Float32Array, UInt8Array

NO_LABEL = "(none)"


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One row of the map. Its picture is the file at `path` or `pixels`; it may have neither.

    Attributes:
        name: the path relative to the source, with slashes.
        path: the file, or None.
        label: its class, or None.
        pixels: uint8[h, w] or uint8[h, w, 3], or None.
        fields: its values in the further columns of the source.
        row: its row among all that were listed, which is that of its vector in `Source.vectors`.
    """

    name: str
    path: Path | None = None
    label: str | None = None
    pixels: UInt8Array | None = field(default=None, repr=False, compare=False)
    fields: tuple[str, ...] = ()
    row: int = 0


@dataclass(frozen=True)
class SkippedFile:
    """A file that is not shown.

    Attributes:
        name: the name that its photo would have.
        reason: why it is not shown.
    """

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """Photos to make a map of, in the order of its rows.

    Attributes:
        name: the title of the map.
        photos: the photos to show.
        skipped: files that were skipped before any was decoded.
        listed: the number of rows that were listed, with those that were skipped.
        columns: the names of the photos' `fields`.
        vectors: float32[listed, d], precomputed embeddings, or None.
        pictured: whether there are pictures at all.
        notes: what the user should know about the choice of photos.
        shards: the directory with the embedded photos (`tbgrid.embedding.shards`), or None.
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
