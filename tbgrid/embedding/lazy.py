"""A model that is loaded only if it is asked: with the cache full, it need not be."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tbgrid.choices import InputRange, Metric
from tbgrid.embedding import registry, tflite
from tbgrid.embedding.load_embedder import BUILTIN, load_embedder
from tbgrid.errors import TbgridError
from tbgrid.options import ExportOptions
from tbgrid.progress import Progress, silent
from tbgrid.types import Embedder, Float32Array
from tbgrid.util.cache import Cache, digest_of, key_of


@dataclass
class Facts:
    """What must be known of a model before it is loaded. `lite`: `lite.worthwhile` of it."""

    model_id: str
    input_size: tuple[int, int]
    metric: Metric
    fingerprint: str
    notes: tuple[str, ...]
    lite: bool


@dataclass
class LateEmbedder(Facts):
    """An embedder whose facts are known, and which `load` gives at its first call."""

    load: Callable[[], Embedder] = field(repr=False)

    def __call__(self, images: Float32Array) -> Float32Array:
        """float32[b, h, w, 3] in [0, 1] -> float32[b, d]."""
        return self.load()(images)


def open_embedder(
    model: str,
    image_size: int | None,
    input_range: InputRange,
    cache: Cache,
    photos: int = 0,
    progress: Progress = silent,
) -> Embedder:
    """`load_embedder`, put off till the first call if `cache` remembers the model's facts.

    From `lite.FEWEST` photos on it runs through TensorFlow Lite where that is faster; of the
    photos their number alone decides, so that the same photos always have the same vectors.
    """

    @functools.cache
    def load() -> Embedder:
        return load_embedder(model, image_size, input_range)

    facts = _facts(model, image_size, input_range, cache, load)
    late = LateEmbedder(**vars(facts), load=load)
    if facts.lite and photos >= tflite.FEWEST and tflite.available():
        return tflite.LiteEmbedder(late, load, cache, progress)
    return late


def _facts(
    model: str,
    image_size: int | None,
    input_range: InputRange,
    cache: Cache,
    load: Callable[[], Embedder],
) -> Facts:
    """What `cache` remembers of the model, else of the loaded one."""
    identity = _identity(model) if cache.path is not None else b""
    # What TensorFlow might see another GPU by.
    machine = os.environ.get("CUDA_VISIBLE_DEVICES"), tflite.version_of("tensorflow")
    key = key_of("model", model, image_size, input_range, identity, *machine)
    held = cache.get([key]).get(key) if identity else None
    if held is not None:
        known = json.loads(held)
        known["input_size"], known["notes"] = tuple(known["input_size"]), tuple(known["notes"])
        return Facts(**known)
    loaded = load()
    facts = Facts(
        loaded.model_id,
        loaded.input_size,
        loaded.metric,
        getattr(loaded, "fingerprint", ""),
        tuple(loaded.notes),
        tflite.worthwhile(loaded),
    )
    if identity:
        cache.put("model", [(key, json.dumps(asdict(facts)).encode())])
    return facts


def _identity(model: str) -> bytes:
    """What tells the model's files from others without loading it; b"" if that cannot be told."""
    if model == "builtin":
        return digest_of(BUILTIN)
    known = registry.BY_NAME.get(model)
    folders = [registry.hub_directory(known.handle if known else model)]
    if known is None:
        folders.insert(0, Path(model))
    for folder in folders:
        # Not any folder: a wrong one may hold anything, and reading it all would take its time.
        if any((folder / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
            return digest_of(folder)
    return b""


def open_model(
    options: ExportOptions, cache: Cache, photos: int, progress: Progress = silent
) -> Embedder:
    """The model that `options` name, for so many `photos`: many pay for a faster form of it.

    Raises:
        UsageError, TbgridError: see `tbgrid.embedding.load_embedder.load_embedder`.
    """
    try:
        return open_embedder(
            options.model, options.image_size, options.input_range, cache, photos, progress
        )
    except OSError as error:
        raise TbgridError(
            f"model {options.model} cannot be read ({error.strerror or error})",
            "mend that, or give another --model",
        ) from error
