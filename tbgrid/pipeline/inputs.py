"""What a job is given: photos of any source, or photos that are embedded already."""

from __future__ import annotations

import os
from pathlib import Path

from tbgrid.embedding.shard_index import is_embedded
from tbgrid.embedding.shards import open_shards
from tbgrid.errors import UsageError
from tbgrid.options import SourceOptions
from tbgrid.photos import Source
from tbgrid.run_format import printable
from tbgrid.sources.manifests import with_metadata
from tbgrid.sources.open_source import chosen, open_photos


def open_source(
    source: str | os.PathLike[str] | None, options: SourceOptions | None = None
) -> Source:
    """The photos of a folder, a pattern, a manifest, an array or a directory of embedded photos
    (`tbgrid.embedding.shards`), chosen and joined by `options`.

    Without a `source` the rows are those of the vectors, and there are no pictures.

    Raises:
        TbgridError: nothing usable is there, or the parts do not fit each other.
        UsageError: neither a source nor vectors.
    """
    options = options or SourceOptions()
    if source is None or not is_embedded(Path(source)):
        return open_photos(source, options)
    if options.vectors is not None:
        raise UsageError(f"{printable(source)} holds vectors already", "leave out --vectors")
    found = open_shards(Path(source))
    if options.metadata is not None:
        found = with_metadata(found, options.metadata)
    return chosen(found, options)
