"""The pages: one to drop photos on, one that shows the routes. All that they load is here."""

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
    """Add `/`, `/docs` and what they load to the routes."""
    files = {path.name: path for path in _STATIC.iterdir() if path.suffix in _TYPES}

    def answer(name: str) -> Response:
        if name not in files:
            return Response("not found", 404, media_type="text/plain")
        return Response(
            files[name].read_bytes(),
            media_type=_TYPES[files[name].suffix],
            headers={"Cache-Control": "no-cache"},
        )

    def index() -> Response:
        return answer("index.html")

    def docs() -> Response:
        return answer("docs.html")

    app.add_api_route("/", index, include_in_schema=False)
    app.add_api_route("/docs", docs, include_in_schema=False)
    app.add_api_route("/static/{name}", answer, include_in_schema=False)
