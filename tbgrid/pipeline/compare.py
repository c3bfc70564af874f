"""Compares models: one run each of the same photos, rotated to match, and a table of their maps."""

from __future__ import annotations

import contextlib
import dataclasses
import html
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tbgrid.embedding.lazy import open_model
from tbgrid.errors import TbgridError, UsageError, option
from tbgrid.layouts.procrustes import consensus
from tbgrid.mapping.arrange import MapResult, arrange
from tbgrid.options import ExportOptions
from tbgrid.photos import SkippedFile, Source
from tbgrid.pipeline.result import ExportResult
from tbgrid.pipeline.stages import EmbeddedSet, embed_stage, find_stage
from tbgrid.pipeline.write_run import write_run
from tbgrid.progress import Progress, silent
from tbgrid.run_format import printable
from tbgrid.types import Embedder, Json
from tbgrid.util import text_table
from tbgrid.util.cache import Cache, open_cache
from tbgrid.util.timing import Times
from tbgrid.util.unique_names import unique_name
from tbgrid.writers import run_directory

SECTION = "models compared"  # of the report
_UNSAFE = re.compile(r"[^A-Za-z0-9._=-]+")
_MAX_NAME = 80  # characters of the name of a run


@dataclass(frozen=True)
class Comparison:
    """The exports of several models, in the order of the models.

    DPQ, trustworthiness and the neighbors kept are measured with each model's own vectors: they
    say how well a map shows its model. Models are compared by how often neighbors have the same
    label, and by eye.

    Attributes:
        directory: contains the runs.
        results: one export per model.
        rows: the table of their report cards.
    """

    directory: Path
    results: tuple[ExportResult, ...]
    rows: tuple[Json, ...]

    def _repr_html_(self) -> str:
        header, lines = text_table.format_table(self.rows)
        table = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>"
            for line in (header, *lines)
        )
        return f"<table>{table}</table>"


def compare(
    source: str | os.PathLike[str] | Source | None,
    logdir: str | os.PathLike[str],
    models: Sequence[str | Embedder],
    options: ExportOptions | None = None,
    *,
    run_name: str | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Turn photos into one TensorBoard run per model, `logdir`/MODEL or `logdir`/`run_name`/MODEL.

    All runs have the same photos in the same rows: a photo for which one model gives no vector is
    left out of each. Each map is rotated, and mirrored if need be, to match the maps of the models
    before it, and then snapped to its grid. Every model is opened before the first photo is read,
    and no run is written before all maps are made. Vectors and thumbnails wait on disk, so memory
    has those of one model at a time.

    Args:
        source: photos that are not embedded yet; see `tbgrid.open_source`.
        logdir: the directory that TensorBoard opens.
        models: names (see `tbgrid.load_embedder`) or embedders, at least two.
        options: how the exports are made; `options.model` is ignored.
        run_name: a directory below `logdir` for the runs.
        progress: called as the stages proceed.

    Raises:
        UsageError: an invalid option or combination of options, or photos that have vectors.
        TbgridError: the source, a model or the directory of a run cannot be used. If it happens
            while runs are written, the error names those that are finished.
    """
    options = options or ExportOptions()
    _check_options(models, options)
    directory = run_directory.run_directory(logdir, run_name)
    names = run_names(models)
    directories = [directory / name for name in names]
    times = Times()
    found = find_stage(source, options, directories, times, progress)
    _refuse_vectors(found)
    with open_cache(options) as cache, contextlib.ExitStack() as claims:
        stagings = [claims.enter_context(run_directory.claim_run(path)) for path in directories]
        entries = [
            _Entry(
                options=dataclasses.replace(options, model=model)
                if isinstance(model, str)
                else options,
                embedder=None if isinstance(model, str) else model,
                directory=path,
                staging=staging,
            )
            for model, path, staging in zip(models, directories, stagings, strict=True)
        ]
        for entry in entries:  # so that a wrong name ends the comparison at once
            if entry.embedder is None:
                open_model(entry.options, cache, len(found.photos), progress)
        embedded = _embed_alike(entries, found, cache, times, progress)
        map_results = _map_alike(embedded, cache, progress)
        rows = _table(names, embedded, map_results)
        results = _write_all(entries, embedded, map_results, rows, cache, progress)
    return Comparison(directory, tuple(results), tuple(rows))


@dataclass(frozen=True)
class _Entry:
    """A model that is compared, and where its run is made."""

    options: ExportOptions
    embedder: Embedder | None
    directory: Path
    staging: Path


def _check_options(models: Sequence[str | Embedder], options: ExportOptions) -> None:
    """Refuse what cannot be compared."""
    if len(models) < 2:
        raise UsageError(f"{len(models)} models to compare", "use two or more")
    if options.groups.duplicates == "stack":
        raise UsageError(
            f"{option('groups.duplicates')} stack with several models, each of which would leave "
            "out other photos",
            "leave it out: duplicates are listed in each run",
        )
    if options.like is not None:
        raise UsageError(
            f"{option('like')} with several models, whose maps are rotated to match each other",
            "leave it out, or export one model",
        )


def _embed_alike(
    entries: Sequence[_Entry], found: Source, cache: Cache, times: Times, progress: Progress
) -> list[EmbeddedSet]:
    """Embed the same photos with all models. The memory of each set is given back at once."""

    def embed(entry: _Entry, source: Source, spent: Times) -> EmbeddedSet:
        made = embed_stage(
            source,
            entry.options,
            entry.embedder,
            staging=entry.staging,
            cache=cache,
            times=spent,
            progress=progress,
        )
        made.drop_pages()
        return made

    sets: list[EmbeddedSet] = []
    source = found
    for entry in entries:
        sets.append(embed(entry, source, Times(dict(times.seconds))))
        source = _without_skipped(found, sets[-1].images.skipped)
    n_common = len(sets[-1].images.photos)
    # A model that came before the one that skipped a photo embeds once more, mostly from the cache.
    return [
        embed(entry, source, made.times) if len(made.images.photos) > n_common else made
        for entry, made in zip(entries, sets, strict=True)
    ]


def _map_alike(
    embedded: Sequence[EmbeddedSet], cache: Cache, progress: Progress
) -> list[MapResult]:
    """Make the maps, each rotated to match those before it."""
    map_results: list[MapResult] = []
    for one in embedded:
        before = [other.layout.positions for other in map_results]
        map_results.append(
            arrange(
                one.images.vectors,
                one.images.labels,
                one.model.metric,
                one.options,
                cache,
                towards=consensus(before) if before else None,
                times=one.times,
                progress=progress,
            )
        )
        one.drop_pages()
    return map_results


def _table(
    names: Sequence[str], embedded: Sequence[EmbeddedSet], map_results: Sequence[MapResult]
) -> list[Json]:
    """One row per model: its run and its report card."""
    return [
        {
            "run": name,
            "layout": result.layout.title,
            "dimensions": int(one.images.vectors.shape[1]),
            **result.card.comparable_scores(),
        }
        for name, one, result in zip(names, embedded, map_results, strict=True)
    ]


def _write_all(
    entries: Sequence[_Entry],
    embedded: Sequence[EmbeddedSet],
    map_results: Sequence[MapResult],
    rows: Sequence[Json],
    cache: Cache,
    progress: Progress,
) -> list[ExportResult]:
    """Write the runs, each with the table of all models."""
    results: list[ExportResult] = []
    for entry, one, result in zip(entries, embedded, map_results, strict=True):
        try:
            results.append(
                write_run(
                    entry.directory,
                    entry.staging,
                    one,
                    result,
                    cache,
                    tables={SECTION: rows},
                    progress=progress,
                )
            )
        except OSError as error:
            raise _partly_written(error, entry.directory, results) from error
        one.drop_pages()
    return results


def run_names(models: Sequence[str | Embedder]) -> list[str]:
    """Name the run of each model, with characters that are safe in files and URLs.

    Names differ in more than case, since some file systems ignore it.

    Raises:
        UsageError: a model is listed twice.
    """
    given = [model if isinstance(model, str) else model.model_id for model in models]
    names: list[str] = []
    for model, text in zip(models, given, strict=True):
        if given.count(text) > 1:
            raise UsageError(f"model {text} is listed twice", "list each model once")
        is_path = isinstance(model, str) and Path(text).is_dir()
        shown = Path(text).resolve().name if is_path else re.sub(r"^\w+://", "", text)
        safe = _UNSAFE.sub("-", shown).strip("-.")[-_MAX_NAME:].strip("-.") or "model"
        taken = {name.lower() for name in names}
        names.append(unique_name(safe, taken, separator="-", ignore_case=True))
    return names


def _refuse_vectors(found: Source) -> None:
    if found.shards is not None:
        raise UsageError(
            f"{found.name} is embedded already, by one model",
            "use the photos themselves to compare models",
        )
    if found.vectors is not None:
        raise UsageError(
            "precomputed vectors cannot be compared with models",
            f"leave out {option('source.vectors')} or {option('model')}",
        )


def _without_skipped(found: Source, skipped: Sequence[SkippedFile]) -> Source:
    """`found` without the photos that were skipped."""
    names = {file.name for file in skipped}
    kept = tuple(photo for photo in found.photos if photo.name not in names)
    return dataclasses.replace(found, photos=kept, skipped=tuple(skipped))


def _partly_written(error: OSError, path: Path, results: Sequence[ExportResult]) -> TbgridError:
    finished = ", ".join(result.directory.name for result in results) or "none"
    return TbgridError(
        f"cannot write {printable(path)} ({error.strerror})",
        f"free some space or use another {option('logdir')}; finished runs: {finished}",
    )
