"""Small runs for tests of the Grid tab, written by its format alone, without an export."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from tbgrid import run_format

TEXTS = ["a.jpg", "b <script>.jpg", "ü/é.jpg", "", "e.jpg", "😀.jpg"]
MANIFEST: dict[str, Any] = {
    "format": 1,
    "title": "six photos",
    "photos": 6,
    "grid": [2, 3],
    "pictured": True,
    "model": "builtin",
    "layout": "UMAP",
    "metric": "cosine",
    "neighbours": 2,
    "neighbours_exact": True,
    "columns": [
        {"name": "label", "kind": "category", "values": 2},
        {"name": "path", "kind": "text"},
        {"name": "width", "kind": "number"},
    ],
    "key": 1,
    "cell": 256,
    "tile": 512,
    "preview": 64,
    "skipped": 1,
    "report": [["grid, DPQ_16", "0.9"]],
    "notes": ["a note"],
    "summary": [["photos", "6 of 7"]],
}
# 3 x 2 cells of 256 px: 768 x 512 px, in levels 0 to 10.
TILES = [(level, 0, 0) for level in range(11)] + [(10, 1, 0)]


def jpeg(*tokens: object) -> bytes:
    """What begins like a JPEG, and names what it is."""
    return b"\xff\xd8\xff" + " ".join(map(str, tokens)).encode()


def contents(token: int = 0) -> dict[str, bytes]:
    """The files of an export by their names below its folder; all differ with `token`."""
    texts = [text.encode() for text in TEXTS]
    pictures = [jpeg("preview", token, row) for row in range(6)]

    def starts(parts: list[bytes]) -> list[int]:
        return [sum(map(len, parts[:number])) for number in range(len(parts) + 1)]

    files = {
        run_format.MANIFEST: json.dumps({**MANIFEST, "skipped": token}).encode(),
        run_format.PLACES: struct.pack("<12f", *(token + place for place in range(12))),
        run_format.CELLS: struct.pack("<6I", *((cell + token) % 6 for cell in range(6))),
        run_format.NEIGHBORS: struct.pack("<12I", *[1, 2, 0, 2, 0, 1, 4, 5, 3, 5, 3, 4]),
        run_format.DISTANCES: struct.pack("<12f", *([0.5, token] * 6)),
        run_format.HARMONY: struct.pack("<6f", *([token] * 6)),
        "column-0.json": json.dumps(["cat", f"dog <b>{token}"]).encode(),
        "column-0.u32": struct.pack("<6I", 0, 0, 0, 1, 1, 1),
        "column-1.utf8": b"".join(texts),
        "column-1.u32": struct.pack("<7I", *starts(texts)),
        "column-2.f64": struct.pack("<6d", *([token] * 6)),
        run_format.PREVIEWS: b"".join(pictures),
        run_format.PREVIEW_OFFSETS: struct.pack("<7Q", *starts(pictures)),
    }
    for level, column, row in TILES:
        name = f"{run_format.TILES}/{level}/{column}_{row}.jpg"
        files[name] = jpeg("tile", token, level, column, row)
    below = {f"{run_format.FOLDER}/{name}": data for name, data in files.items()}
    return {
        **below,
        "skipped.tsv": f"path\treason\nx.jpg\ttoken {token}\n".encode(),
        "report.json": json.dumps({"token": token}).encode(),
    }


def fingerprint(files: dict[str, bytes]) -> str:
    """16 hexadecimal digits that differ with the files."""
    return hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:16]


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write them below `folder`."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def write_run(directory: Path, token: int = 0, **manifest: Any) -> Path:
    """A run in `directory`, with these values in its manifest; the folder of its export."""
    files = contents(token)
    if manifest:
        name = f"{run_format.FOLDER}/{run_format.MANIFEST}"
        files[name] = json.dumps({**json.loads(files[name]), **manifest}).encode()
    home = directory / "plugins" / "tbgrid"
    folder = home / fingerprint(files)
    write_files(folder, files)
    (home / "current").write_text(folder.name + "\n")
    return folder
