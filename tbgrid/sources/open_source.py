"""What a user brings becomes a list of photos with labels and metadata."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tbgrid.errors import TbgridError, UsageError
from tbgrid.options import SourceOptions
from tbgrid.photos import Photo, SkippedFile, Source
from tbgrid.run_format import printable
from tbgrid.sources import arrays, tables
from tbgrid.sources.folders import WAY_OUT, find_pattern, find_photos, is_file
from tbgrid.sources.manifests import read_manifest, read_points, row_names, with_metadata
from tbgrid.types import Float32Array
from tbgrid.util.sampling import stratified_sample


def open_photos(
    source: str | os.PathLike[str] | None, options: SourceOptions | None = None
) -> Source:
    """The photos of a folder, a pattern, a manifest or an array, chosen and joined by `options`.

    Without a `source` the rows are those of the vectors, and there are no pictures.

    Raises:
        TbgridError: nothing usable is there, or the parts do not fit each other.
        UsageError: neither a source nor vectors.
    """
    options = options or SourceOptions()
    for beside in (options.metadata, options.vectors):
        if beside is not None and _is_pipe(Path(beside)):
            raise TbgridError(f"{printable(beside)} is no file", "give a file of that kind")
    vectors = None if options.vectors is None else arrays.read_vectors(options.vectors)
    if source is None:
        if vectors is None or options.vectors is None:
            raise UsageError("no photos", WAY_OUT)
        found = _points(len(vectors), options)
    else:
        found = _find(source, options)
        if options.metadata is not None:
            found = with_metadata(found, options.metadata)
    if vectors is not None:
        found = _with_vectors(found, vectors, printable(Path(options.vectors or "").name))
    return chosen(found, options)


def _is_pipe(path: Path) -> bool:
    """Whether reading would wait for a writer; what cannot be reached is told of on reading."""
    try:
        return path.is_fifo()
    except OSError:
        return False


def _find(source: str | os.PathLike[str], options: SourceOptions) -> Source:
    path, text = Path(source), os.fspath(source)
    if is_file(path):
        if path.suffix.lower() in tables.SUFFIXES:
            return read_manifest(path, pictured=options.vectors is None)
        if arrays.is_array_file(path):
            return _read_array(path)
        raise TbgridError(f"{printable(path)} is a file of a kind that is not read", WAY_OUT)
    if "://" in text:
        raise TbgridError(f"{printable(text)} is a URL", f"download it, and {WAY_OUT}")
    is_pattern = glob.has_magic(text) and not os.path.lexists(path)
    found = find_pattern(text) if is_pattern else find_photos(path)
    return _without(found, options.metadata, options.vectors)


def _without(found: Source, *others: str | os.PathLike[str] | None) -> Source:
    """`found` without the files that the options name, which may lie among the photos."""
    files = {os.path.realpath(other) for other in others if other is not None}
    names = {Path(file).name for file in files}
    kept = [
        photo
        for photo in found.photos
        if not (photo.path and photo.path.name in names and os.path.realpath(photo.path) in files)
    ]
    if not kept:
        raise TbgridError(f"no photos in {found.name}", WAY_OUT)
    photos = tuple(replace(photo, row=row) for row, photo in enumerate(kept))
    return replace(found, photos=photos, listed=len(photos))


def _read_array(path: Path) -> Source:
    images, labels = arrays.read_images(path)
    photos = tuple(
        Photo(None, name, labels[row] if labels else None, images[row], row=row)
        for row, name in enumerate(row_names(len(images)))
    )
    return Source(printable(path.name.partition(".")[0]), photos, listed=len(photos))


def _points(count: int, options: SourceOptions) -> Source:
    """A point without a picture for each vector."""
    if options.metadata is not None:
        return read_points(Path(options.metadata))
    photos = tuple(Photo(None, name, row=row) for row, name in enumerate(row_names(count)))
    name = printable(Path(options.vectors or "").stem)
    return Source(name, photos, listed=count, pictured=False)


def _with_vectors(found: Source, vectors: Float32Array, name: str) -> Source:
    """Vectors from elsewhere; rows whose vector is not finite leave with their reason."""
    if len(vectors) != found.listed:
        raise TbgridError(
            f"{name} has {len(vectors)} rows for {found.listed} photos",
            "give one row for each photo, in the same order",
        )
    finite = np.asarray(np.isfinite(vectors).all(axis=1))
    kept = tuple(photo for photo in found.photos if finite[photo.row])
    left = tuple(
        SkippedFile(photo.name, f"row {photo.row} of {name} is not finite")
        for photo in found.photos
        if not finite[photo.row]
    )
    if not kept:
        raise TbgridError(f"{name} holds no finite row", "give vectors without NaN or infinity")
    return replace(found, photos=kept, skipped=found.skipped + left, vectors=vectors)


def chosen(found: Source, options: SourceOptions) -> Source:
    """The photos that pass the patterns, the sample and the limit; what that left is noted."""
    photos, notes = found.photos, list(found.notes)
    if options.include or options.exclude:
        passed = [
            photo
            for photo in photos
            if (not options.include or _matches(photo.name, options.include))
            and not _matches(photo.name, options.exclude)
        ]
        if not passed:
            raise TbgridError(
                f"no photo of {len(photos)} passes --include and --exclude",
                f"patterns are matched to names such as {photos[0].name}",
            )
        if len(passed) < len(photos):
            notes.append(f"{len(photos) - len(passed)} photos left by --include and --exclude")
        photos = tuple(passed)
    if options.sample is not None and options.sample < len(photos):
        notes.append(f"a sample of {options.sample} of {len(photos)} photos (seed {options.seed})")
        labels = [photo.label for photo in photos]
        rows = stratified_sample(labels, options.sample, options.seed)
        photos = tuple(photos[row] for row in rows)
    if options.limit is not None and options.limit < len(photos):
        notes.append(f"the first {options.limit} of {len(photos)} photos")
        photos = photos[: options.limit]
    return replace(found, photos=photos, notes=tuple(notes))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern fits the whole name or its last part."""
    base = name.rpartition("/")[2]
    return any(fnmatch.fnmatchcase(part, p) for p in patterns for part in (name, base))
