"""Networks through TensorFlow Lite: the same vectors, where it pays, or a line that says why."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tbgrid
from tbgrid import ExportOptions
from tbgrid.embedding import tflite
from tbgrid.embedding.keras import KerasEmbedder
from tbgrid.embedding.lazy import open_embedder
from tbgrid.embedding.load_embedder import load_embedder
from tbgrid.progress import silent
from tbgrid.types import Embedder
from tbgrid.util.cache import Cache
from tests.support import models
from tests.support.models import SIDE, seven
from tests.support.photos import draw_photos

MANY = tflite.MIN_PHOTOS


def opened(folder: Path, cache: Cache, photos: int = MANY, **options: Any) -> Embedder:
    return open_embedder(str(folder), None, options.pop("input_range", "unit"), cache, photos)


def fingerprint(embedder: Embedder) -> str:
    return str(getattr(embedder, "fingerprint", ""))


def through_lite(model: Embedder) -> tflite.TfliteEmbedder:
    return tflite.TfliteEmbedder(model, lambda: model, Cache(None), silent)


@pytest.fixture
def cache(tmp_path: Path) -> Any:
    with Cache(tmp_path / "cache") as kept:
        yield kept


def other_numbers(model: Any, size: tuple[int, int]) -> bytes:
    """A conversion that turns vectors by some degrees."""

    class Turned:
        def graph(self, images: Any) -> Any:
            vectors = model.graph(images)
            return vectors + 0.1 * vectors[:, ::-1]

    return CONVERT(Turned(), size)


CONVERT = tflite.convert


@pytest.mark.parametrize("input_range", ["unit", "signed", "bytes"])
def test_the_vectors_are_the_saved_models(tmp_path: Path, cache: Cache, input_range: str) -> None:
    models.depthwise(tmp_path / "network")
    fast = opened(tmp_path / "network", cache, input_range=input_range)
    plain = load_embedder(str(tmp_path / "network"), input_range=input_range)  # type: ignore[arg-type]
    vectors = fast(seven())
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, plain(seven()), rtol=1e-4)
    np.testing.assert_array_equal(vectors, np.concatenate([fast(seven()[:2]), fast(seven()[2:])]))
    assert [use.kind for use in cache.usage()] == ["model", "network"], "converted, and kept"
    assert (fast.model_id, fast.input_size, fast.metric, tuple(fast.notes)) == (
        plain.model_id,
        plain.input_size,
        plain.metric,
        plain.notes,
    )


@pytest.mark.parametrize(
    "build",
    [
        models.callable_any_size,
        models.feature_map_output,
        models.uint8_input,
        models.several_outputs,
        models.half_precision_output,
        models.training_argument,
        models.tf1_hub_module,
        models.keras_2_saved,
    ],
    ids=lambda build: build.__name__,
)
def test_models_of_every_shape_convert(
    build: Callable[[Path], models.Reference], tmp_path: Path
) -> None:
    build(tmp_path / "network")
    plain = load_embedder(str(tmp_path / "network"), SIDE)
    fast = through_lite(plain)
    np.testing.assert_allclose(fast(seven()), plain(seven()), rtol=2e-3, atol=1e-4)
    assert fast.notes == plain.notes, "no fall back"


def test_networks_of_keras_convert() -> None:
    plain = KerasEmbedder.load("MobileNet", 32, weights=None)
    fast = through_lite(plain)
    pictures = np.random.default_rng(0).random((3, 32, 32, 3), np.float32)
    np.testing.assert_allclose(fast(pictures), plain(pictures), rtol=1e-3, atol=1e-5)
    assert fast.notes == ()
    assert tflite.benefits_from_tflite(plain)
    assert fast.fingerprint == "", "random weights are not kept"


def test_a_conversion_is_kept_and_needs_neither_the_model_nor_tensorflow(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.depthwise(tmp_path / "network")
    first = opened(tmp_path / "network", cache)(seven())
    monkeypatch.setattr(tflite, "convert", lambda *_: pytest.fail("converted again"))
    np.testing.assert_array_equal(opened(tmp_path / "network", cache)(seven()), first)
    program = (
        "import sys, numpy as np\n"
        "from tbgrid.util.cache import Cache\nfrom pathlib import Path\n"
        "from tbgrid.embedding.lazy import open_embedder\n"
        "with Cache(Path(sys.argv[2])) as cache:\n"
        f"    model = open_embedder(sys.argv[1], None, 'unit', cache, {MANY})\n"
        f"    model(np.zeros((2, {SIDE}, {SIDE}, 3), np.float32))\n"
        "print(*{'tensorflow', 'ai_edge_litert'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "network"), str(tmp_path / "cache")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["ai_edge_litert"]


def test_other_vectors_are_refused_for_good(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = models.depthwise(tmp_path / "network")
    monkeypatch.setattr(tflite, "convert", other_numbers)
    model = opened(tmp_path / "network", cache)
    assert list(model.notes) == []
    np.testing.assert_allclose(model(seven()), reference(seven()), rtol=1e-4)
    (note,) = model.notes
    assert "not the faster TensorFlow Lite (its vectors differ)" in note
    monkeypatch.setattr(tflite, "convert", lambda *_: pytest.fail("tried again"))
    again = opened(tmp_path / "network", cache)
    assert again.notes == (note,), "also where nothing is left to embed"
    np.testing.assert_array_equal(again(seven()), model(seven()))
    assert [use.kind for use in cache.usage()] == ["model"]


def test_a_model_that_cannot_be_converted_runs_as_it_is(
    tmp_path: Path, cache: Cache, capfd: pytest.CaptureFixture[str]
) -> None:
    reference = models.depthwise_resized(tmp_path / "network")
    model = opened(tmp_path / "network", cache)
    capfd.readouterr()
    np.testing.assert_allclose(model(seven()), reference(seven()), rtol=1e-4)
    (note,) = list(model.notes)
    assert "(it has no ScaleAndTranslate)" in note
    assert "tfl." not in capfd.readouterr().err, "the converter prints the network"


def test_a_model_of_a_fixed_batch_runs_as_it_is(tmp_path: Path) -> None:
    reference = models.fixed_batch(tmp_path / "network")
    model = through_lite(load_embedder(str(tmp_path / "network")))
    np.testing.assert_allclose(model(seven()), reference(seven()), rtol=1e-4, atol=1e-5)
    (note,) = list(model.notes)
    assert "shape=(4, 16, 16, 3)" in note, "says what failed"
    assert len(note.splitlines()) == 1
    assert "/" not in note, "no files of this machine"


def test_few_photos_and_dense_networks_and_gpus_are_not_converted(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    models.depthwise(tmp_path / "network")
    models.callable_fixed(tmp_path / "dense")
    monkeypatch.setattr(tflite, "convert", lambda *_: pytest.fail("converted"))
    few = opened(tmp_path / "network", cache, MANY - 1)
    assert few(seven()).shape == (7, 3)
    many = opened(tmp_path / "network", cache)
    assert fingerprint(few) != fingerprint(many)
    for embedder in (
        opened(tmp_path / "dense", cache),
        open_embedder("builtin", None, "unit", cache, MANY),
    ):
        assert not isinstance(embedder, tflite.TfliteEmbedder)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    with Cache(None) as nothing:
        gpu = opened(tmp_path / "network", nothing)
    assert not isinstance(gpu, tflite.TfliteEmbedder)
    assert fingerprint(gpu) == f"{fingerprint(few)} GPU"


def test_without_its_runtime_all_goes_on(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.depthwise(tmp_path / "network")
    monkeypatch.setattr(tflite, "available", lambda: False)
    assert not isinstance(opened(tmp_path / "network", cache), tflite.TfliteEmbedder)


def test_vectors_agree_by_cosine_length_and_what_is_no_vector() -> None:
    one = np.array([[1, 0], [3, 4], [0, 0], [np.nan, 1]], np.float32)
    assert tflite.vectors_agree(one, one)
    assert tflite.vectors_agree(one, one * np.float32(1 + 1e-4))
    for row, other in (
        (0, [np.cos(0.015), np.sin(0.015)]),  # a cosine of 0.99989
        (1, [6, 8]),
        (2, [0, 1]),
        (0, [0, 0]),
        (3, [0, 1]),
        (1, [np.inf, 4]),
    ):
        changed = one.copy()
        changed[row] = other
        assert not tflite.vectors_agree(changed, one), other
    nearly = one.copy()
    nearly[0] = np.cos(0.013), np.sin(0.013)
    assert tflite.vectors_agree(nearly, one)
    assert not tflite.vectors_agree(one[:3], one)


@pytest.mark.parametrize("convert", [CONVERT, other_numbers])
def test_the_same_export_whatever_the_cache_holds(
    convert: Callable[..., bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.depthwise(tmp_path / "network")
    folder = draw_photos(tmp_path / "photos", each=15)
    monkeypatch.setattr(tflite, "MIN_PHOTOS", 40)
    monkeypatch.setattr(tflite, "convert", convert)
    options = ExportOptions(model=str(tmp_path / "network"), preview=0, cache=tmp_path / "cache")
    stages: list[str] = []

    def stopping(stage: str, done: int, total: int | None) -> None:  # noqa: ARG001
        if stage == "embed" and done >= 36:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tbgrid.export(folder, tmp_path / "run", options, progress=stopping)
    exports = [
        tbgrid.export(folder, tmp_path / "run", options),  # the rest of the interrupted one
        tbgrid.export(folder, tmp_path / "run", options),  # nothing left to embed
        tbgrid.export(
            folder,
            tmp_path / "run",
            replace(options, use_cache=False),
            progress=lambda stage, *_: stages.append(stage),
        ),
    ]
    assert "convert model" in stages
    for export in exports:
        np.testing.assert_array_equal(export.images.vectors, exports[0].images.vectors)
        assert export.notes == exports[0].notes
    refused = [note for note in exports[0].notes if "TensorFlow Lite" in note]
    assert len(refused) == (convert is other_numbers)
