"""Models by name, path and URL, and the pass that turns photos into vectors."""

from __future__ import annotations

import functools
import gc
import http.server
import importlib
import json
import re
import shutil
import socket
import sys
import tarfile
import threading
import types
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import models
import numpy as np
import pytest
from conftest import DATA
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from tbgrid.cache import Cache
from tbgrid.cli import main
from tbgrid.embedders import late, load_embedder, registry
from tbgrid.embedders.keras import KerasEmbedder
from tbgrid.embeddings import ImageSet, embed
from tbgrid.errors import TbgridError, UsageError
from tbgrid.folders import find_photos
from tbgrid.types import Embedder, Float32Array, Photo, Source

SEVEN = np.random.default_rng(1).integers(0, 256, (7, models.SIDE, models.SIDE, 3)) / 255


def seven() -> Float32Array:
    """Seven pictures of noise, so that every batch of 4 ends in a smaller one."""
    return SEVEN.astype(np.float32)


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
    assert embedder.distance == "cosine"


def test_a_model_of_any_size_is_used_at_224_and_says_so(tmp_path: Path) -> None:
    models.callable_any_size(tmp_path / "network")
    embedder = load_embedder(str(tmp_path / "network"))
    assert embedder.input_size == (224, 224)
    assert ["224 px (--image-size)" in note for note in embedder.notes] == [True]
    chosen = load_embedder(str(tmp_path / "network"), 32)
    assert chosen.input_size == (32, 32)
    assert chosen.notes == ()
    pictures = np.repeat(np.repeat(seven(), 2, axis=1), 2, axis=2)
    np.testing.assert_allclose(chosen(pictures), models.expected(pictures), atol=1e-5)


def test_a_model_of_one_size_refuses_another(tmp_path: Path) -> None:
    models.callable_fixed(tmp_path / "network")
    assert load_embedder(str(tmp_path / "network")).input_size == (16, 16)
    assert_refused(
        str(tmp_path / "network"), UsageError, "network takes pictures of 16 x 16", image_size=32
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
    text = assert_refused(str(tmp_path / "network"), TbgridError, "network embeds no images")
    assert found in text
    assert "expected float32[batch, height, width, 3]" in text


def test_a_model_that_gives_too_few_vectors_is_told(tmp_path: Path) -> None:
    models.one_vector_a_batch(tmp_path / "network")
    embedder = load_embedder(str(tmp_path / "network"))
    with pytest.raises(TbgridError, match="gave 1 vectors for 7 pictures"):
        embedder(seven())


def test_a_model_that_fails_on_the_size_says_what_failed(tmp_path: Path) -> None:
    models.needs_even_halves(tmp_path / "network")
    assert load_embedder(str(tmp_path / "network"), 16)(seven()).shape == (7, 3)
    embedder = load_embedder(str(tmp_path / "network"), 15)
    with pytest.raises(
        TbgridError, match=r"failed on pictures of 15 x 15 .*\[7,8,.*\[7,7,"
    ) as told:
        embedder(seven()[:, :15, :15])
    assert "--image-size" in told.value.hint


# --- Wrong names, paths and URLs -------------------------------------------------------------


def assert_refused(
    model: str, kind: type[TbgridError], message: str, image_size: int | None = None
) -> str:
    with pytest.raises(kind, match=message) as caught:
        load_embedder(model, image_size)
    assert type(caught.value) is kind
    text = str(caught.value)
    assert caught.value.hint, "says the way out"
    assert len(text.splitlines()) == 1
    return text


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
    assert_refused(str(tmp_path), TbgridError, "it holds no saved_model.pb")
    for name in ("missing", "mobilenet", str(tmp_path / "cut" / "saved_model.pb")):
        text = assert_refused(name, UsageError, "no model ")
        assert "a directory that holds a SavedModel, a URL" in text


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
        for way_out in ("--model builtin", "a path to a SavedModel", "TFHUB_CACHE_DIR"):
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
    return Source(source.name, tuple(kept))


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


def test_builtin_is_as_good_as_pixels_on_glyphs() -> None:
    bunch = load_digits()
    pictures = [
        np.asarray(Image.fromarray(np.uint8(255 - 15 * digit)).resize((64, 64)).convert("RGB"))
        for digit in bunch.images[:600]
    ]
    vectors = load_embedder()(np.stack(pictures).astype(np.float32) / 255)

    def correct(points: np.ndarray) -> float:
        nearest = (
            NearestNeighbors(n_neighbors=2).fit(points).kneighbors(return_distance=False)[:, 1]
        )
        return float((bunch.target[nearest] == bunch.target[:600]).mean())

    assert correct(vectors) >= correct(bunch.data[:600]) - 0.01 > 0.9


@pytest.mark.parametrize("model", ["builtin", "pixels", "missing"])
def test_no_model_takes_pictures_of_no_size(model: str) -> None:
    assert_refused(model, UsageError, "image size 0", image_size=0)


def test_pixels_are_the_picture() -> None:
    embedder = load_embedder("pixels", 16)
    assert embedder.input_size == (16, 16)
    assert embedder.distance == "euclidean"
    np.testing.assert_array_equal(embedder(seven()), seven().reshape(7, -1))
    assert load_embedder("pixels").input_size == (32, 32)


# --- From photos to vectors ------------------------------------------------------------------


@dataclass(frozen=True)
class Colour:
    """The mean colour, in 0 to 255. `spoil` may change the vectors of the n-th call, or raise."""

    spoil: Callable[[int, Float32Array], Float32Array] = lambda _, vectors: vectors
    model_id: ClassVar[str] = "colour"
    input_size: ClassVar[tuple[int, int]] = (8, 8)
    distance: ClassVar[Any] = "euclidean"
    notes: ClassVar[tuple[str, ...]] = ()
    calls: ClassVar[list[int]] = []

    def __call__(self, images: Float32Array) -> Float32Array:
        self.calls.append(len(images))
        return self.spoil(len(self.calls), images.mean(axis=(1, 2)) * 255)


@pytest.fixture(autouse=True)
def no_calls() -> None:
    Colour.calls.clear()


def colour(number: int) -> tuple[int, int, int]:
    return 5 * number, 255 - 5 * number, 7 * number % 256


def numbered(folder: Path, count: int = 40) -> Source:
    """Picture n has the colour and the size of n; every seventh file is damaged in some way."""
    for number in range(count):
        path = folder / f"{number % 3}" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (10 + number, 60 - number), colour(number)).save(path)
        if number % 7 == 0:
            path.write_bytes(path.read_bytes()[: number // 7 * 8])
    return find_photos(folder)


@pytest.mark.parametrize("batch", [1, 7, 32])
@pytest.mark.parametrize("workers", [1, 5])
def test_every_row_is_the_same_photo(batch: int, workers: int, tmp_path: Path) -> None:
    source = numbered(tmp_path)
    images = embed(source, Colour(), thumbnail=6, batch=batch, workers=workers)
    kept = [photo for photo in source.photos if int(Path(photo.name).stem) % 7]
    assert list(images.photos) == kept
    assert sorted(left_out.name for left_out in images.rejected) == sorted(
        photo.name for photo in source.photos if photo not in kept
    )
    assert images.vectors.shape == (34, 3)
    assert images.vectors.dtype == np.float32
    assert images.thumbnails.shape == (34, 6, 6, 3)
    for row, photo in enumerate(images.photos):
        number = int(Path(photo.name).stem)
        np.testing.assert_allclose(images.vectors[row], colour(number), atol=0.01)
        assert (images.thumbnails[row] == colour(number)).all()
        assert images.sizes[row].tolist() == [10 + number, 60 - number]
    assert images.labels == [photo.label for photo in kept]
    assert Colour.calls == [batch] * (34 // batch) + [34 % batch] * (34 % batch > 0)


def test_the_model_sees_what_the_thumbnail_shows(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = Image.open

    def counting(path: Any, *rest: Any, **options: Any) -> Any:
        opened.append(str(path))
        return real(path, *rest, **options)

    monkeypatch.setattr(Image, "open", counting)
    images = embed(find_photos(photos), load_embedder("pixels", 24), thumbnail=24, fit="pad")
    shown = images.thumbnails.reshape(60, -1) / np.float32(255)
    np.testing.assert_allclose(images.vectors, shown, atol=1e-6)
    assert len(opened) == len(set(opened)) == 60


def test_progress_counts_every_file(tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    embed(numbered(tmp_path), Colour(), batch=7, progress=lambda *step: told.append(step))
    assert {(stage, total) for stage, _, total in told} == {("embed", 40)}
    done = [step[1] for step in told]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 40)


def test_fewer_than_three_photos_are_no_map(tmp_path: Path) -> None:
    for number in range(4):
        Image.new("RGB", (9, 9)).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes(b"")
    (tmp_path / ".hidden").touch()
    assert len(embed(find_photos(tmp_path), Colour()).photos) == 3
    (tmp_path / "3.png").write_bytes(b"-")
    with pytest.raises(TbgridError) as caught:
        embed(find_photos(tmp_path), Colour())
    assert str(caught.value) == (
        "2 of 5 files can be shown, 3.png: not a picture that Pillow can open: "
        "a map needs at least 3 photos"
    )


@pytest.mark.parametrize(("thumbnail", "batch"), [(0, 32), (64, 0), (-1, -1)])
def test_sizes_below_one_are_refused(thumbnail: int, batch: int, photos: Path) -> None:
    with pytest.raises(UsageError, match=f"thumbnail {thumbnail}, batch {batch}"):
        embed(find_photos(photos), Colour(), thumbnail=thumbnail, batch=batch)


def test_a_photo_whose_vector_is_not_finite_is_left_out(tmp_path: Path) -> None:
    def spoil(call: int, vectors: Float32Array) -> Float32Array:
        if call == 2:
            vectors[3, 1] = np.nan
        return vectors

    source = numbered(tmp_path)
    kept = [photo.name for photo in source.photos if int(Path(photo.name).stem) % 7]
    images = embed(source, Colour(spoil), batch=8)
    assert [photo.name for photo in images.photos] == [n for n in kept if n != kept[8 + 3]]
    assert {r.name: r.reason for r in images.rejected}[kept[8 + 3]].endswith("gave NaN or infinity")
    assert any("NaN or infinity for 1 photos" in note for note in images.notes)
    assert np.isfinite(images.vectors).all()
    assert len(images.vectors) == len(images.sizes) == len(images.photos)


def test_a_model_whose_vectors_are_not_finite_is_refused(tmp_path: Path) -> None:
    source = numbered(tmp_path)
    with pytest.raises(TbgridError, match=r"NaN or infinity for .* --input-range"):
        embed(source, Colour(lambda _, vectors: vectors * np.float32(np.nan)), batch=8)


def test_a_model_that_loses_photos_is_told(photos: Path) -> None:
    lose: Embedder = Colour(lambda _, vectors: vectors[1:])
    flatten: Embedder = Colour(lambda _, vectors: vectors.ravel())
    for model, shape in ((lose, r"\(31, 3\)"), (flatten, r"\(96,\)")):
        with pytest.raises(TbgridError, match=f"array of shape {shape} for 32 photos"):
            embed(find_photos(photos), model)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, TbgridError])
def test_no_thread_outlives_an_error(error: type[BaseException], photos: Path) -> None:
    def spoil(call: int, vectors: Float32Array) -> Float32Array:
        if call == 2:
            raise error("stop")
        return vectors

    with pytest.raises(error):
        embed(find_photos(photos), Colour(spoil), batch=4, workers=3)
    assert not [thread for thread in threading.enumerate() if "tbgrid" in thread.name]


# --- Names and where they lead ---------------------------------------------------------------


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
    assert list(told) == [model.name for model in registry.KNOWN]
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


@pytest.mark.parametrize("known", [k for k in registry.KNOWN if k.handle], ids=lambda k: k.name)
def test_a_short_name_that_cannot_be_downloaded_names_the_ways_out(
    known: registry.Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    text = assert_refused(model, UsageError, "names no model of Kaggle")
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
    for way_out in ("--model builtin", "a path to a SavedModel", "--model keras:MobileNetV2"):
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
    np.testing.assert_allclose(embedder(pictures / 255), expected, rtol=1e-3, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0
    assert embedder.model_id == f"keras:{build}"


def test_a_keras_network_that_is_none_lists_the_choices() -> None:
    text = assert_refused("keras:AlexNet", UsageError, "no Keras Applications network 'AlexNet'")
    assert "EfficientNetV2B0" in text
    assert_refused("keras:InceptionV3", UsageError, "cannot take pictures of 32 px", image_size=32)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
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
        for way_out in ("--model builtin", "a SavedModel", f"kaggle:{MOBILENET}", "KERAS_HOME"):
            assert way_out in text
    assert capsys.readouterr().out == "", "stdout is for results"


# --- What the model is given -----------------------------------------------------------------


def own_values(folder: Path) -> None:
    """A model that gives back the least, the greatest and the mean of what it is given."""
    import tensorflow as tf

    class Network(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec(models.FIXED)])
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
    assert load_embedder(str(tmp_path / "network")).fingerprint != embedder.fingerprint or (
        input_range == "unit"
    )


def test_a_range_that_is_not_the_user_s_to_choose_is_refused(tmp_path: Path) -> None:
    models.uint8_input(tmp_path / "network")
    for model in ("builtin", "pixels", "keras:MobileNetV2", str(tmp_path / "network")):
        with pytest.raises(UsageError, match="leave out --input-range"):
            load_embedder(model, input_range="signed")


def test_equal_vectors_of_different_photos_are_noted(photos: Path) -> None:
    """As a network gives whose first layer clips what it was not made for."""
    note = "model colour gave one and the same vector for the first 32 photos: .* --input-range"
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

    monkeypatch.setattr(late, "load_embedder", counting)

    def opened(size: int | None = models.SIDE, input_range: Any = "unit") -> Embedder:
        return late.open_embedder(str(folder), size, input_range, cache)

    with Cache(tmp_path / "cache") as cache:
        first = opened()
        second = opened()
        assert len(loaded) == 1
        facts = ("model_id", "input_size", "distance", "notes", "fingerprint")
        for fact in facts:
            assert getattr(second, fact) == getattr(first, fact)
        np.testing.assert_array_equal(second(seven()), first(seven()))
        second(seven())
        assert len(loaded) == 2, "loaded at the first call, and once"
        # Other sizes, ranges or files are another model.
        assert opened(32).input_size == (32, 32)
        assert getattr(opened(input_range="bytes"), "fingerprint", "") != first.fingerprint
        assert "224 px" in opened(None).notes[0]
        assert len(loaded) == 5
        assert opened(None).notes == load_embedder(str(folder)).notes
        assert len(loaded) == 5
        shutil.rmtree(folder)
        models.callable_fixed(folder)
        changed = opened()
        assert len(loaded) == 6
        assert getattr(changed, "fingerprint", "") != first.fingerprint
        for _ in range(2):
            with pytest.raises(UsageError, match="takes pictures of 16 x 16"):
                opened(32)
    assert len(loaded) == 8


def test_a_folder_of_something_else_is_not_read_to_tell_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, "digest_of", lambda path: pytest.fail(f"read all of {path}"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    with Cache(tmp_path / "cache") as cache:
        for model in ("", "photos", str(tmp_path)):
            with pytest.raises(TbgridError, match="is no SavedModel"):
                late.open_embedder(model, None, "unit", cache)
        assert late.open_embedder("pixels", None, "unit", cache).model_id == "pixels"
