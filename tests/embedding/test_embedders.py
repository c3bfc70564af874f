"""Networks: what they are called with, what they give, and what is refused."""

from __future__ import annotations

import functools
import gc
import http.server
import socket
import tarfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from tbgrid.embedding import registry
from tbgrid.embedding.embed import embed
from tbgrid.embedding.image_set import ImageSet
from tbgrid.embedding.load_embedder import load_embedder
from tbgrid.errors import TbgridError, UsageError
from tbgrid.photos import Photo, Source
from tbgrid.sources.folders import find_photos
from tests.support import models
from tests.support.models import assert_refused, seven
from tests.support.paths import DATA

# --- SavedModels of every shape --------------------------------------------------------------


@pytest.mark.parametrize(
    "build",
    [
        models.callable_fixed,
        models.callable_any_size,
        models.serving_default_only,
        models.default_only,
        models.fixed_batch,
        models.one_by_one_output,
        models.feature_map_output,
        models.uint8_input,
        models.several_outputs,
        models.half_precision_output,
        models.training_argument,
        models.training_without_default,
        models.keras_export,
        models.keras_saved,
        models.keras_2_saved,
        models.tf1_hub_module,
        models.tf1_saved_model,
    ],
    ids=lambda build: build.__name__,
)
def test_a_model_gives_the_vectors_of_calling_it_directly(
    build: Callable[[Path], models.Reference], tmp_path: Path
) -> None:
    reference = build(tmp_path / "network")
    embedder = load_embedder(str(tmp_path / "network"), models.SIDE)
    vectors = embedder(seven())
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, reference(seven()), rtol=1e-5, atol=1e-5)
    assert embedder.model_id == "network", "no folders of this machine"
    assert embedder.input_size == (models.SIDE, models.SIDE)
    assert embedder.metric == "cosine"


def test_a_model_of_any_size_is_used_at_224_and_says_so(tmp_path: Path) -> None:
    models.callable_any_size(tmp_path / "network")
    embedder = load_embedder(str(tmp_path / "network"))
    assert embedder.input_size == (224, 224)
    assert ["which can be chosen; used 224 px" in note for note in embedder.notes] == [True]
    chosen = load_embedder(str(tmp_path / "network"), 32)
    assert chosen.input_size == (32, 32)
    assert chosen.notes == ()
    pictures = np.repeat(np.repeat(seven(), 2, axis=1), 2, axis=2)
    np.testing.assert_allclose(chosen(pictures), models.expected(pictures), atol=1e-5)


def test_a_model_of_one_size_refuses_another(tmp_path: Path) -> None:
    models.callable_fixed(tmp_path / "network")
    assert load_embedder(str(tmp_path / "network")).input_size == (16, 16)
    assert_refused(
        str(tmp_path / "network"), UsageError, "network takes images of 16 x 16", image_size=32
    )


@pytest.mark.parametrize(
    "build",
    [
        models.two_inputs,
        models.vector_input,
        models.sound_input,
        models.text_input,
        models.grey_input,
        models.channels_first,
        models.classes_output,
        models.nothing_to_call,
    ],
    ids=lambda build: build.__name__,
)
def test_a_model_that_embeds_no_pictures_is_refused_with_what_was_found(
    build: Callable[[Path], str], tmp_path: Path
) -> None:
    found = build(tmp_path / "network")
    text = assert_refused(str(tmp_path / "network"), TbgridError, "network does not embed images")
    assert found in text
    assert "expected float32[batch, height, width, 3]" in text


def test_a_model_that_gives_too_few_vectors_is_told(tmp_path: Path) -> None:
    models.one_vector_a_batch(tmp_path / "network")
    embedder = load_embedder(str(tmp_path / "network"))
    with pytest.raises(TbgridError, match="gave 1 vectors for 7 images"):
        embedder(seven())


def test_a_model_that_fails_on_the_size_says_what_failed(tmp_path: Path) -> None:
    models.needs_even_halves(tmp_path / "network")
    assert load_embedder(str(tmp_path / "network"), 16)(seven()).shape == (7, 3)
    embedder = load_embedder(str(tmp_path / "network"), 15)
    with pytest.raises(TbgridError, match=r"failed on images of 15 x 15 .*\[7,8,.*\[7,7,") as told:
        embedder(seven()[:, :15, :15])
    assert "image_size" in told.value.hint


# --- Wrong names, paths and URLs -------------------------------------------------------------


def test_a_path_that_is_no_model_is_refused(tmp_path: Path) -> None:
    models.callable_fixed(tmp_path / "whole")
    graph = (tmp_path / "whole" / "saved_model.pb").read_bytes()
    for name, content in {"cut": graph[:700], "junk": b"no protobuf " * 9, "empty": b""}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").write_bytes(content)
        assert_refused(str(tmp_path / name), TbgridError, f"cannot load the model .*{name}")
    (tmp_path / "no-variables").mkdir()
    (tmp_path / "no-variables" / "saved_model.pb").write_bytes(graph)
    assert_refused(str(tmp_path / "no-variables"), TbgridError, "cannot load the model")
    assert_refused(str(tmp_path), TbgridError, "it has no saved_model.pb")
    for name in ("missing", "mobilenet", str(tmp_path / "cut" / "saved_model.pb")):
        text = assert_refused(name, UsageError, "no such model: ")
        assert "a directory with a SavedModel, a URL" in text


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A local server of `tmp_path`/www, and an empty cache of TF-Hub. Gives its address."""
    www = tmp_path / "www"
    www.mkdir()
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    handler = functools.partial(Quiet, directory=str(www))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def pack(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)


def test_a_model_is_downloaded_once(server: str, tmp_path: Path) -> None:
    models.callable_fixed(tmp_path / "network")
    archive = tmp_path / "www" / "network.tar.gz"
    pack(tmp_path / "network", archive)
    handle = f"{server}/network.tar.gz"
    first = load_embedder(handle)
    assert first.model_id == handle
    np.testing.assert_allclose(first(seven()), models.expected(seven()), atol=1e-5)
    archive.unlink()
    np.testing.assert_array_equal(load_embedder(handle)(seven()), first(seven()))


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    models.callable_fixed(tmp_path / "the network")
    embedder = load_embedder((tmp_path / "the network").as_uri())
    assert embedder.model_id == "the network"
    assert embedder(seven()).shape == (7, models.DIMENSIONS)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # tensorflow-hub's, at a failure
def test_a_url_that_gives_no_model_is_refused(server: str, tmp_path: Path) -> None:
    www = tmp_path / "www"
    (www / "text.tar.gz").write_bytes(b"<html>no archive</html>")
    pack(tmp_path / "www", www / "whole.tar.gz")
    (www / "cut.tar.gz").write_bytes((www / "whole.tar.gz").read_bytes()[:60])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = f"http://127.0.0.1:{taken.getsockname()[1]}/network.tar.gz"
    for handle, reason in {
        closed: "refused",
        f"{server}/missing.tar.gz": "404",
        f"{server}/text.tar.gz": "not appear to be a valid module",
        f"{server}/cut.tar.gz": "",
        "nonsense://network": "not implemented",
    }.items():
        text = assert_refused(handle, TbgridError, f"cannot download .*{reason}")
        for way_out in ("model builtin", "a path to a SavedModel", "TFHUB_CACHE_DIR"):
            assert way_out in text
    assert_refused(f"{server}/whole.tar.gz", TbgridError, "cannot load the model .*whole")
    gc.collect()  # while the warning is ignored


# --- What comes with tbgrid ------------------------------------------------------------------


def sample(data: Path, labels: int = 16, each: int = 16) -> Source:
    """`each` photos of the first `labels` labels."""
    source = find_photos(data / "photos")
    kept: list[Photo] = []
    counts: Counter[str | None] = Counter()
    for photo in source.photos:
        if counts[photo.label] < each and (photo.label in counts or len(counts) < labels):
            counts[photo.label] += 1
            kept.append(photo)
    assert len(kept) == labels * each
    return Source(name=source.name, photos=tuple(kept))


def accuracy(source: Source, model: str) -> tuple[float, ImageSet]:
    """How often the majority of a photo's 10 nearest others has its label."""
    images = embed(source, load_embedder(model))
    unit = images.vectors / np.linalg.norm(images.vectors, axis=1, keepdims=True)
    near = unit @ unit.T
    np.fill_diagonal(near, -np.inf)
    labels = [photo.label for photo in images.photos]
    nearest = np.argsort(-near, axis=1)[:, :10]
    votes = [Counter(labels[other] for other in row).most_common(1)[0][0] for row in nearest]
    return float(np.mean([vote == own for vote, own in zip(votes, labels, strict=True)])), images


def test_networks_find_look_alikes_better_than_pixels(data: Path) -> None:
    source = sample(data)
    pixels, _ = accuracy(source, "pixels")
    builtin, images = accuracy(source, "builtin")
    assert images.vectors.shape == (256, registry.BY_NAME["builtin"].dimensions)
    assert builtin > pixels + 0.3
    assert builtin > 0.6


@pytest.mark.slow
def test_a_published_network_embeds(data: Path) -> None:
    network = DATA / "models" / "mobilenet_v2_035_224"
    if not network.is_dir():
        pytest.skip("no pretrained network among the public test data")
    score, images = accuracy(sample(data), str(network))
    assert images.vectors.shape == (256, 1280)
    assert score > 0.6


def test_builtin_is_the_default_and_deterministic(photos: Path) -> None:
    source = find_photos(photos)
    embedder = load_embedder()
    assert embedder.model_id == "builtin"
    assert embedder.notes == ()
    first, second = embed(source, embedder), embed(source, load_embedder("builtin"))
    np.testing.assert_array_equal(first.vectors, second.vectors)
    assert first.vectors.std() > 0


@pytest.mark.parametrize("side", [16, 48, 70, 97])
def test_builtin_takes_any_size(side: int) -> None:
    embedder = load_embedder("builtin", side)
    assert embedder.input_size == (side, side)
    vectors = embedder(np.random.default_rng(0).random((2, side, side, 3), np.float32))
    assert vectors.shape == (2, registry.BY_NAME["builtin"].dimensions)
    assert np.isfinite(vectors).all()


@pytest.mark.slow
def test_builtin_is_as_good_as_pixels_on_glyphs() -> None:
    bunch = load_digits()
    pictures = [
        np.asarray(Image.fromarray(np.uint8(255 - 15 * digit)).resize((64, 64)).convert("RGB"))
        for digit in bunch.images[:600]
    ]
    vectors = load_embedder()(np.asarray(np.stack(pictures) / np.float32(255), np.float32))

    def correct(points: np.ndarray) -> float:
        nearest = (
            NearestNeighbors(n_neighbors=2).fit(points).kneighbors(return_distance=False)[:, 1]
        )
        return float((bunch.target[nearest] == bunch.target[:600]).mean())

    assert correct(vectors) >= correct(bunch.data[:600]) - 0.01 > 0.9


@pytest.mark.parametrize("model", ["builtin", "pixels", "missing"])
def test_no_model_takes_pictures_of_no_size(model: str) -> None:
    assert_refused(model, UsageError, "image_size 0", image_size=0)


def test_pixels_are_the_picture() -> None:
    embedder = load_embedder("pixels", 16)
    assert embedder.input_size == (16, 16)
    assert embedder.metric == "euclidean"
    np.testing.assert_array_equal(embedder(seven()), seven().reshape(7, -1))
    assert load_embedder("pixels").input_size == (32, 32)


# --- From photos to vectors ------------------------------------------------------------------
