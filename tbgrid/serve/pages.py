"""The web pages: one for dropping photos, one that documents the routes. All assets are local."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Response

_STATIC = Path(__file__).with_name("static")
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def add_pages(app: FastAPI) -> None:
    """Add the routes `/`, `/docs` and `/static/{name}`."""
    files = {path.name: path for path in _STATIC.iterdir() if path.suffix in _TYPES}

    def static_file(name: str) -> Response:
        if name not in files:
            return Response("not found", 404, media_type="text/plain")
        return Response(
            files[name].read_bytes(),
            media_type=_TYPES[files[name].suffix],
            headers={"Cache-Control": "no-cache"},
        )

    def index() -> Response:
        return static_file("index.html")

    def docs() -> Response:
        return static_file("docs.html")

    app.add_api_route("/", index, include_in_schema=False)
    app.add_api_route("/docs", docs, include_in_schema=False)
    app.add_api_route("/static/{name}", static_file, include_in_schema=False)
