"""`tbgrid check`: runs of tbgrid and of other exporters, sabotaged, against TensorBoard itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

import tbgrid
from tbgrid import run_format
from tbgrid.check import metadata, projector_files
from tbgrid.check.findings import enumerate_items
from tbgrid.check.run import Finding, check, exit_code, format_findings
from tbgrid.run_format import CONFIG, HOME, OVERRIDE
from tbgrid.writers import projector
from tests.support.projector_backend import STATE_KEYS, Backend

pytestmark = pytest.mark.filterwarnings("ignore:html5lib's sanitizer:DeprecationWarning")

Sabotage = Callable[["Run"], object]
POINTS = 60  # of the fixture `exported`
VARIABLE = "embedding/.ATTRIBUTES/VARIABLE_VALUE"  # as tf.train.Checkpoint names it


class Run:
    """A copy of a run of tbgrid, to be damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.current = (path / HOME / "current").read_text().strip()
        self.export = path / HOME / self.current
        config = text_format.Parse((path / CONFIG).read_text(), ProjectorConfig())
        self.embedding, self.grid = (tensor.tensor_name for tensor in config.embeddings)

    def named(self, text: str) -> str:
        """`text` with {e} for the export's directory, {embedding} and {grid} for the tensors."""
        text = text.replace("{e}", f"{HOME.as_posix()}/{self.current}")
        return text.replace("{embedding}", self.embedding).replace("{grid}", self.grid)

    def config(self, change: Callable[[ProjectorConfig], object]) -> None:
        """Change the parsed config."""
        path = self.path / CONFIG
        config = text_format.Parse(path.read_text(), ProjectorConfig())
        change(config)
        path.write_text(text_format.MessageToString(config))

    def tensor(self, place: int, **values: str) -> None:
        """Change what the config says of one tensor."""

        def change(config: ProjectorConfig) -> None:
            for key, value in values.items():
                setattr(config.embeddings[place], key, value)

        self.config(change)

    def text(self, name: str, old: str, new: str, times: int = 1) -> None:
        path = self.path / name
        text = path.read_bytes().decode()
        assert old in text
        path.write_bytes(text.replace(old, new, times).encode())

    def lines(self, change: Callable[[list[str]], list[str]]) -> None:
        """Change the lines of the metadata."""
        path = self.export / "metadata.tsv"
        lines = path.read_text("utf-8").splitlines()
        path.write_text("".join(f"{line}\n" for line in change(lines)), "utf-8")

    def state(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the first bookmark."""
        path = self.export / "bookmarks.json"
        states = json.loads(path.read_text("utf-8"))
        change(states[0])
        path.write_text(json.dumps(states), "utf-8")

    def sprite(self, width: int, height: int, form: str = "PNG") -> None:
        Image.new("L", (width, height)).save(self.export / "sprite.png", form)

    def checkpoint(self, **variables: Any) -> None:
        """Write another checkpoint under the same name; `embedding` and `grid` keep their names."""
        for path in self.export.glob("embedding.ckpt*"):
            path.unlink()
        names = {"embedding": self.embedding, "grid": self.grid}
        kept = {names.get(name, name): value for name, value in variables.items()}
        projector.write_checkpoint(self.export / "embedding.ckpt", kept)


def vectors(rows: int = POINTS, columns: int = 4) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)


@pytest.fixture(scope="module")
def plain(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with four columns: label, path, width, height."""
    options = tbgrid.ExportOptions(groups=tbgrid.GroupOptions("off", 0))
    return tbgrid.export(photos, tmp_path_factory.mktemp("plain"), options).directory


@pytest.fixture
def run(plain: Path, tmp_path: Path) -> Run:
    shutil.copytree(plain, tmp_path / "logs" / "colours")
    return Run(tmp_path / "logs" / "colours")


def refused(run: Path) -> set[str]:
    """What TensorBoard's Projector back end does not give of a run: routes, or "listing"."""
    backend = Backend(run.parent)

    def get(route: str, **query: str) -> Any:
        try:
            answer = backend.client.get(f"/data/plugin/projector/{route}", query_string=query)
        except Exception:  # a server answers 500
            return None
        return answer if answer.status_code == 200 else None

    runs = get("runs")
    if runs is None:
        return {"runs"}
    if run.name not in runs.json:
        return {"listing"}
    found = set()
    seen = set()
    for tensor in get("info", run=run.name).json["embeddings"]:
        name = tensor.get("tensorName", "")
        if name in seen:  # the page takes the first
            continue
        seen.add(name)
        query = {"run": run.name, "name": name}
        shape = tensor.get("tensorShape", [])
        if len(shape) != 2 or min(shape) < 2:  # vz-projector-data-panel.ts
            found.add("listing")
            continue
        values = get("tensor", **query)
        if values is None or not np.isfinite(np.frombuffer(values.data, np.float32)).all():
            found.add("tensor")
        elif len(values.data) != 4 * np.prod(shape):
            found.add("shape")
        for route, path in (
            ("metadata", tensor.get("metadataPath")),
            ("bookmarks", tensor.get("bookmarksPath")),
            ("sprite_image", tensor.get("sprite", {}).get("imagePath")),
        ):
            if path and get(route, **query) is None:
                found.add(route)
    return found


def told(findings: list[Finding]) -> list[str]:
    return [f"{found.level} {found.subject}: {found.message}" for found in findings]


# Runs that are well


def test_an_export_has_no_findings(exported: tbgrid.ExportResult) -> None:
    assert check(exported.directory) == []
    assert refused(exported.directory) == set()


def test_nothing_is_written(run: Run) -> None:
    def everything() -> dict[Path, tuple[int, int]]:
        return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in run.path.rglob("*")}

    before = everything()
    check(run.path)
    assert everything() == before


def test_the_keys_of_a_bookmark_are_those_of_the_projector() -> None:
    # Both are undefined or null in states that the Projector itself writes.
    known = {
        *projector_files._STATE_NEEDS,
        *projector_files._STATE_WANTS,
        "isSelected",
        "filteredPoints",
    }
    assert known == STATE_KEYS


# Sabotage: what was done, where it must be found (see `Run.named`), a part of the message, and
# what TensorBoard's own back end then refuses.

METADATA, SPRITE, BOOKMARKS = "{e}/metadata.tsv", "{e}/sprite.png", "{e}/bookmarks.json"


# The head of a PNG of 2^20 x 2^20 px.
HEAD = b"IHDR\0\x10\0\0\0\x10\0\0\x08\0\0\0\0"
VAST = b"\x89PNG\r\n\x1a\n\0\0\0\r" + HEAD + zlib.crc32(HEAD).to_bytes(4, "big")
VAST += b"\0\0\0\0IDAT" + zlib.crc32(b"IDAT").to_bytes(4, "big")


def replaced(number: int, line: str) -> Sabotage:
    return lambda run: run.lines(lambda lines: [*lines[:number], line, *lines[number + 1 :]])


def put(key: str, value: object) -> Sabotage:
    return lambda run: run.state(lambda state: state.update({key: value}))


def without(*keys: str) -> Sabotage:
    return lambda run: run.state(lambda state: [state.pop(key) for key in keys])


def point(key: str, value: object) -> Sabotage:
    return lambda run: run.state(lambda state: state["projections"][7].update({key: value}))


def cell(*sides: int) -> Sabotage:
    def change(config: ProjectorConfig) -> None:
        for tensor in config.embeddings:
            tensor.sprite.single_image_dim[:] = sides

    return lambda run: run.config(change)


def one_column(run: Run) -> None:
    run.lines(lambda lines: [line.split("\t")[1] for line in lines])


def linked_away(run: Run) -> None:
    outside = run.path.parent / "outside.tsv"
    (run.export / "metadata.tsv").replace(outside)
    (run.export / "metadata.tsv").symlink_to(outside)


def latin(run: Run) -> None:
    text = "label\tpath\n" + "é\ta\n" * POINTS
    (run.export / "metadata.tsv").write_bytes(text.encode("latin-1"))


def cut(name: str) -> Sabotage:
    def change(run: Run) -> None:
        path = run.export / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return change


def with_nan(run: Run) -> None:
    values = vectors()
    values[[3, 5]] = np.nan
    run.checkpoint(embedding=values, grid=vectors(columns=3))
    (run.export / "bookmarks.json").write_text("[]")


def reshaped(**variables: Any) -> Sabotage:
    def change(run: Run) -> None:
        run.checkpoint(**variables)
        (run.export / "bookmarks.json").write_text("[]")

    return change


def with_shape(run: Run) -> None:
    run.config(lambda config: config.embeddings[1].tensor_shape.extend([POINTS, 4]))


def twice(run: Run) -> None:
    run.config(lambda config: config.embeddings.add().CopyFrom(config.embeddings[1]))


def elsewhere(run: Run) -> None:
    shutil.copytree(run.export, run.export.with_name("0123456789abcdef"))
    run.text(CONFIG, run.current, "0123456789abcdef", 100)


def events(run: Run) -> Path:
    return next(run.path.glob("*tfevents*"))


def overridden(run: Run) -> None:
    path = run.path / OVERRIDE
    path.parent.mkdir()
    path.write_text("")


WRONG: dict[str, tuple[Sabotage, str, str, str]] = {
    # metadata
    "row lost": (lambda r: r.lines(lambda rows: rows[:-2]), METADATA, "58 rows for the 60", ""),
    "row added": (lambda r: r.lines(lambda rows: [*rows, rows[-1]]), METADATA, "61 rows", ""),
    "header lost": (lambda r: r.lines(lambda rows: rows[1:]), METADATA, "line 1 has a tab", ""),
    "row blank": (
        replaced(9, "  "),
        METADATA,
        "59 rows for the 60 points of the tensor; line 10",
        "",
    ),
    "row of tabs": (replaced(9, "\t\t\t"), METADATA, "line 10 blank", ""),
    "headed column": (
        one_column,
        METADATA,
        "61 rows for the 60 points of the tensor; a single",
        "",
    ),
    "tab in a value": (replaced(4, "a\tb\tc\t1\t1"), METADATA, "line 5: not 4 cells", ""),
    "cell lost": (replaced(4, "a\tb\t1"), METADATA, "line 5: not 4 cells", ""),
    "not UTF-8": (latin, METADATA, "line 2 is not UTF-8 (byte 0xe9)", "metadata"),
    "no end of line": (
        lambda r: (r.export / "metadata.tsv").write_text("no line feed"),
        METADATA,
        "never stops searching",
        "",
    ),
    # sprite
    "no picture": (
        lambda r: (r.export / "sprite.png").write_bytes(b"GIF"),
        SPRITE,
        "not a picture",
        "",
    ),
    "cells of no whole number": (cell(60, 60), SPRITE, "512 x 512 px is 8.5333 x 8.5333", ""),
    "cell with one side": (cell(64), SPRITE, "single_image_dim is [64]", ""),
    "cell of no size": (cell(0, 64), SPRITE, "single_image_dim is [0, 64]", ""),
    "sprite not square": (
        lambda r: r.sprite(512, 640),
        SPRITE,
        "8 x 10 pictures; the numbers of columns",
        "",
    ),
    "sprite too small": (
        lambda r: r.sprite(448, 448),
        SPRITE,
        "7 x 7 pictures, too few for 60",
        "",
    ),
    "sprite too large": (lambda r: r.sprite(8256, 8256), SPRITE, "8,256 x 8,256 px", ""),
    "sprite of terapixels": (
        lambda r: (r.export / "sprite.png").write_bytes(VAST),
        SPRITE,
        "far more than 8,192",
        "",
    ),
    # bookmarks
    "bookmarks cut": (cut("bookmarks.json"), BOOKMARKS, "not JSON", ""),
    "bookmarks with NaN": (
        point("linear-x", float("nan")),
        BOOKMARKS,
        "not JSON in UTF-8 (NaN)",
        "",
    ),
    "one bookmark": (
        lambda r: (r.export / "bookmarks.json").write_text("{}"),
        BOOKMARKS,
        "not an array of objects",
        "",
    ),
    "bookmark lacks PCA": (
        without("pcaComponentDimensions", "customYUpText"),
        BOOKMARKS,
        "state 1 lacks pcaComponentDimensions, customYUpText: a click",
        "",
    ),
    "bookmark of one PCA component": (
        put("pcaComponentDimensions", [0]),
        BOOKMARKS,
        "pcaComponentDimensions is [0]",
        "",
    ),
    "bookmark of nothing": (put("selectedProjection", "t-sne"), BOOKMARKS, "'t-sne' throws", ""),
    "point too few": (
        lambda r: r.state(lambda state: state["projections"].pop()),
        BOOKMARKS,
        "state 1: 59 projections for 60 points",
        "",
    ),
    "point too many": (
        lambda r: r.state(lambda state: state["projections"].append(state["projections"][0])),
        BOOKMARKS,
        "61 projections for 60 points; the surplus throws",
        "",
    ),
    "points of a filter": (
        put("filteredPoints", [1, 2]),
        BOOKMARKS,
        "60 projections for 2 points",
        "",
    ),
    "point without a number": (
        point("pca-1", None),
        BOOKMARKS,
        "not only finite numbers in projection 7",
        "",
    ),
    "point of a text": (point("pca-1", "0.5"), BOOKMARKS, "not only finite numbers", ""),
    "point without a place": (
        lambda r: r.state(lambda state: state["projections"][7].pop("linear-y")),
        BOOKMARKS,
        "projection 7 without linear-x, linear-y",
        "",
    ),
    # config and paths
    "config malformed": (
        lambda r: (r.path / CONFIG).write_text('embeddings { tensor_name: "a" '),
        CONFIG,
        "not a projector config (1:",
        "runs",
    ),
    "config not UTF-8": (
        lambda r: (r.path / CONFIG).write_bytes(b"# \xff\n"),
        CONFIG,
        "not UTF-8",
        "runs",
    ),
    "metadata lost": (
        lambda r: (r.export / "metadata.tsv").unlink(),
        METADATA,
        "does not exist",
        "metadata",
    ),
    "sprite lost": (
        lambda r: (r.export / "sprite.png").unlink(),
        SPRITE,
        "does not exist",
        "sprite_image",
    ),
    "bookmarks lost": (
        lambda r: (r.export / "bookmarks.json").unlink(),
        BOOKMARKS,
        "does not exist",
        "bookmarks",
    ),
    "metadata linked away": (
        linked_away,
        METADATA,
        "leads out of the directory of projector_config.pbtxt",
        "metadata",
    ),
    "backslashes": (
        lambda r: r.tensor(0, bookmarks_path=f"{HOME}/{r.current}/a\\bookmarks.json"),
        "{e}/a\\bookmarks.json",
        "backslashes",
        "bookmarks",
    ),
    # checkpoint and tensors
    "state lost": (
        lambda r: (r.path / "checkpoint").unlink(),
        "checkpoint",
        "missing; it names the newest checkpoint",
        "listing",
    ),
    "state empty": (
        lambda r: (r.path / "checkpoint").write_text(""),
        "checkpoint",
        "names no checkpoint; no run",
        "runs",
    ),
    "state malformed": (
        lambda r: (r.path / "checkpoint").write_text("{"),
        "checkpoint",
        "unreadable; it is ignored",
        "listing",
    ),
    "checkpoint lost": (
        lambda r: (r.export / "embedding.ckpt.index").unlink(),
        "checkpoint",
        "names {e}/embedding.ckpt, which has no .index file",
        "listing",
    ),
    "index cut": (cut("embedding.ckpt.index"), "{e}/embedding.ckpt", "cannot be read", "listing"),
    "NaN": (with_nan, "{embedding}", "NaN or infinite values in rows 3 and 5", "tensor"),
    "one dimension": (
        reshaped(embedding=vectors(columns=1), grid=vectors(columns=3)),
        "{embedding}",
        "60 x 1: listed only with at least 2 rows and 2 columns",
        "listing",
    ),
    "three axes": (
        reshaped(embedding=vectors().reshape(30, 2, 4), grid=vectors(columns=3)),
        "{embedding}",
        "3-D, not 2-D",
        "listing",
    ),
    "tensor lost": (
        reshaped(embeddings=vectors(), grid=vectors(columns=3)),
        "{embedding}",
        "not in the checkpoint, which has tensor embeddings",
        "listing",
    ),
    "texts": (
        reshaped(embedding=np.full((POINTS, 2), "a"), grid=vectors(columns=3)),
        "{embedding}",
        "object, not numbers",
        "tensor",
    ),
    "no tensor": (
        reshaped(embedding=vectors(columns=1)),
        "checkpoint",
        "no 2-D variable with at least 2 rows",
        "listing",
    ),
    "short name": (
        lambda r: r.tensor(1, tensor_name="grid"),
        "grid",
        "not in the checkpoint, which has tensor {grid}",
        "listing",
    ),
    "name of another export": (
        lambda r: r.tensor(1, tensor_name="grid-000000"),
        "grid-000000",
        "not in the checkpoint, which has tensor {grid}",
        "listing",
    ),
    "false shape": (
        with_shape,
        "{grid}",
        "tensor_shape is [60, 4], the tensor's [60, 3]",
        "shape",
    ),
    "no name": (
        lambda r: r.tensor(1, tensor_name=""),
        CONFIG,
        "embedding 2 names no tensor",
        "listing",
    ),
    # tbgrid's own
    "pointer lost": (
        lambda r: (r.path / HOME / "current").unlink(),
        "plugins/tbgrid/current",
        "missing or empty",
        "",
    ),
    "pointer astray": (
        lambda r: (r.path / HOME / "current").write_text("..\n"),
        "plugins/tbgrid/current",
        "names '..', which is not a directory",
        "",
    ),
    "config of another export": (elsewhere, CONFIG, "not a file of {e}", ""),
    "config lost": (lambda r: (r.path / CONFIG).unlink(), CONFIG, "missing in a run of tbgrid", ""),
    "events lost": (lambda r: events(r).unlink(), ".", "no event file of tbgrid", "listing"),
    "events empty": (lambda r: events(r).write_bytes(b""), ".", "no event file of tbgrid", ""),
}
# What follows from the damage and is rightly told as well.
ALSO = {"no end of line": {METADATA}}

BLEMISHED: dict[str, tuple[Sabotage, str, str]] = {
    "blank line": (
        lambda r: r.lines(lambda lines: [*lines[:9], "", *lines[9:]]),
        METADATA,
        "line 10 blank, which the page drops",
    ),
    "cells empty": (
        lambda r: r.lines(lambda lines: [lines[0], *("\tb\t1\t1" for _ in lines[1:])]),
        METADATA,
        "empty cell in lines 2, 3, 4, 5, 6 and 55 more",
    ),
    "carriage returns": (
        lambda r: r.lines(lambda lines: [f"{line}\r" for line in lines]),
        METADATA,
        "carriage return in lines 1, 2, 3, 4, 5 and 56 more",
    ),
    "sequence": (
        lambda r: r.text(f"{HOME}/{r.current}/metadata.tsv", "width", "__next__"),
        METADATA,
        "column __next__: draws lines",
    ),
    "column twice": (
        lambda r: r.text(f"{HOME}/{r.current}/metadata.tsv", "width", "path"),
        METADATA,
        "column name 'path' empty or repeated",
    ),
    "a label that looks like a header": (
        lambda r: r.lines(lambda lines: ["Label", *(line[:3] for line in lines[2:])]),
        METADATA,
        "line 1, 'Label', looks like a header",
    ),
    "TIFF": (lambda r: r.sprite(512, 512, "TIFF"), SPRITE, "TIFF: TensorBoard has no MIME type"),
    "t-SNE anew": (
        lambda r: r.state(
            lambda state: state.update(
                selectedProjection="tsne",
                projections=[{"tsne-0": 0.5, "tsne-1": 0.25}] * POINTS,
            )
        ),
        BOOKMARKS,
        "selectedProjection tsne runs t-SNE again",
    ),
    "bookmark lacks a camera": (without("cameraDef"), BOOKMARKS, "state 1 lacks cameraDef"),
    "bookmark of another shape": (
        put("dataSetDimensions", [POINTS, 7]),
        BOOKMARKS,
        "dataSetDimensions is [60, 7], the tensor [60, ",
    ),
    "tensor twice": (twice, "{grid}", "named twice"),
    "override": (overridden, CONFIG, "overrides it"),
    "staging": (
        lambda r: (r.path / HOME / "staging-17").mkdir(),
        "plugins/tbgrid/staging-17",
        "left by an export that was stopped",
    ),
    "an old export": (
        lambda r: (r.path / HOME / "0123456789abcdef").mkdir(),
        "plugins/tbgrid/0123456789abcdef",
        "an export to which nothing points",
    ),
    "events of another export": (
        lambda r: events(r).rename(r.path / "events.out.tfevents.1.beef.tbgrid"),
        "events.out.tfevents.1.beef.tbgrid",
        "belongs to another export",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_error_is_found_where_it_is(run: Run, case: str) -> None:
    sabotage, subject, message, refusal = WRONG[case]
    sabotage(run)
    found = check(run.path)
    first, *rest = found
    assert first.level == "error", told(found)
    assert first.subject == run.named(subject)
    assert run.named(message) in first.message
    assert {f.subject for f in rest} <= {run.named(s) for s in ALSO.get(case, ())}
    assert all(part.strip() for f in found for part in (f.subject, f.message, f.cure))
    assert exit_code(found) == 1
    # Most rules are those of the page; what the back end refuses, it must refuse for this.
    assert refused(run.path) == ({refusal} if refusal else set())


@pytest.mark.parametrize("case", BLEMISHED)
def test_a_warning_is_found_where_it_is(run: Run, case: str) -> None:
    sabotage, subject, message = BLEMISHED[case]
    sabotage(run)
    found = check(run.path)
    assert [f.level for f in found] == ["warning"], told(found)
    assert found[0].subject == run.named(subject)
    assert message in found[0].message
    assert exit_code(found) == 0
    if case != "override":
        assert refused(run.path) == set()


@pytest.mark.parametrize("name", ["metadata.tsv", "sprite.png", "bookmarks.json"])
@pytest.mark.parametrize("content", ["empty", "noise", "a directory"])
def test_whatever_a_file_holds_is_told_and_not_thrown(run: Run, name: str, content: str) -> None:
    path = run.export / name
    path.unlink()
    if content == "a directory":
        path.mkdir()
    else:
        noise = np.random.default_rng(1).integers(0, 256, 5000, np.uint8).tobytes()
        path.write_bytes(noise if content == "noise" else b"")
    found = check(run.path)
    assert {f.subject for f in found} == {f"{HOME.as_posix()}/{run.current}/{name}"}, told(found)
    assert exit_code(found) == 1


def test_values_that_do_not_match_their_checksum_are_found(run: Run) -> None:
    path = run.export / "embedding.ckpt.data-00000-of-00001"
    path.write_bytes(path.read_bytes()[:1000])
    found = check(run.path)
    assert exit_code(found) == 1
    assert {f.subject for f in found} == {run.embedding, run.grid}, told(found)
    assert refused(run.path) != set()


@pytest.mark.parametrize(
    "path", ["../outside.tsv", "/etc/passwd", "~/x.tsv", "a/../../outside.tsv", "\\000", "x" * 300]
)
def test_paths_that_lead_astray(run: Run, path: str) -> None:
    (run.path.parent / "outside.tsv").write_text("a\n")
    run.tensor(0, metadata_path=path)
    found = check(run.path)
    assert exit_code(found) == 1, told(found)
    assert len(found) == 2, "the export's pointers, and the path"
    assert refused(run.path) == {"metadata"}


@pytest.mark.parametrize(
    ("path", "level", "message"),
    [
        ("{x}/embedding.ckpt", "warning", "prevents moving the run"),
        ("{x}/none.ckpt", "error", "is not a checkpoint; the run is dropped"),
        ("plugins/none.ckpt", "error", "which is relative to tensorboard's working directory, is"),
    ],
)
def test_a_checkpoint_that_the_config_names(run: Run, path: str, level: str, message: str) -> None:
    given = path.replace("{x}", str(run.export))
    run.config(lambda config: setattr(config, "model_checkpoint_path", given))
    found = [f for f in check(run.path) if "not a file of" not in f.message]
    assert [(f.level, f.subject) for f in found] == [(level, CONFIG)], told(found)
    assert message in found[0].message
    assert refused(run.path) == ({"listing"} if level == "error" else set())


def test_a_tensor_without_rows(run: Run) -> None:
    run.checkpoint(embedding=vectors(0), grid=vectors(0, 3))
    (run.export / "bookmarks.json").write_text("[]")
    (run.export / "metadata.tsv").write_text("")
    found = check(run.path)
    assert told(found) == ["error checkpoint: no 2-D variable with at least 2 rows and 2 columns"]
    assert list(metadata.check_metadata(run.export / "metadata.tsv", "m", [0])) == []


# Where the run lies


def test_a_name_that_the_page_cannot_fetch(run: Run) -> None:
    renamed = run.path.rename(run.path.with_name("cats&dogs #1"))
    (found,) = check(renamed)
    assert (found.level, found.subject) == ("warning", ".")
    assert "holds '&'" in found.message


def test_a_directory_named_plugins_above_the_run(run: Run) -> None:
    below = run.path.parent / "plugins" / "colours"
    below.parent.mkdir()
    run.path.rename(below)
    (found,) = check(below)
    assert "named plugins" in found.message
    assert refused(below) == {"listing"}


def test_what_is_no_run(run: Run, tmp_path: Path) -> None:
    (found,) = check(tmp_path / "nowhere")
    assert "does not exist" in found.message
    (found,) = check(events(run))
    assert "is a file" in found.message
    (found,) = check(run.path.parent)
    assert "neither projector_config.pbtxt nor checkpoint" in found.message
    assert found.cure == "give a run below it, such as colours"
    assert exit_code([found]) == 1


def test_a_run_can_be_checked_from_within(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.path)
    assert check(".") == []
    assert check(os.fspath(run.path)) == []


def test_without_tensorflow_the_rest_is_checked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (run.export / "bookmarks.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    first, second = check(run.path)
    assert first.level == "warning"
    assert "TensorFlow is not installed" in first.message
    assert "not an array of objects" in second.message


# Runs of tensorboardX; those of torch.utils.tensorboard have the same form


def board(logdir: Path, count: int = 10, tag: str = "default", **given: Any) -> Path:
    """A run of tensorboardX with one embedding."""
    writer = pytest.importorskip("tensorboardX").SummaryWriter(str(logdir / "run"))
    writer.add_embedding(vectors(count), tag=tag, **given)
    writer.close()
    return logdir / "run"


def pictures(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, 3, side, side))


# The cells after the last picture are memory as it was, multiplied by 255.
@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
def test_a_good_run_of_tensorboardx(tmp_path: Path) -> None:
    run = board(
        tmp_path,
        metadata=[[f"label {i}", i] for i in range(10)],
        metadata_header=["label", "number"],
        label_img=pictures(10, 16),
    )
    assert check(run) == []
    assert refused(run) == set()


def test_labels_of_tensorboardx_in_one_column(tmp_path: Path) -> None:
    run = board(tmp_path, metadata=[f"label {i}" for i in range(10)])
    assert check(run) == []
    path = "00000/default/metadata.tsv"
    (run / path).write_text("label\n" + (run / path).read_text())
    (found,) = check(run)
    assert found.subject == path
    assert "11 rows for the 10 points of the tensor; a single column has no header" in found.message


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("", "9 rows for the 10 points of the tensor; line 4 blank"),
        ("two\nlines", "11 rows for the 10 points"),
        ("a\ttab", "line 4: not 1 cells between tabs"),
    ],
)
def test_labels_that_tensorboardx_does_not_quote(tmp_path: Path, label: str, message: str) -> None:
    run = board(tmp_path, metadata=["a", "b", "c", label, *"efghij"])
    (found,) = check(run)
    assert found.level == "error"
    assert message in found.message


def test_a_tag_of_tensorboardx_goes_into_urls(tmp_path: Path) -> None:
    (found,) = check(board(tmp_path, tag="cats&dogs"))
    assert (found.level, found.subject) == ("error", "cats&dogs:00000")
    assert "'&'" in found.message


def test_an_embedding_of_tensorboardx_twice_at_a_step(tmp_path: Path) -> None:
    board(tmp_path)
    (found,) = check(board(tmp_path))
    assert (found.level, found.message[:11]) == ("warning", "named twice")


def test_vectors_of_tensorboardx_that_are_no_numbers(tmp_path: Path) -> None:
    run = board(tmp_path)
    path = run / "00000/default/tensors.tsv"
    path.write_text(path.read_text().replace("\n", "\tnan\n", 1))
    (found,) = check(run)
    assert "not 5 numbers between tabs" in found.message
    assert refused(run) == {"runs"}


def test_a_sprite_of_tensorboardx_over_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding = pytest.importorskip("tensorboardX.embedding")
    assert embedding.TB_MAX_SPRITE_SIZE == run_format.MAX_SPRITE_SIDE
    monkeypatch.setattr(embedding, "TB_MAX_SPRITE_SIZE", 47)
    with pytest.raises(AssertionError, match="Sprite too large"):
        board(tmp_path, count=9, label_img=pictures(9, 16))
    (found,) = check(tmp_path / "run")  # it stops between the labels and the config
    assert "neither projector_config.pbtxt nor checkpoint" in found.message

    # torch.utils.tensorboard has no limit.
    monkeypatch.undo()
    run = board(tmp_path / "torch", count=9, label_img=pictures(9, 16))
    Image.new("L", (8193, 8193)).save(run / "00000/default/sprite.png")
    (found,) = check(run)
    assert found.subject == "00000/default/sprite.png"
    assert "8,193 x 8,193 px" in found.message
    assert found.cure == "shrink each picture to 2730 px"


# Tensors in files of their own


def tsv(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


TENSORS: dict[str, tuple[bytes, list[int], str]] = {
    "numbers": (tsv("1\t2", "", "1e-3\t-4.5", " 5 \t6"), [], ""),
    "one column": (tsv("1", "2"), [], "2 x 1: listed only"),
    "header": (tsv("x\ty", "1\t2", "3\t4"), [], "line 1 not 2 numbers between tabs"),
    "uneven": (tsv("1\t2", "3\t4\t5", "6"), [], "lines 2 and 3 not 2 numbers"),
    "white line": (tsv("1\t2", " ", "3\t4"), [], "line 2 not 2 numbers"),
    "empty cell": (tsv("1\t2", "3\t", "5\t6"), [], "line 2 not 2 numbers"),
    "commas": (tsv("1,2", "3,4"), [], "lines 1 and 2 not some numbers"),
    "nothing": (b"", [], "nothing, not a line of some numbers"),
    "blank lines": (b"\n\n", [], "nothing, not a line"),
    "NaN": (tsv("1\t2", "", "nan\t4"), [], "NaN or infinite values in line 3"),
    "past float32": (tsv("1\t2", "1e39\t4"), [], "NaN or infinite values in line 2"),
    "false shape": (tsv("1\t2", "3\t4"), [2, 3], "tensor_shape is [2, 3], the tensor's [2, 2]"),
    "raw": (vectors(5, 4).tobytes(), [5, 4], ""),
    "raw without its shape": (vectors(5, 4).tobytes(), [], "80 bytes, tensor_shape []"),
    "raw of another shape": (vectors(5, 4).tobytes(), [5, 5], "80 bytes, tensor_shape [5, 5]"),
    "raw NaN": (np.full((5, 4), np.nan, np.float32).tobytes(), [5, 4], "rows 0, 1, 2, 3 and 4"),
}


@pytest.mark.parametrize("case", TENSORS)
def test_a_tensor_in_a_file_of_its_own(tmp_path: Path, case: str) -> None:
    content, shape, message = TENSORS[case]
    run = board(tmp_path)
    (run / "00000/default/tensors.tsv").write_bytes(content)
    sides = "".join(f"tensor_shape: {side}\n" for side in shape)
    config = (run / CONFIG).read_text()
    (run / CONFIG).write_text(config.replace("tensor_path", f"{sides}tensor_path"))
    found = check(run)
    assert [message in f.message for f in found] == [True] * bool(message), told(found)
    assert exit_code(found) == bool(message)
    assert bool(refused(run)) == bool(message)


def test_a_tensor_of_many_lines_is_counted_through(tmp_path: Path) -> None:
    path = tmp_path / "tensors.tsv"
    lines = ["1\t2"] * 10_000
    lines[5000], lines[9000] = "", "inf\t0"
    path.write_bytes(tsv(*lines))
    steps = projector_files.check_tensor_file(path, "t", [])
    assert "line 9001" in next(steps).message
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == (9999, 2)


# Runs made by hand


def hand_made(logdir: Path, text: str | None = None) -> Path:
    """What TensorFlow's own tutorial makes: a checkpoint, labels, a config and no event file."""
    import tensorflow as tf

    run = logdir / "imdb"
    run.mkdir()
    (run / "metadata.tsv").write_text("".join(f"word{i}\n" for i in range(20)))
    tf.train.Checkpoint(embedding=tf.Variable(vectors(20))).save(str(run / "embedding.ckpt"))
    default = f'embeddings {{ tensor_name: "{VARIABLE}" metadata_path: "metadata.tsv" }}'
    (run / CONFIG).write_text(default if text is None else text)
    return run


def test_a_run_by_hand_lacks_an_event_file(tmp_path: Path) -> None:
    run = hand_made(tmp_path)
    (found,) = check(run)
    assert (found.level, found.subject) == ("warning", ".")
    assert found.message.startswith("no event file: listed only if")
    assert refused(run) == {"listing"}
    (run / "events.out.tfevents.1").write_bytes(b"")
    (found,) = check(run)
    assert found.message.startswith("its event file is empty")
    assert "." in Backend(run).json("runs")


@pytest.mark.parametrize(
    "name", ["embedding", "embedding-8b5aca", "embeddings/.ATTRIBUTES/VARIABLE_VALUE", "w"]
)
def test_a_name_that_is_not_quite_the_variable_s(tmp_path: Path, name: str) -> None:
    run = hand_made(tmp_path, f'embeddings {{ tensor_name: "{name}" }}')
    (run / "events.out.tfevents.1").write_bytes(b"some")
    (found,) = check(run)
    assert (found.level, found.subject) == ("error", name)
    assert found.message == f"not in the checkpoint, which has tensor {VARIABLE}"
    assert refused(run) == {"listing"}


def test_a_first_embedding_without_a_name(tmp_path: Path) -> None:
    run = hand_made(tmp_path, 'embeddings { metadata_path: "metadata.tsv" }')
    (run / "events.out.tfevents.1").write_bytes(b"some")
    (found,) = check(run)
    assert (found.level, found.subject) == ("warning", CONFIG)
    assert "to all tensors without a name" in found.message
    (run / "metadata.tsv").write_text("word\n")
    assert "1 rows for the 20 points" in check(run)[-1].message


def test_a_checkpoint_without_a_config(tmp_path: Path) -> None:
    run = hand_made(tmp_path)
    (run / "events.out.tfevents.1").write_bytes(b"some")
    (run / CONFIG).unlink()
    (found,) = check(run)
    assert (found.level, found.subject) == ("warning", ".")
    assert "points without labels" in found.message
    assert refused(run) == set()


def test_a_checkpoint_that_nothing_names(tmp_path: Path) -> None:
    run = hand_made(tmp_path)
    (run / "events.out.tfevents.1").write_bytes(b"some")
    (run / "checkpoint").unlink()
    (found,) = check(run)
    assert (found.level, found.subject) == ("error", "checkpoint")
    assert "embedding.ckpt-1 exists, but nothing names it" in found.message
    assert refused(run) == {"listing"}


@pytest.mark.parametrize("name", ["a[1]", "a\\b"])
def test_a_directory_that_tensorflow_reads_as_a_pattern(run: Run, name: str) -> None:
    path = run.path.rename(run.path.with_name(name))
    (found,) = check(path)
    assert (found.level, found.cure[:20]) == ("error", "rename the directory")
    assert "listing" in refused(path)


def test_a_run_without_a_checkpoint_shows_its_parent_s(tmp_path: Path) -> None:
    run = hand_made(tmp_path)
    train = run / "train"
    train.mkdir()
    (train / "events.out.tfevents.1").write_bytes(b"some")
    (train / CONFIG).write_text(f'embeddings {{ tensor_name: "{VARIABLE}" }}')
    (found,) = check(train)
    assert (found.level, found.subject) == ("warning", ".")
    assert "the parent directory's" in found.message
    assert refused(train) == set()


def test_a_config_in_the_directory_for_assets(tmp_path: Path) -> None:
    run = hand_made(tmp_path)
    (run / "events.out.tfevents.1").write_bytes(b"some")
    (run / OVERRIDE).parent.mkdir(parents=True)
    (run / CONFIG).rename(run / OVERRIDE)
    (found,) = check(run)
    assert found.subject == (OVERRIDE.parent / "metadata.tsv").as_posix()
    assert "does not exist" in found.message
    assert refused(run) == {"metadata"}
    (run / "metadata.tsv").rename((run / OVERRIDE).with_name("metadata.tsv"))
    assert check(run) == []
    assert refused(run) == set()


def test_paths_that_tie_a_run_to_its_place(tmp_path: Path) -> None:
    run = hand_made(tmp_path)
    (run / "events.out.tfevents.1").write_bytes(b"some")
    for name in (CONFIG, "checkpoint"):
        text = (run / name).read_text()
        for old in ('"metadata', 'model_checkpoint_path: "'):
            text = text.replace(
                old, f'{old.partition(chr(34))[0]}"{run}/{old.partition(chr(34))[2]}'
            )
        (run / name).write_text(text)
    found = check(run)
    assert [(f.level, f.subject) for f in found] == [
        ("warning", "checkpoint"),
        ("warning", f"{run}/metadata.tsv"),
    ]
    assert all("absolute path: the run cannot be moved" in f.message for f in found)
    assert refused(run) == set()


def test_a_checkpoint_of_tensorflow_1(tmp_path: Path) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("words", initializer=vectors(20), use_resource=False)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"), 5)
    (tmp_path / CONFIG).write_text('embeddings { tensor_name: "words:0" }')
    (tmp_path / "events.out.tfevents.1").write_bytes(b"some")
    (found,) = check(tmp_path)
    assert (found.level, found.subject) == ("warning", "checkpoint")
    assert "by its absolute path" in found.message


def test_more_points_than_the_page_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_format.MAX_POINTS == 100_000  # LIMIT_NUM_POINTS, data-provider-server.ts
    monkeypatch.setattr(projector_files, "MAX_POINTS", 5)
    run = board(tmp_path, count=10)
    (found,) = check(run)
    assert (found.level, found.message) == (
        "warning",
        "10 points, of which the page loads the first 5",
    )


# The words


def test_findings_of_a_kind_are_summed_up(run: Run) -> None:
    def many(config: ProjectorConfig) -> None:
        for number in range(47):
            config.embeddings.add().tensor_name = f"none-{number}"

    run.config(many)
    found = check(run.path)
    assert len(found) == 11
    assert found[-1].message == "... and 37 more of this kind"
    assert exit_code(found) == 1


def test_findings_in_words() -> None:
    worse = Finding("error", "a\x1b[2J.tsv", "1 row", "add one")
    found = [Finding("warning", ".", "no name", "give one"), worse, worse]
    assert format_findings(found).splitlines() == [
        "error: a\ufffd[2J.tsv: 1 row",
        "  add one",
        "error: a\ufffd[2J.tsv: 1 row",
        "  add one",
        "warning: .: no name",
        "  give one",
        "2 errors, 1 warning",
    ]
    assert format_findings([]) == "nothing found: TensorBoard accepts this run"
    assert exit_code([]) == 0
    assert exit_code(found[:1]) == 0
    assert exit_code(found) == 1


@pytest.mark.parametrize(
    ("items", "text"),
    [([3], "line 3"), ([3, 5], "lines 3 and 5"), ([*range(9)], "lines 0, 1, 2, 3, 4 and 4 more")],
)
def test_lists_in_words(items: list[int], text: str) -> None:
    assert enumerate_items("line", items) == text


def test_limits_are_those_of_the_projector() -> None:
    assert run_format.MAX_SPRITE_SIDE == 8192  # MAX_SPRITE_IMAGE_SIZE_PX, data-provider.ts


# --- The Grid tab's files ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "subject", "message"),
    [
        (lambda f: (f / "cells.u32").unlink(), "map/cells.u32", "missing"),
        (lambda f: (f / "places.f32").write_bytes(bytes(8)), "map/places.f32", "8 bytes, .* 480"),
        (lambda f: os.truncate(f / "previews.bin", 99), "map/previews.bin", "99 bytes"),
        (lambda f: (f / "column-1.utf8").write_bytes(b""), "map/column-1.utf8", "0 bytes"),
        (lambda f: (f / "column-0.json").unlink(), "map/column-0.json", "missing"),
        (lambda f: (f / "mosaic_files/9/0_0.jpg").unlink(), "map/mosaic_files", "9/0_0.jpg"),
        (lambda f: (f / "manifest.json").unlink(), "map/manifest.json", "cannot be read"),
        (lambda f: (f / "manifest.json").write_text("{"), "map/manifest.json", "not JSON"),
        (lambda f: (f / "manifest.json").write_text("[]"), "map/manifest.json", "not a manifest"),
        (lambda f: tell(f, format=2), "map/manifest.json", "format 2, .* reads 1"),
        (lambda f: tell(f, photos="60"), "map/manifest.json", "photos is '60'"),
        (lambda f: tell(f, grid=[2, 2]), "map/manifest.json", "for 60 photos"),
        (lambda f: tell(f, columns=[1]), "map/manifest.json", "columns"),
    ],
)
def test_files_of_the_grid_tab_that_do_not_fit(
    damage: Callable[[Path], object], subject: str, message: str, run: Run
) -> None:
    assert check(run.path) == []
    damage(run.export / "map")
    (found,) = check(run.path)
    assert found.level == "error"
    assert found.subject.endswith(subject)
    assert re.search(message, found.message)


def tell(folder: Path, **changes: Any) -> None:
    """Change what the manifest says."""
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_run_without_a_grid_tab_is_whole(run: Run) -> None:
    """One of an older exporter."""
    shutil.rmtree(run.export / "map")
    assert check(run.path) == []
