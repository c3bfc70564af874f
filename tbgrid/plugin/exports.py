"""The exports of a run: the current one, its manifest and its files; see `tbgrid.run_format`."""

from __future__ import annotations

import contextlib
import shlex
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from tbgrid import run_format
from tbgrid.plugin import manifest
from tbgrid.plugin.files import BrokenError, File, Folder, MissingError, RequestError
from tbgrid.plugin.manifest import Manifest
from tbgrid.plugin.runs import Run
from tbgrid.run_format import CURRENT, FINGERPRINT, HOME, column_file, printable

_MAX_JSON = 64 << 20  # bytes of a file that is parsed
_JPEG = b"\xff\xd8\xff"
_MAX_CACHED = 64  # manifests
_MAX_CACHED_BYTES = 64 << 20  # of their texts


def fix_hint(run: Run) -> str:
    """What the user can do about a broken run."""
    folder = shlex.quote(printable(run.path))
    return f"export again: tbgrid export PHOTOS --logdir {folder}"


def read_current(home: Folder) -> str:
    """The fingerprint of the current export.

    Raises:
        MissingError: no export is complete.
        BrokenError: the file `current` does not name one.
    """
    name = home.read(CURRENT, 64).decode("latin-1").removesuffix("\n")
    if not FINGERPRINT.match(name):
        raise BrokenError(f"{(HOME / CURRENT).as_posix()} names no export")
    return name


class Export:
    """An export that is open for reading; the caller closes it."""

    def __init__(self, folder: Folder, of: Manifest) -> None:
        self._folder = folder  # <fingerprint>
        self._map = folder.inside(run_format.FOLDER)
        self.manifest = of

    def check(self) -> None:
        """Compare the sizes of all files with the manifest.

        Raises:
            BrokenError: a file is missing or has another size.
        """
        for name, size in self.manifest.sizes().items():
            self._map.require(name, size)
        for number, kind in enumerate(self.manifest.kinds):
            if kind == "category":
                self._map.require(column_file(number, "json"))
            elif kind == "text":
                self.text(number).close()
        if self.manifest.preview:
            with self.array(run_format.PREVIEW_OFFSETS) as offsets:
                (end,) = struct.unpack("<Q", offsets.read(8 * self.manifest.photos, 8))
            self._map.require(run_format.PREVIEWS, end)

    def values(self, column: int) -> bytes:
        """The distinct values of a category, as JSON."""
        name = column_file(column, "json")
        data = self._map.read(name, _MAX_JSON)
        return manifest.values(data, self.manifest.values[column], name)

    def report(self) -> bytes:
        """The report, as JSON."""
        return manifest.checked_object(
            self._folder.read(run_format.REPORT, _MAX_JSON), run_format.REPORT
        )

    def skipped(self) -> File:
        """The list of skipped files; the caller closes it."""
        return _opened(
            self._folder,
            run_format.SKIPPED,
            lambda file: file.require_at_most(run_format.MAX_TEXT),
        )

    def array(self, name: str) -> File:
        """A file of `Manifest.sizes`, checked to have that size; the caller closes it."""
        size = self.manifest.sizes()[name]
        return _opened(self._map, name, lambda file: file.require(size))

    def text(self, column: int) -> File:
        """The UTF-8 of a text column, checked to match its offsets; the caller closes it."""
        name = column_file(column, "u32")
        with self.array(name) as offsets:
            (end,) = struct.unpack("<I", offsets.read(4 * self.manifest.photos, 4))
        if end > run_format.MAX_TEXT:
            raise BrokenError(f"{name} ends at {end:,}; at most {run_format.MAX_TEXT:,} is allowed")
        return _opened(self._map, column_file(column, "utf8"), lambda file: file.require(end))

    def tile(self, level: int, column: int, row: int) -> bytes:
        """A tile of the mosaic, JPEG.

        Raises:
            RequestError: 404, the pyramid has no such tile.
            BrokenError: it is missing or not a JPEG.
        """
        columns, rows = self.manifest.tiles(level)
        if not (0 <= column < columns and 0 <= row < rows):
            raise RequestError(404, f"the mosaic has no tile {column}, {row} at level {level}")
        with self._map.inside(run_format.TILES, str(level)) as folder:
            name = run_format.tile_file(column, row)
            return _jpeg(
                folder.read(name, run_format.MAX_PICTURE), f"{run_format.TILES}/{level}/{name}"
            )

    def preview(self, row: int) -> bytes:
        """The preview of a photo, JPEG.

        Raises:
            RequestError: 404, no such photo, or no previews.
            BrokenError: the file of the previews is invalid.
        """
        if not self.manifest.preview:
            raise RequestError(
                404, "this run has no previews", "export with --preview PX to have them"
            )
        if not 0 <= row < self.manifest.photos:
            raise RequestError(404, f"no photo {row}")
        with (
            self.array(run_format.PREVIEW_OFFSETS) as offsets,
            self._map.open(run_format.PREVIEWS) as file,
        ):
            begin, end = struct.unpack("<QQ", offsets.read(8 * row, 16))
            if not begin < end <= file.size or end - begin > run_format.MAX_PICTURE:
                raise BrokenError(f"{run_format.PREVIEW_OFFSETS} is wrong for photo {row}")
            return _jpeg(file.read(begin, end - begin), f"{run_format.PREVIEWS}, photo {row},")

    def close(self) -> None:
        """Close its directories."""
        self._map.close()
        self._folder.close()

    def __enter__(self) -> Export:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Exports:
    """Opens exports and caches their parsed manifests. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, ...], Manifest] = OrderedDict()
        self._bytes = 0

    @contextlib.contextmanager
    def open_export(self, run: Run, fingerprint: str) -> Iterator[Export]:
        """Open an export for the block, in which errors are explained by the export's state.

        Raises:
            RequestError: 404, it does not exist; 410, another has replaced it.
            BrokenError: its files are invalid.
        """
        try:
            with Folder.at(run.path) as directory, directory.inside(*HOME.parts) as home:
                export = self._open(home, fingerprint)
            with export:
                yield export
        except BrokenError as error:
            raise _explain(run, fingerprint, error) from error

    def _open(self, home: Folder, fingerprint: str) -> Export:
        folder = home.inside(fingerprint)
        try:
            return Export(folder, self._manifest(folder))
        except BaseException:
            folder.close()
            raise

    def _manifest(self, folder: Folder) -> Manifest:
        try:
            inner = folder.inside(run_format.FOLDER)
        except MissingError as error:
            raise BrokenError(
                "written by an older tbgrid, without the files of this tab"
            ) from error
        with inner, inner.open(run_format.MANIFEST) as file:
            with self._lock:
                if file.stamp in self._kept:
                    self._kept.move_to_end(file.stamp)
                    return self._kept[file.stamp]
            file.require_at_most(run_format.MAX_MANIFEST)
            found = manifest.parse(file.read(0, file.size))
            with self._lock:
                if file.stamp not in self._kept:
                    self._bytes += len(found.text)
                self._kept[file.stamp] = found
                while len(self._kept) > _MAX_CACHED or self._bytes > _MAX_CACHED_BYTES:
                    self._bytes -= len(self._kept.popitem(last=False)[1].text)
            return found

    def describe(self, run: Run) -> dict[str, Any]:
        """The run's entry in the list of runs: its current export, or what is wrong with it."""
        fingerprint = None
        for _ in range(10):  # an export may be replaced while it is described
            try:
                with Folder.at(run.path) as directory, directory.inside(*HOME.parts) as home:
                    try:
                        fingerprint = read_current(home)
                    except MissingError:
                        return _broken(
                            run,
                            None,
                            "its first export is not complete",
                            f"wait until it is, or {fix_hint(run)}",
                        )
                with self.open_export(run, fingerprint) as export:
                    export.check()
                    found = export.manifest
                return {
                    "run": run.name,
                    "export": fingerprint,
                    "title": found.title,
                    "photos": found.photos,
                    # Enough to draw a first picture before any file of the export is loaded.
                    "grid": [found.rows, found.columns],
                    "cell": found.cell,
                    "tile": run_format.TILE,
                    "error": None,
                }
            except RequestError as error:
                problem = error
            if problem.status != 410:
                break
        return _broken(run, fingerprint, problem.error, problem.hint or fix_hint(run))


def _explain(run: Run, fingerprint: str, error: BrokenError) -> RequestError:
    """The error of an export in which `error` was found, with the reason."""
    newest = None
    exists = True
    with (
        contextlib.suppress(BrokenError),
        Folder.at(run.path) as directory,
        directory.inside(*HOME.parts) as home,
    ):
        with contextlib.suppress(BrokenError):
            newest = read_current(home)
        try:
            home.inside(fingerprint).close()
        except MissingError:
            exists = False
    if newest is not None and newest != fingerprint:
        return RequestError(410, "this export was replaced by another", "reload to see the new one")
    if newest is None and not exists:
        return RequestError(404, "no such export", fix_hint(run))
    return BrokenError(error.error, error.hint or fix_hint(run))


def _broken(run: Run, fingerprint: str | None, error: str, hint: str) -> dict[str, Any]:
    return {"run": run.name, "export": fingerprint, "error": error, "hint": hint}


def _opened(folder: Folder, name: str, check: Callable[[File], None]) -> File:
    file = folder.open(name)
    try:
        check(file)
    except BrokenError:
        file.close()
        raise
    return file


def _jpeg(data: bytes, shown: str) -> bytes:
    if not data.startswith(_JPEG):
        raise BrokenError(f"{shown} is not a JPEG picture")
    return data
