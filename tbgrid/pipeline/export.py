"""Makes a TensorBoard run of photos: the one place where all stages meet."""

from __future__ import annotations

import os
from pathlib import Path

from tbgrid.grouping.picture_keys import picture_keys
from tbgrid.layouts.tsne import choose_perplexity
from tbgrid.mapping.arrange import arrange
from tbgrid.mapping.previous_run import PreviousRun, read_previous_run
from tbgrid.mapping.warm_start import WarmStart
from tbgrid.options import ExportOptions
from tbgrid.photos import Source
from tbgrid.pipeline.result import ExportResult
from tbgrid.pipeline.stages import EmbeddedSet, embed_stage, find_stage
from tbgrid.pipeline.write_run import write_run
from tbgrid.progress import Progress, silent
from tbgrid.types import Embedder
from tbgrid.util.cache import open_cache
from tbgrid.util.threads import limit_threads
from tbgrid.util.timing import Times
from tbgrid.writers import run_directory


def export(
    source: str | os.PathLike[str] | Source | None,
    logdir: str | os.PathLike[str],
    options: ExportOptions | None = None,
    *,
    run_name: str | None = None,
    embedder: Embedder | None = None,
    progress: Progress = silent,
) -> ExportResult:
    """Turn photos into a TensorBoard run. An earlier export at its place is replaced at the end.

    Args:
        source: a folder, a pattern, a manifest, an array, a directory of embedded photos or a
            `Source` (see `tbgrid.open_source`); None for precomputed vectors alone.
        logdir: the directory that TensorBoard opens; without `run_name` the run itself.
        options: how the export is made.
        run_name: the name of the run below `logdir`.
        embedder: used instead of `options.model`.
        progress: called as the stages proceed, such as `tbgrid.bars`.

    Raises:
        UsageError: an invalid option or combination of options.
        TbgridError: the source, the model or the directory of the run cannot be used.
    """
    options = options or ExportOptions()
    directory = run_directory.run_directory(logdir, run_name)
    times = Times()
    previous = None if options.like is None else read_previous_run(Path(options.like))
    found = find_stage(source, options, [directory], times, progress)
    with run_directory.claim_run(directory) as staging, open_cache(options) as cache:
        embedded = embed_stage(
            found,
            options,
            embedder,
            staging=staging,
            cache=cache,
            times=times,
            progress=progress,
        )
        images = embedded.images
        with limit_threads(len(images.photos)):
            map_result = arrange(
                images.vectors,
                images.labels,
                embedded.model.metric,
                embedded.options,
                cache,
                start=None if previous is None else _warm_start(previous, embedded),
                times=times,
                progress=progress,
            )
            return write_run(directory, staging, embedded, map_result, cache, progress=progress)


def _warm_start(previous: PreviousRun, embedded: EmbeddedSet) -> WarmStart:
    """The positions of the previous map from which this one starts."""
    images = embedded.images
    return previous.start(
        [photo.name for photo in images.photos],
        picture_keys(images.thumbnails) if images.pictured else None,
        images.vectors,
        embedded.model,
        embedded.options.fit,
        choose_perplexity(len(images.photos), embedded.options.tsne.perplexity),
    )
