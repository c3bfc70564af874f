"""Names of models: where each leads, what it is given, and when it is loaded."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import socket
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tbgrid.cli.main import main
from tbgrid.embedding import lazy, registry
from tbgrid.embedding.embed import embed
from tbgrid.embedding.keras import KerasEmbedder
from tbgrid.embedding.load_embedder import load_embedder
from tbgrid.errors import TbgridError, UsageError
from tbgrid.sources.folders import find_photos
from tbgrid.types import Embedder
from tbgrid.util.cache import Cache
from tests.support import models
from tests.support.embedders import Colour
from tests.support.models import assert_refused, seven


def test_the_list_of_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    known = registry.BY_NAME["mobilenet-v2"]
    registry.hub_directory(known.handle).mkdir()
    assert main(["models", "--json"]) == 0
    told = {model["name"]: model for model in json.loads(capsys.readouterr().out)}
    offline = {name for name, model in told.items() if model["offline"]}
    assert offline == {"builtin", "pixels", "mobilenet-v2"}
    assert list(told) == [model.name for model in registry.NAMED_MODELS]
    assert told["mobilenet-v2"]["handle"] == known.handle
    assert main(["models"]) == 0
    out, note = capsys.readouterr()
    rows = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert list(rows) == list(told)
    assert "224 px" in rows["mobilenet-v2"]
    assert {name for name, line in rows.items() if "not needed" in line} == offline
    assert "keras:NAME" in note


def test_what_the_list_says_of_its_own_models_is_true() -> None:
    for name in ("builtin", "pixels"):
        known, embedder = registry.BY_NAME[name], load_embedder(name)
        assert embedder.input_size == (known.side, known.side)
        blank = np.zeros((1, known.side, known.side, 3), np.float32)
        assert embedder(blank).shape == (1, known.dimensions)


def test_a_downloaded_model_is_found_by_its_short_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the place where TF-Hub itself would put it."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    models.callable_any_size(registry.hub_directory(registry.BY_NAME["mobilenet-v2"].handle))
    embedder = load_embedder("mobilenet-v2")
    assert (embedder.model_id, embedder.input_size) == ("mobilenet-v2", (224, 224))
    assert embedder(np.zeros((1, 224, 224, 3), np.float32)).shape == (1, models.DIMENSIONS)


@pytest.mark.parametrize(
    "known", [k for k in registry.NAMED_MODELS if k.handle], ids=lambda k: k.name
)
def test_a_short_name_that_cannot_be_downloaded_names_the_ways_out(
    known: registry.NamedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow_hub as hub

    def fail(handle: str) -> str:
        assert handle == known.handle
        raise OSError("no route to host")

    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(hub, "resolve", fail)
    text = assert_refused(known.name, TbgridError, "cannot download .*no route to host")
    for way_out in ("builtin", "a path to a SavedModel", f"kaggle:{known.kaggle}"):
        assert way_out in text
    assert (f"keras:{known.keras}" in text) == bool(known.keras)
    assert text.endswith("TFHUB_CACHE_DIR with the model already downloaded")


MOBILENET = "google/mobilenet-v2/tensorFlow2/100-224-feature-vector"


@pytest.mark.parametrize(
    ("model", "handle"),
    [
        (f"kaggle:{MOBILENET}", MOBILENET),
        (f"kaggle:{MOBILENET}/2", f"{MOBILENET}/2"),
        (f"https://www.kaggle.com/models/{MOBILENET}", MOBILENET),
        (f"http://kaggle.com/models/{MOBILENET}/?select=x#y", MOBILENET),
        (
            "https://www.kaggle.com/models/google/mobilenet-v2/frameworks/tensorFlow2/"
            "variations/100-224-feature-vector/versions/2",
            f"{MOBILENET}/2",
        ),
        (f"kaggle:https://www.kaggle.com/models/{MOBILENET}", MOBILENET),
        ("https://tfhub.dev/google/x/1", None),
        ("builtin", None),
    ],
)
def test_handles_of_kaggle(model: str, handle: str | None) -> None:
    assert registry.kaggle_handle(model) == handle


@pytest.mark.parametrize(
    "model",
    [
        "kaggle:",
        "kaggle:google/mobilenet-v2",
        f"kaggle:{MOBILENET}/latest",
        "https://www.kaggle.com/models/google/mobilenet-v2",
    ],
)
def test_parts_of_a_kaggle_handle_are_refused(model: str) -> None:
    text = assert_refused(model, UsageError, "is not the name of a Kaggle model")
    assert f"such as kaggle:{MOBILENET}" in text


def test_a_model_of_kaggle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models.callable_fixed(tmp_path / "network")
    asked: list[str] = []

    def download(handle: str) -> str:
        asked.append(handle)
        print("Downloading ...")
        return str(tmp_path / "network")

    fake = types.ModuleType("kagglehub")
    fake.model_download = download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kagglehub", fake)
    embedder = load_embedder(f"https://www.kaggle.com/models/{MOBILENET}")
    assert asked == [MOBILENET]
    assert embedder.model_id == f"kaggle:{MOBILENET}"
    np.testing.assert_allclose(embedder(seven()), models.expected(seven()), atol=1e-5)
    assert "Downloading" not in capsys.readouterr().out, "stdout is for results"

    def fail(handle: str) -> str:
        raise RuntimeError(f"403 Client Error.\n\nYou need to log in for {handle}")

    fake.model_download = fail  # type: ignore[attr-defined]
    text = assert_refused(f"kaggle:{MOBILENET}", TbgridError, "403 Client Error. You need to log")
    for way_out in ("model builtin", "a path to a SavedModel", "model keras:MobileNetV2"):
        assert way_out in text
    assert "TFHUB_CACHE_DIR" not in text
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    text = assert_refused(f"kaggle:{MOBILENET}", TbgridError, "needs kagglehub")
    assert "pip install 'tbgrid[kaggle]'" in text


@pytest.mark.parametrize(
    ("name", "module", "side"),
    [("mobilenet-v2", "mobilenet_v2", 96), ("ResNet50", "resnet", 40)],
)
def test_a_keras_network_gets_what_it_was_trained_with(name: str, module: str, side: int) -> None:
    """MobileNetV2 wants -1 to 1, ResNet50 BGR less its means."""
    import keras

    keras.utils.set_random_seed(0)
    embedder = KerasEmbedder.load(name, side, weights=None)
    assert embedder.input_size == (side, side)
    assert embedder.fingerprint == "", "random weights are not kept"
    pictures = np.random.default_rng(0).integers(0, 256, (3, side, side, 3)).astype(np.float32)
    keras.utils.set_random_seed(0)
    network = importlib.import_module(f"keras.applications.{module}")
    build = {"mobilenet_v2": "MobileNetV2", "resnet": "ResNet50"}[module]
    given: dict[str, Any] = {"include_top": False, "weights": None, "pooling": "avg"}
    model = getattr(network, build)(input_shape=(side, side, 3), **given)
    expected = model(network.preprocess_input(pictures.copy()), training=False).numpy()
    np.testing.assert_allclose(
        embedder((pictures / 255).astype(np.float32)), expected, rtol=1e-3, atol=1e-5
    )
    assert np.ptp(expected, axis=0).max() > 0
    assert embedder.model_id == f"keras:{build}"


def test_a_keras_network_that_is_none_lists_the_choices() -> None:
    text = assert_refused(
        "keras:AlexNet", UsageError, "no such network in Keras Applications: AlexNet"
    )
    assert "EfficientNetV2B0" in text
    assert_refused("keras:InceptionV3", UsageError, "cannot take images of 32 px", image_size=32)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.slow
def test_weights_that_cannot_be_had_name_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No server, and a server that gives something else."""
    from keras.src.applications import mobilenet_v2
    from keras.src.utils import file_utils

    original = file_utils.get_file

    def get_file(*rest: Any, **options: Any) -> Any:
        return original(*rest, **{**options, "cache_dir": str(tmp_path)})

    def damaged(*_: Any, **__: Any) -> Any:
        print("Downloading data ...")
        raise ValueError("Incomplete or corrupted file detected.\nThe md5 file hash differs")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(mobilenet_v2, "BASE_WEIGHT_PATH", closed)
    for fetch, reason in ((get_file, "URL fetch failure"), (damaged, "Incomplete or corrupted")):
        monkeypatch.setattr(file_utils, "get_file", fetch)
        text = assert_refused(
            "keras:MobileNetV2", TbgridError, f"cannot download the weights .*{reason}"
        )
        for way_out in ("model builtin", "a SavedModel", f"kaggle:{MOBILENET}", "KERAS_HOME"):
            assert way_out in text
    assert capsys.readouterr().out == "", "stdout is for results"


# --- What the model is given -----------------------------------------------------------------


def fingerprint(embedder: Embedder) -> str:
    """What its vectors are kept under."""
    found: str = getattr(embedder, "fingerprint")  # noqa: B009  # of those that this package loads
    return found


def own_values(folder: Path) -> None:
    """A model that gives back the least, the greatest and the mean of what it is given."""
    import tensorflow as tf

    class Network(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec(models.FIXED)])  # type: ignore[untyped-decorator]
        def __call__(self, images: Any) -> Any:
            parts = [reduce(images, (1, 2, 3)) for reduce in (tf.reduce_min, tf.reduce_max)]
            return tf.stack([*parts, tf.reduce_mean(images, (1, 2, 3))], 1)

    tf.saved_model.save(Network(), str(folder))


@pytest.mark.parametrize(
    ("input_range", "low", "high"), [("unit", 0, 1), ("signed", -1, 1), ("bytes", 0, 255)]
)
def test_the_model_is_given_the_range_it_wants(
    input_range: Any, low: float, high: float, tmp_path: Path
) -> None:
    own_values(tmp_path / "network")
    embedder = load_embedder(str(tmp_path / "network"), input_range=input_range)
    pictures = np.zeros((2, models.SIDE, models.SIDE, 3), np.float32)
    pictures[:, :4] = 1
    mean = low + (high - low) / 4
    np.testing.assert_allclose(embedder(pictures), [[low, high, mean]] * 2, atol=1e-5)
    assert fingerprint(load_embedder(str(tmp_path / "network"))) != fingerprint(embedder) or (
        input_range == "unit"
    )


def test_a_range_that_is_not_the_user_s_to_choose_is_refused(tmp_path: Path) -> None:
    models.uint8_input(tmp_path / "network")
    for model in ("builtin", "pixels", "keras:MobileNetV2", str(tmp_path / "network")):
        with pytest.raises(UsageError, match="leave out input_range"):
            load_embedder(model, input_range="signed")


def test_equal_vectors_of_different_photos_are_noted(photos: Path) -> None:
    """As a network gives whose first layer clips what it was not made for."""
    note = "model colour gave one and the same vector for the first 32 photos: .* input range"
    constant = embed(find_photos(photos), Colour(lambda _, vectors: 0 * vectors))
    assert re.match(note, constant.notes[0])
    assert embed(find_photos(photos), Colour()).notes == ()


# --- Models that wait until they are called --------------------------------------------------


def test_a_known_model_is_loaded_when_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "network"
    models.callable_any_size(folder)
    loaded: list[str] = []

    def counting(model: str, *rest: Any) -> Embedder:
        loaded.append(model)
        return load_embedder(model, *rest)

    monkeypatch.setattr(lazy, "load_embedder", counting)

    def opened(size: int | None = models.SIDE, input_range: Any = "unit") -> Embedder:
        return lazy.open_embedder(str(folder), size, input_range, cache)

    with Cache(tmp_path / "cache") as cache:
        first = opened()
        second = opened()
        assert len(loaded) == 1
        facts = ("model_id", "input_size", "metric", "notes", "fingerprint")
        for fact in facts:
            assert getattr(second, fact) == getattr(first, fact)
        np.testing.assert_array_equal(second(seven()), first(seven()))
        second(seven())
        assert len(loaded) == 2, "loaded at the first call, and once"
        # Other sizes, ranges or files are another model.
        assert opened(32).input_size == (32, 32)
        assert fingerprint(opened(input_range="bytes")) != fingerprint(first)
        assert "224 px" in opened(None).notes[0]
        assert len(loaded) == 5
        assert opened(None).notes == load_embedder(str(folder)).notes
        assert len(loaded) == 5
        shutil.rmtree(folder)
        models.callable_fixed(folder)
        changed = opened()
        assert len(loaded) == 6
        assert fingerprint(changed) != fingerprint(first)
        for _ in range(2):
            with pytest.raises(UsageError, match="takes images of 16 x 16"):
                opened(32)
    assert len(loaded) == 8


def test_a_folder_of_something_else_is_not_read_to_tell_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazy, "digest_of", lambda path: pytest.fail(f"read all of {path}"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    with Cache(tmp_path / "cache") as cache:
        for model in ("", "photos", str(tmp_path)):
            with pytest.raises(TbgridError, match="is not a SavedModel"):
                lazy.open_embedder(model, None, "unit", cache)
        assert lazy.open_embedder("pixels", None, "unit", cache).model_id == "pixels"
