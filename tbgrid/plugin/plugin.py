"""The routes of the tab, below `data/plugin/tbgrid/`. Only GET and HEAD; errors are JSON.

| route    | query                             | answer                                            |
| -------- | --------------------------------- | ------------------------------------------------- |
| static/* |                                   | the files of the front end                        |
| page     |                                   | the tab in a window of its own                    |
| runs     |                                   | the runs as of now, with the problems of each     |
| file     | run, export, name                 | a file of an export                               |
| tile     | run, export, level, column, row   | a tile of the mosaic, JPEG                        |
| preview  | run, export, row                  | the picture of a photo, JPEG                      |

`export` is the fingerprint of an export, so that no client mixes two of them: 410 if it has been
replaced. A run is looked up among those that were found, and every other value is a number or one
of a few names, so that no part of a request becomes part of a path.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request, Response

from tbgrid import run_format
from tbgrid.plugin.exports import Export, Exports
from tbgrid.plugin.files import BrokenError, File, RequestError
from tbgrid.plugin.runs import Runs, logdir_roots

STATIC = Path(__file__).with_name("static")
_STATIC_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[a-z0-9]+)?(\.[a-z]+)\Z")
_STATIC_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_BYTES, _JSON, _JPEG = "application/octet-stream", "application/json", "image/jpeg"
_TABLE = "text/tab-separated-values; charset=utf-8"
_FOREVER = "private, max-age=31536000, immutable"
_NUMBER = re.compile(r"[0-9]{1,9}\Z")
_COLUMN = re.compile(r"column-([0-9]{1,4})\.(json|u32|f64|utf8)\Z")
_WHOLE_UP_TO = 8 << 20  # bytes: larger files are streamed
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Grid</title>
<link rel="icon" href="data:,">
</head>
<body><script type="module" src="static/standalone.js"></script></body>
</html>
"""


class GridPlugin(base_plugin.TBPlugin):  # type: ignore[misc]
    """The tab "Grid" of one TensorBoard."""

    plugin_name = "tbgrid"

    def __init__(self, context: Any) -> None:
        flags = context.flags
        logdir = context.logdir or getattr(flags, "logdir", None)
        self._runs = Runs(logdir_roots(logdir, getattr(flags, "logdir_spec", None)))
        self._exports = Exports()
        self._assets: dict[str, tuple[tuple[int, int], bytes, bytes, str]] = {}
        self._runs.check()

    def get_plugin_apps(self) -> Mapping[str, Any]:
        """The routes."""
        return {
            "/static/*": _route(self._static),
            "/page": _route(self._page),
            "/runs": _route(self._list),
            "/file": _route(self._file),
            "/tile": _route(self._tile),
            "/preview": _route(self._preview),
        }

    def is_active(self) -> bool:
        """Whether the logdir holds a run of tbgrid, from memory."""
        return self._runs.any()

    def data_plugin_names(self) -> tuple[str, ...]:
        """None: no event files are read."""
        return ()

    def frontend_metadata(self) -> Any:
        """The module that TensorBoard imports in an iframe."""
        return base_plugin.FrontendMetadata(es_module_path="/static/index.js", tab_name="Grid")

    def _static(self, request: Request) -> Response:
        name = request.path.rpartition("/")[2]
        form = _STATIC_NAME.match(name)
        kind = form and _STATIC_TYPES.get(form.group(1))
        if not kind or not request.path.endswith(f"/static/{name}"):
            raise RequestError(404, "no such file")
        path = STATIC / name
        try:
            status = path.stat()
            stamp = status.st_mtime_ns, status.st_size
            asset = self._assets.get(name)
            if asset is None or asset[0] != stamp:  # the first request, or tbgrid was upgraded
                data = path.read_bytes()
                digest = hashlib.sha256(data).hexdigest()[:16]
                asset = self._assets[name] = stamp, data, gzip.compress(data, 9, mtime=0), digest
        except OSError as error:
            raise RequestError(404, "no such file") from error
        _, plain, small, tag = asset
        answer = _unchanged(request, tag, "no-cache", kind)
        if answer is not None:
            return answer
        answer = Response(plain, content_type=kind)
        if _takes_gzip(request):
            answer.content_encoding = "gzip"
            answer.data = small
        return _headed(answer, tag, "no-cache")

    def _page(self, request: Request) -> Response:
        answer: Response = http_util.Respond(request, _PAGE, "text/html")
        return answer

    def _list(self, request: Request) -> Response:
        found, searched = self._runs.search()
        answer = {"runs": [self._exports.describe(run) for run in found], "searched": searched}
        return _no_store(_whole(request, _dumped(answer), _JSON))

    def _file(self, request: Request) -> Response:
        name = request.args.get("name", "")

        def respond(export: Export, tag: str) -> Response:
            # Another version of tbgrid may parse it differently, so it is validated each time.
            cache = "no-cache" if name == run_format.MANIFEST else _FOREVER
            if name == run_format.MANIFEST:
                tag = hashlib.sha256(export.manifest.text).hexdigest()[:16]
            body, kind = _content(export, name)
            answer = _unchanged(request, tag, cache, kind)
            if answer is not None:
                if isinstance(body, File):
                    body.close()
                return answer
            if isinstance(body, File):
                return _headed(_streamed(request, body, kind, _shrinks(name)), tag, cache)
            return _headed(_whole(request, body, kind), tag, cache)

        return self._of_export(request, name, respond)

    def _tile(self, request: Request) -> Response:
        place = [_number(request, key) for key in ("level", "column", "row")]

        def respond(export: Export, tag: str) -> Response:
            data = export.tile(*place)
            return _unchanged(request, tag, _FOREVER, _JPEG) or _headed(
                Response(data, content_type=_JPEG), tag, _FOREVER
            )

        return self._of_export(request, "tile-{}-{}-{}".format(*place), respond)

    def _preview(self, request: Request) -> Response:
        row = _number(request, "row")

        def respond(export: Export, tag: str) -> Response:
            data = export.preview(row)
            return _unchanged(request, tag, _FOREVER, _JPEG) or _headed(
                Response(data, content_type=_JPEG), tag, _FOREVER
            )

        return self._of_export(request, f"preview-{row}", respond)

    def _of_export(
        self, request: Request, what: str, respond: Callable[[Export, str], Response]
    ) -> Response:
        """The response for the export that the request names; `what` is part of its ETag."""
        fingerprint = request.args.get("export", "")
        if not run_format.FINGERPRINT.match(fingerprint):
            raise RequestError(400, "export must be the fingerprint of an export")
        name = request.args.get("run")
        if name is None:
            raise RequestError(400, "run is missing")
        run = self._runs.get(name)
        if run is None:
            raise RequestError(404, "no such run", "reload to see the current runs")
        with self._exports.open_export(run, fingerprint) as export:
            return respond(export, f"{fingerprint}-{what}")


def _content(export: Export, name: str) -> tuple[bytes | File, str]:
    """A file of an export that clients may read, and its type."""
    if name == run_format.MANIFEST:
        return export.manifest.text, _JSON
    if name == run_format.SKIPPED:
        return export.skipped(), _TABLE
    if name == run_format.REPORT:
        return export.report(), _JSON
    if name in (
        run_format.PLACES,
        run_format.CELLS,
        run_format.NEIGHBORS,
        run_format.DISTANCES,
        run_format.HARMONY,
    ):
        return export.array(name), _BYTES
    asked = _COLUMN.match(name)
    number = int(asked.group(1)) if asked else -1
    if asked is None or not 0 <= number < len(export.manifest.kinds):
        raise RequestError(404, "an export has no file of that name")
    if asked.group(2) not in run_format.COLUMN_FILES[export.manifest.kinds[number]]:
        raise RequestError(404, "the column has no file of that name")
    if asked.group(2) == "json":
        return export.values(number), _JSON
    if asked.group(2) == "utf8":
        return export.text(number), _BYTES
    return export.array(run_format.column_file(number, asked.group(2))), _BYTES


def _route(
    respond: Callable[[Request], Response],
) -> Callable[[Any, Any], Any]:
    """A WSGI application around `respond`, which turns a `RequestError` into JSON."""

    def application(environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        try:
            if request.method not in ("GET", "HEAD"):
                raise RequestError(405, "only GET and HEAD are answered")
            answer = respond(request)
        except RequestError as problem:
            body = _dumped({"error": problem.error, "hint": problem.hint})
            answer = _no_store(_whole(request, body, _JSON))
            answer.status_code = problem.status
            if problem.status == 405:
                answer.headers["Allow"] = "GET, HEAD"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer(environ, start_response)

    return application


def _number(request: Request, key: str) -> int:
    value = request.args.get(key, "")
    if not _NUMBER.match(value):
        raise RequestError(400, f"{key} must be an integer")
    return int(value)


def _dumped(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _takes_gzip(request: Request) -> bool:
    return bool(request.accept_encodings.quality("gzip") > 0)


def _shrinks(name: str) -> bool:
    """Whether gzip makes the file much smaller; it does not for measured floats."""
    return not name.endswith(".f32")


def _unchanged(request: Request, tag: str, cache: str, kind: str) -> Response | None:
    """304 if the client has it already."""
    if not request.if_none_match.contains_weak(tag):
        return None
    return _headed(_Unchanged(status=304, content_type=kind), tag, cache)


def _headed(answer: Response, tag: str, cache: str) -> Response:
    answer.set_etag(tag, weak=True)  # weak: the same with and without gzip
    answer.headers["Cache-Control"] = cache
    answer.headers["Vary"] = "Accept-Encoding"
    return answer


def _no_store(answer: Response) -> Response:
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _whole(request: Request, body: bytes, kind: str, *, shrinks: bool = True) -> Response:
    answer = Response(content_type=kind)
    if shrinks and len(body) > 500 and _takes_gzip(request):
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        body = packer.compress(body) + packer.flush()
        answer.content_encoding = "gzip"
    answer.data = body
    return answer


def _streamed(request: Request, file: File, kind: str, shrinks: bool) -> Response:
    """The file, streamed if it is large; a truncated one ends the connection."""
    if file.size <= _WHOLE_UP_TO:
        with file:
            return _whole(request, file.read(0, file.size), kind, shrinks=shrinks)
    answer = Response(content_type=kind, direct_passthrough=True)
    answer.content_length = file.size
    if request.method == "HEAD":
        file.close()
    else:
        answer.response = _Stream(file)
    return answer


class _Unchanged(Response):
    """304 with a content type, without which TensorBoard logs a warning."""

    def get_wsgi_headers(self, environ: Any) -> Headers:
        headers = super().get_wsgi_headers(environ)
        headers["Content-Type"] = self.headers["Content-Type"]
        return headers


class _Stream:
    """The bytes of a file, which is closed at the end or when the client disconnects."""

    def __init__(self, file: File) -> None:
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._file.blocks(0, self._file.size)
        except BrokenError as problem:
            # The length has been sent. The server ends the connection, so that the client notices.
            raise ConnectionAbortedError(problem.error) from problem

    def close(self) -> None:
        self._file.close()
