"""Several models on the same photos: the same rows in all runs, turned alike, in one table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from scipy.spatial.distance import pdist

import tbgrid
from tbgrid import Comparison, ExportOptions, TbgridError, TsneOptions
from tbgrid.check.run import check
from tbgrid.choices import Metric
from tbgrid.cli import main
from tbgrid.layouts.procrustes import consensus
from tbgrid.pipeline import compare as compare_module
from tbgrid.pipeline.write_run import write_run
from tbgrid.types import Embedder, Float32Array, Float64Array
from tests.support.embedders import MeanColour
from tests.support.event_files import events
from tests.support.photos import draw_photos


@dataclass(frozen=True)
class Brightness:
    """A picture's brightness at 8 x 8 places, and no number where the right edge is as `blind`."""

    model_id: str = "bright/ness v1"
    blind: tuple[int, int, int] | None = None
    input_size: ClassVar[tuple[int, int]] = (16, 16)
    metric: ClassVar[Metric] = "cosine"
    notes: ClassVar[Sequence[str]] = ()

    def __call__(self, images: Float32Array) -> Float32Array:
        found = images.mean(axis=3).reshape(len(images), 8, 2, 8, 2).mean(axis=(2, 4))
        vectors = found.reshape(len(images), -1).astype(np.float32)
        if self.blind is not None:
            corner = images[:, 0, -1] * 255
            vectors[np.abs(corner - self.blind).max(axis=1) < 40] = np.nan
        return np.asarray(vectors)


BLUE = (30, 60, 220)


@pytest.fixture(scope="module")
def compared(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Two models' maps of 60 photos. Not to be changed."""
    logdir = tmp_path_factory.mktemp("compared")
    return tbgrid.compare(photos, logdir, [MeanColour(), Brightness()])


def names_of(result: tbgrid.ExportResult) -> list[str]:
    return [photo.name for photo in result.images.photos]


def centred(positions: Float64Array) -> Float64Array:
    return np.asarray(positions - positions.mean(axis=0))


def test_each_model_has_a_run_with_the_same_rows(compared: Comparison) -> None:
    one, other = compared.results
    assert [r.directory.name for r in compared.results] == ["mean-colour", "bright-ness-v1"]
    assert names_of(one) == names_of(other)
    lines = [(r.export / "metadata.tsv").read_text().splitlines() for r in compared.results]
    known = [[line.split("\t")[:4] for line in part] for part in lines]  # clusters come last
    assert known[0] == known[1]
    assert known[0][0] == ["label", "path", "width", "height"]
    assert one.report["model"]["metric"] == "euclidean"
    assert other.report["model"]["metric"] == "cosine"
    for result in compared.results:
        assert not check(result.directory)
        assert "bright/ness" in result.report["model"]["name"] or result is one


def test_the_maps_are_those_of_the_models_alone_but_turned(
    compared: Comparison, photos: Path, tmp_path: Path
) -> None:
    models: list[Embedder] = [MeanColour(), Brightness()]
    alone = [
        tbgrid.export(photos, tmp_path / str(number), embedder=model)
        for number, model in enumerate(models)
    ]
    first, second = compared.results
    assert np.array_equal(first.layout.positions, alone[0].layout.positions)
    assert np.array_equal(first.grid.cells, alone[0].grid.cells)
    turned, before = second.layout.positions, alone[1].layout.positions
    np.testing.assert_allclose(pdist(turned), pdist(before), rtol=1e-9)
    reference = centred(first.layout.positions)
    nearest = (turned * reference).sum()
    for angle in np.linspace(0, 2 * np.pi, 60):
        for mirror in (1, -1):
            c, s = np.cos(angle), np.sin(angle)
            other = centred(before) * (mirror, 1) @ np.array([[c, -s], [s, c]])
            assert (other * reference).sum() <= nearest * (1 + 1e-9)


def test_the_table_stands_in_every_run(compared: Comparison) -> None:
    for result, row in zip(compared.results, compared.rows, strict=True):
        assert row["run"] == result.directory.name
        assert row["DPQ_16"] == result.card.dpq_16
        assert row["neighbour_agreement"] == result.card.agreement
        assert row["dimensions"] == result.images.vectors.shape[1]
        told = json.loads((result.export / "report.json").read_text())
        assert told["models compared"] == list(compared.rows)
        tags = events(result.directory)
        text = tags["tbgrid/report"][0][1].tensor.string_val[0].decode()
        table = text.split("\n\n")[1].splitlines()
        assert [line.split("|")[1].strip() for line in table[2:]] == [
            "mean-colour",
            "bright-ness-v1",
        ]
        assert {"_hparams_/session_start_info", "tbgrid/DPQ_16"} <= set(tags)
        # What TensorBoard's HParams tab shows first are the first tags by name.
        assert min(tag for tag in tags if tag.startswith("tbgrid")) == "tbgrid/DPQ_16"
    assert "bright-ness-v1" in compared._repr_html_()


@pytest.mark.parametrize(
    ("order", "cached"),
    [
        pytest.param(1, False, id="anew-first"),
        pytest.param(-1, True, id="cached-last"),
        pytest.param(-1, False, id="anew-last", marks=pytest.mark.slow),
        pytest.param(1, True, id="cached-first", marks=pytest.mark.slow),
    ],
)
def test_what_one_model_rejects_is_left_out_of_all_runs(
    order: int, cached: bool, tmp_path: Path
) -> None:
    photos = draw_photos(tmp_path / "photos", each=6)
    (photos / "red" / "text.jpg").write_text("no picture")
    models: list[Embedder] = [Brightness("a", BLUE), MeanColour(), Brightness("b")]
    models = models[::order]
    options = ExportOptions(cache=tmp_path / "cache", use_cache=cached, refine=None)
    done = tbgrid.compare(photos, tmp_path / "runs", models, options)
    shown = [names_of(result) for result in done.results]
    assert shown[0] == shown[1] == shown[2]
    assert 3 < len(shown[0]) < 18
    assert not any(name.startswith("blue") for name in shown[0])
    ledgers = [result.skipped_tsv.read_text() for result in done.results]
    assert ledgers[0] == ledgers[1] == ledgers[2]
    assert ledgers[0].count("model a gave NaN or infinity") == 18 - len(shown[0])
    assert "not a picture that Pillow can open" in ledgers[0]
    for result in done.results:
        assert not check(result.directory)
        assert len(result.images.previews) == len(shown[0]) + 1
        assert (result.export / "map/previews.bin").stat().st_size == result.images.previews[-1]


def test_turning_towards_a_consensus_is_nearest_to_all() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 30, 2)) * (3, 1) + 5
    together = consensus([one, 10 * other])
    np.testing.assert_allclose(together.mean(axis=0), 0, atol=1e-12)
    scaled = [centred(part) / np.sqrt((centred(part) ** 2).mean()) for part in (one, other)]
    np.testing.assert_allclose(together, scaled[0] + scaled[1])
    assert np.isfinite(consensus([np.ones((4, 2))])).all()


@pytest.mark.slow
def test_several_models_and_several_layouts_work_together(photos: Path, tmp_path: Path) -> None:
    options = ExportOptions(layout="best", budget=1.0, tsne=TsneOptions(5.0))
    done = tbgrid.compare(photos, tmp_path, [MeanColour(), Brightness()], options, run_name="a")
    for result in done.results:
        assert result.directory.parent == tmp_path / "a"
        assert result.map_result.candidates
        (kept,) = [c for c in result.map_result.candidates if c.remark == "kept"]
        assert kept.card == result.card
        assert {"models compared", "layouts tried"} <= set(result.report)


def test_runs_have_safe_names_of_their_own(tmp_path: Path) -> None:
    for folder in ("a/model", "b/Model"):
        (tmp_path / folder).mkdir(parents=True)
    models = [
        str(tmp_path / "a" / "model"),
        str(tmp_path / "b" / "Model"),
        "https://tfhub.dev/google/net/5",
        "keras:MobileNetV2",
        "..",
        "写真",
    ]
    found = compare_module.run_names(models)
    assert found[:4] == ["model", "Model-2", "tfhub.dev-google-net-5", "keras-MobileNetV2"]
    assert len({name.lower() for name in found}) == len(models)
    assert all(name and name[0] != "." for name in found)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--model", "pixels", "--model", "pixels"], 2, "model pixels is listed twice"),
        (["--model", "pixels", "--model", "nothing"], 2, "no such model: nothing"),
        (["--model", "pixels", "--model", "{photos}"], 1, "is not a SavedModel"),
        (["--model", "pixels", "--model", "builtin", "--vectors", "{vectors}"], 2, "--vectors"),
        (["--model", "pixels", "--model", "builtin", "--run", "a&b"], 2, "'&'"),
        (
            ["--model", "pixels", "--model", "builtin", "--duplicates", "stack"],
            2,
            "stack with several models",
        ),
    ],
)
def test_errors_end_in_one_line_before_the_first_photo_is_read(
    arguments: list[str],
    code: int,
    message: str,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    np.save(tmp_path / "vectors.npy", np.eye(60, dtype=np.float32))
    places = {"photos": photos, "vectors": tmp_path / "vectors.npy"}
    monkeypatch.setattr(
        "tbgrid.embedding.decode.decode", None
    )  # which would fail if it were called
    command = ["export", str(photos), "--logdir", str(tmp_path / "run"), "--no-cache"]
    assert main.main([*command, *(argument.format(**places) for argument in arguments)]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(tmp_path.glob("run/**/events*"))


def test_embedded_photos_are_refused(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = tmp_path / "shards"
    assert main.main(["embed", str(photos), "--out", str(shards), "--model", "pixels"]) == 0
    capsys.readouterr()
    models = ["--model", "pixels", "--model", "builtin"]
    assert main.main(["export", str(shards), "--logdir", str(tmp_path / "run"), *models]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is embedded already, by one model: use the photos themselves" in line


def test_a_run_that_cannot_be_written_leaves_those_before_it(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = write_run
    calls = iter(range(9))

    def failing(*arguments, **options):  # type: ignore[no-untyped-def]
        if next(calls) == 1:
            raise OSError(28, "No space left on device")
        return write(*arguments, **options)

    monkeypatch.setattr(compare_module, "write_run", failing)
    with pytest.raises(
        TbgridError, match=r"bright-ness-v1 \(No space left.*finished runs: mean-colour"
    ):
        tbgrid.compare(photos, tmp_path, [MeanColour(), Brightness()])
    assert not check(tmp_path / "mean-colour")
    assert not list(tmp_path.glob("bright*/events*"))
    assert not list(tmp_path.glob("*/plugins/tbgrid/staging*"))


def test_the_command_prints_the_table_or_json(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", str(photos), "--logdir", str(tmp_path), "--model", "pixels"]
    command.append("--no-refine")
    assert main.main([*command, "--model", "builtin", "--run", "both"]) == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0].split()[:3] == ["run", "layout", "dimensions"]
    assert [line.split()[0] for line in lines[1:3]] == ["pixels", "builtin"]
    assert lines[3].startswith("60 photos shown in 2 runs, 0 skipped; ")
    assert lines[4] == f"To view it, run: tensorboard --logdir {tmp_path / 'both'}"
    assert len(told.err.splitlines()) == 1, told.err  # what both runs have to say is said once

    assert main.main([*command, "--model", "builtin", "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["run"] for row in found["models"]] == ["pixels", "builtin"]
    directories = [Path(one["run"]["directory"]) for one in found["runs"]]
    assert directories == [tmp_path / "pixels", tmp_path / "builtin"]

    assert main.main([*command, "--quiet"]) == 0  # one model: the run is the logdir itself
    assert (tmp_path / "projector_config.pbtxt").is_file()
