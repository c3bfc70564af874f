"""Several models on the same photos: a run of each, turned alike, and a table of their maps."""

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
from tbgrid.errors import TbgridError, UsageError
from tbgrid.layouts.procrustes import consensus
from tbgrid.mapping.arrange import MapResult, arrange
from tbgrid.options import ExportOptions
from tbgrid.photos import SkippedFile, Source
from tbgrid.pipeline.export import Embedded, embedded, find, write_run
from tbgrid.pipeline.result import ExportResult
from tbgrid.progress import Progress, silent
from tbgrid.run_format import printable
from tbgrid.types import Embedder, Json
from tbgrid.util import text_table
from tbgrid.util.cache import open_cache
from tbgrid.util.disk_arrays import drop_pages
from tbgrid.util.timing import Times
from tbgrid.util.unique_names import unique_name
from tbgrid.writers import run_directory

SECTION = "models compared"  # of the report
_UNSAFE = re.compile(r"[^A-Za-z0-9._=-]+")
_LONGEST = 80  # characters of a run's name


@dataclass(frozen=True)
class Comparison:
    """The exports of several models, in the order of the models: `results`, each a run below
    `directory`. `rows`: the table of their report cards.

    DPQ, trustworthiness and the neighbours kept are measured by each model's own vectors: they say
    how well a map shows what its model saw. What the models saw is compared by the agreement of
    neighbours with labels, and by eye.
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
    """Turn photos into one TensorBoard run a model, at `logdir`/MODEL or `logdir`/`run_name`/MODEL.

    `models`: names (`load_embedder`) or embedders; `options.model` does not count. The same photos
    are the same rows in all runs: one for which a model gives no vector is left out of each. Each
    map is turned, and mirrored if need be, towards those of the models before it (`consensus`), and
    then snapped, so that they can be compared by eye. Only positions are kept of several models at
    a time in memory; vectors and thumbnails wait on disk.

    Every model is opened before the first photo is read, and no run is written before all maps are
    made.

    Raises:
        UsageError: options that cannot be meant, photos that are embedded already, or vectors
            from elsewhere.
        TbgridError: the source, a model or a run's directory is at fault. What runs were finished
            by then is told.
    """
    options = options or ExportOptions()
    if len(models) < 2:
        raise UsageError(f"{len(models)} models to compare", "give two or more")
    if options.groups.duplicates == "stack":
        raise UsageError(
            "--duplicates stack with several models, which would stack different photos",
            "leave it out: copies are named in each run all the same",
        )
    if options.like is not None:
        raise UsageError(
            "--like with several models, whose maps are turned towards each other",
            "leave it out, or export one model",
        )
    directory = run_directory.run_directory(logdir, run_name)
    names = run_names(models)
    directories = [directory / name for name in names]
    times = Times()
    found = find(source, options, directories, times, progress)
    _refuse_vectors(found)
    each = [
        dataclasses.replace(options, model=model) if isinstance(model, str) else options
        for model in models
    ]
    given = [None if isinstance(model, str) else model for model in models]
    with open_cache(options) as cache, contextlib.ExitStack() as claims:
        stagings = [claims.enter_context(run_directory.claim_run(path)) for path in directories]
        for own, embedder in zip(each, given, strict=True):
            if embedder is None:
                open_model(own, cache, len(found.photos), progress)
        made: list[Embedded] = []
        for own, embedder, staging in zip(each, given, stagings, strict=True):
            left = _without(found, made[-1].images.skipped) if made else found
            spent = Times(dict(times.seconds))
            made.append(embedded(left, own, embedder, staging, cache, spent, progress))
            _let_go(made[-1])
        common = _without(found, made[-1].images.skipped)
        for at, before in enumerate(made):
            if len(before.images.photos) > len(made[-1].images.photos):
                made[at] = embedded(
                    common, each[at], given[at], stagings[at], cache, before.times, progress
                )
                _let_go(made[at])
        arranged: list[MapResult] = []
        for one in made:
            arranged.append(
                arrange(
                    one.images.vectors,
                    one.images.labels,
                    one.model.metric,
                    one.options,
                    cache,
                    towards=consensus([a.layout.positions for a in arranged]) if arranged else None,
                    times=one.times,
                    progress=progress,
                )
            )
            _let_go(one)
        rows = [
            {
                "run": name,
                "layout": done.layout.title,
                "dimensions": int(one.images.vectors.shape[1]),
                **done.card.comparable_scores(),
            }
            for name, one, done in zip(names, made, arranged, strict=True)
        ]
        results: list[ExportResult] = []
        for path, staging, one, done in zip(directories, stagings, made, arranged, strict=True):
            try:
                results.append(
                    write_run(
                        path, staging, one, done, cache, tables={SECTION: rows}, progress=progress
                    )
                )
            except OSError as error:
                raise _half_written(error, path, results) from error
            _let_go(one)
    return Comparison(directory, tuple(results), tuple(rows))


def run_names(models: Sequence[str | Embedder]) -> list[str]:
    """A name for the run of each model, in letters that files and URLs bear; no two alike, even
    where a file system does not tell "a" from "A".

    Raises:
        UsageError: a model is given twice.
    """
    given = [model if isinstance(model, str) else model.model_id for model in models]
    names: list[str] = []
    for model, text in zip(models, given, strict=True):
        if given.count(text) > 1:
            raise UsageError(f"model {text} is given twice", "give each model once")
        is_path = isinstance(model, str) and Path(text).is_dir()
        shown = Path(text).resolve().name if is_path else re.sub(r"^\w+://", "", text)
        safe = _UNSAFE.sub("-", shown).strip("-.")[-_LONGEST:].strip("-.") or "model"
        taken = {name.lower() for name in names}
        names.append(unique_name(safe, taken, separator="-", ignore_case=True))
    return names


def _refuse_vectors(found: Source) -> None:
    if found.shards is not None:
        raise UsageError(
            f"{found.name} is embedded already, by one model",
            "give the photos themselves to compare models",
        )
    if found.vectors is not None:
        raise UsageError(
            "vectors from elsewhere beside several models", "leave out --vectors, or --model"
        )


def _without(found: Source, skipped: Sequence[SkippedFile]) -> Source:
    """`found` less the photos that were skipped."""
    names = {item.name for item in skipped}
    kept = tuple(photo for photo in found.photos if photo.name not in names)
    return dataclasses.replace(found, photos=kept, skipped=tuple(skipped))


def _let_go(made: Embedded) -> None:
    """Leave to the disk what is large."""
    drop_pages(made.images.vectors)
    drop_pages(made.images.thumbnails)


def _half_written(error: OSError, path: Path, results: Sequence[ExportResult]) -> TbgridError:
    finished = ", ".join(result.directory.name for result in results) or "none"
    return TbgridError(
        f"cannot write {printable(path)} ({error.strerror})",
        f"free space or give another --logdir; finished: {finished}",
    )
