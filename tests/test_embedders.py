"""Models by name, path and URL, and the pass that turns photos into vectors."""

from __future__ import annotations

import functools
import gc
import http.server
import socket
import tarfile
import threading
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

from tbgrid.embedders import load_embedder
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
    assert images.vectors.shape == (256, 384)
    assert builtin > pixels + 0.2
    assert builtin > 0.5


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


@pytest.mark.parametrize("side", [16, 48, 96])
def test_builtin_takes_multiples_of_16(side: int) -> None:
    embedder = load_embedder("builtin", side)
    assert embedder.input_size == (side, side)
    vectors = embedder(np.random.default_rng(0).random((2, side, side, 3), np.float32))
    assert vectors.shape == (2, 384)
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize(("side", "hint"), [(70, 64), (73, 80), (7, 16), (1, 16)])
def test_builtin_refuses_other_sizes(side: int, hint: int) -> None:
    text = assert_refused("builtin", UsageError, "multiples of 16", image_size=side)
    assert text.endswith(f"--image-size {hint}")


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
    with pytest.raises(TbgridError, match="NaN or infinity for .* --input-range"):
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
