"""Opens every kind of source, photos that are embedded already among them."""

from __future__ import annotations

import os
from pathlib import Path

from tbgrid.embedding.shard_index import is_embedded
from tbgrid.embedding.shards import open_shards
from tbgrid.errors import UsageError, option
from tbgrid.options import SourceOptions
from tbgrid.photos import Source
from tbgrid.run_format import printable
from tbgrid.sources.manifests import with_metadata
from tbgrid.sources.open_source import open_photos, select_photos


def open_source(
    source: str | os.PathLike[str] | None, options: SourceOptions | None = None
) -> Source:
    """Open photos.

    Args:
        source: a folder, a pattern such as "photos/**/*.jpg", a CSV or TSV manifest, an array file
            (.npy, .npz, idx), or a directory that `tbgrid.embed_shards` has written; None for
            precomputed vectors alone, whose rows are points without pictures.
        options: which photos, and what is joined to them.

    Raises:
        TbgridError: the source cannot be used, or its parts do not fit each other.
        UsageError: neither a source nor vectors are given, or vectors for embedded photos.
    """
    options = options or SourceOptions()
    if source is None or not is_embedded(Path(source)):
        return open_photos(source, options)
    if options.vectors is not None:
        raise UsageError(
            f"{printable(source)} has vectors already", f"leave out {option('source.vectors')}"
        )
    found = open_shards(Path(source))
    if options.metadata is not None:
        found = with_metadata(found, options.metadata)
    return select_photos(found, options)
