"""Embedders that load their model only when it is first called.

With all vectors in the cache the model is never loaded; its facts (`ModelInfo`) are in the cache
too.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path

from tbgrid.choices import InputRange
from tbgrid.embedding import registry, tflite
from tbgrid.embedding.load_embedder import BUILTIN, load_embedder
from tbgrid.embedding.model_info import EmbedderWrapper, ModelInfo
from tbgrid.errors import TbgridError, option
from tbgrid.options import ExportOptions
from tbgrid.progress import Progress, silent
from tbgrid.types import Embedder, Float32Array
from tbgrid.util.cache import Cache, digest_of, key_of


class LazyEmbedder(EmbedderWrapper):
    """An embedder that is known by its facts until the first call loads it."""

    def __init__(self, info: ModelInfo, load: Callable[[], Embedder]) -> None:
        super().__init__(info)
        self._load = load

    def __call__(self, images: Float32Array) -> Float32Array:
        """Embed float32[b, h, w, 3] in [0, 1] as float32[b, d]."""
        return self._load()(images)


def open_model(
    options: ExportOptions, cache: Cache, n_photos: int, progress: Progress = silent
) -> Embedder:
    """Open the model that `options.model` names.

    Args:
        options: of these `model`, `image_size` and `input_range` count.
        cache: where facts of models and converted networks are kept.
        n_photos: how many photos it will embed; see `open_embedder`.
        progress: called while a network is converted.

    Raises:
        UsageError, TbgridError: see `tbgrid.embedding.load_embedder.load_embedder`.
    """
    try:
        return open_embedder(
            options.model, options.image_size, options.input_range, cache, n_photos, progress
        )
    except OSError as error:
        raise TbgridError(
            f"cannot read model {options.model} ({error.strerror or error})",
            f"fix that, or use another {option('model')}",
        ) from error


def model_key(options: ExportOptions, n_photos: int) -> tuple[object, ...]:
    """Return a key that is equal where `open_model` would open the same model."""
    return options.model, options.image_size, options.input_range, n_photos >= tflite.MIN_PHOTOS


def open_embedder(
    model: str,
    image_size: int | None,
    input_range: InputRange,
    cache: Cache,
    n_photos: int = 0,
    progress: Progress = silent,
) -> Embedder:
    """Call `load_embedder`, but not before the first batch if `cache` has the model's facts.

    With at least `tflite.MIN_PHOTOS` photos the network runs through TensorFlow Lite where that is
    faster. Only the number of photos decides, so that the same photos always get the same vectors.

    Args:
        model, image_size, input_range: see `load_embedder`.
        cache: where facts of models and converted networks are kept.
        n_photos: how many photos it will embed.
        progress: called while a network is converted.

    Raises:
        UsageError, TbgridError: see `load_embedder`.
        OSError: the files of the model cannot be read.
    """

    @functools.cache
    def load() -> Embedder:
        return load_embedder(model, image_size, input_range)

    info, converts = _read_info(model, image_size, input_range, cache, load)
    lazy = LazyEmbedder(info, load)
    if converts and n_photos >= tflite.MIN_PHOTOS and tflite.available():
        return tflite.TfliteEmbedder(lazy, load, cache, progress)
    return lazy


def _read_info(
    model: str,
    image_size: int | None,
    input_range: InputRange,
    cache: Cache,
    load: Callable[[], Embedder],
) -> tuple[ModelInfo, bool]:
    """The facts of the model and `benefits_from_tflite`: from `cache`, or of the loaded model."""
    identity = _files_digest(model) if cache.path is not None else b""
    # What may make TensorFlow see another GPU.
    machine = os.environ.get("CUDA_VISIBLE_DEVICES"), tflite.version_of("tensorflow")
    key = key_of("model info", model, image_size, input_range, identity, *machine)
    stored = cache.get([key]).get(key) if identity else None
    if stored is not None:
        values = json.loads(stored)
        return ModelInfo.from_dict(values["info"]), values["benefits_from_tflite"]
    loaded = load()
    info, converts = ModelInfo.of(loaded), tflite.benefits_from_tflite(loaded)
    if identity:
        values = {"info": info.to_dict(), "benefits_from_tflite": converts}
        cache.put("model", [(key, json.dumps(values).encode())])
    return info, converts


def _files_digest(model: str) -> bytes:
    """A digest of the model's files, found without loading it; b"" if they are not known."""
    if model == "builtin":
        return digest_of(BUILTIN)
    named = registry.BY_NAME.get(model)
    folders = [registry.hub_directory(named.handle if named else model)]
    if named is None:
        folders.insert(0, Path(model))
    for folder in folders:
        # Only a SavedModel: another folder, given by mistake, may be too large to read.
        if any((folder / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
            return digest_of(folder)
    return b""
