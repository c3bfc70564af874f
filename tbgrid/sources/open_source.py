"""Opens folders, patterns, manifests and arrays as a source of photos."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tbgrid.errors import TbgridError, UsageError, option
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
    """Open photos that are not embedded yet; see `tbgrid.open_source`.

    Args:
        source: a folder, a pattern, a manifest or an array; None for precomputed vectors alone,
            whose rows are points without pictures.
        options: which photos, and what is joined to them.

    Raises:
        TbgridError: the source cannot be used, or its parts do not fit each other.
        UsageError: neither a source nor vectors are given.
    """
    options = options or SourceOptions()
    for file in (options.metadata, options.vectors):
        if file is not None and _is_pipe(Path(file)):
            raise TbgridError(f"{printable(file)} is not a regular file", "save it to a file first")
    vectors = None if options.vectors is None else arrays.read_vectors(options.vectors)
    if source is None:
        if vectors is None or options.vectors is None:
            raise UsageError("no photos", WAY_OUT)
        found = _points(len(vectors), options)
    else:
        found = _open(source, options)
        if options.metadata is not None:
            found = with_metadata(found, options.metadata)
    if vectors is not None:
        found = _with_vectors(found, vectors, printable(Path(options.vectors or "").name))
    return select_photos(found, options)


def _is_pipe(path: Path) -> bool:
    """Whether reading would wait for a writer. Other problems are reported when it is read."""
    try:
        return path.is_fifo()
    except OSError:
        return False


def _open(source: str | os.PathLike[str], options: SourceOptions) -> Source:
    path, text = Path(source), os.fspath(source)
    if is_file(path):
        if path.suffix.lower() in tables.SUFFIXES:
            return read_manifest(path, pictured=options.vectors is None)
        if arrays.is_array_file(path):
            return _read_array(path)
        raise TbgridError(f"{printable(path)} is a file of an unsupported type", WAY_OUT)
    if "://" in text:
        raise TbgridError(f"{printable(text)} is a URL", f"download it, and {WAY_OUT}")
    is_pattern = glob.has_magic(text) and not os.path.lexists(path)
    found = find_pattern(text) if is_pattern else find_photos(path)
    return _without_files(found, options.metadata, options.vectors)


def _without_files(source: Source, *others: str | os.PathLike[str] | None) -> Source:
    """`source` without the files that options name, which may lie among the photos."""
    files = {os.path.realpath(other) for other in others if other is not None}
    names = {Path(file).name for file in files}
    kept = [
        photo
        for photo in source.photos
        if not (photo.path and photo.path.name in names and os.path.realpath(photo.path) in files)
    ]
    if not kept:
        raise TbgridError(f"no photos in {source.name}", WAY_OUT)
    photos = tuple(replace(photo, row=row) for row, photo in enumerate(kept))
    return replace(source, photos=photos, listed=len(photos))


def _read_array(path: Path) -> Source:
    images, labels = arrays.read_images(path)
    photos = tuple(
        Photo(
            path=None, name=name, label=labels[row] if labels else None, pixels=images[row], row=row
        )
        for row, name in enumerate(row_names(len(images)))
    )
    return Source(name=printable(path.name.partition(".")[0]), photos=photos, listed=len(photos))


def _points(count: int, options: SourceOptions) -> Source:
    """One point without a picture per vector."""
    if options.metadata is not None:
        return read_points(Path(options.metadata))
    photos = tuple(
        Photo(path=None, name=name, row=row) for row, name in enumerate(row_names(count))
    )
    name = printable(Path(options.vectors or "").stem)
    return Source(name=name, photos=photos, listed=count, pictured=False)


def _with_vectors(found: Source, vectors: Float32Array, name: str) -> Source:
    """`found` with precomputed vectors; photos whose vector is not finite are skipped."""
    if len(vectors) != found.listed:
        raise TbgridError(
            f"{name} has {len(vectors)} rows for {found.listed} photos",
            "use one row per photo, in the same order",
        )
    finite = np.asarray(np.isfinite(vectors).all(axis=1))
    kept = tuple(photo for photo in found.photos if finite[photo.row])
    not_finite = tuple(
        SkippedFile(photo.name, f"row {photo.row} of {name} is not finite")
        for photo in found.photos
        if not finite[photo.row]
    )
    if not kept:
        raise TbgridError(f"{name} has no finite row", "use vectors without NaN or infinity")
    return replace(found, photos=kept, skipped=found.skipped + not_finite, vectors=vectors)


def select_photos(found: Source, options: SourceOptions) -> Source:
    """Apply the patterns, the sample and the limit of `options`, each with a note.

    Raises:
        TbgridError: no photo matches the patterns.
    """
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
                f"none of {len(photos)} photos passes {option('source.include')} and "
                f"{option('source.exclude')}",
                f"patterns are compared with names such as {photos[0].name}",
            )
        if len(passed) < len(photos):
            notes.append(f"{len(photos) - len(passed)} photos excluded by the name patterns")
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
    """Whether a pattern matches the whole name or its last part."""
    base = name.rpartition("/")[2]
    return any(fnmatch.fnmatchcase(part, p) for p in patterns for part in (name, base))
