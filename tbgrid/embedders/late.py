"""A model that is loaded only if it is asked: with the cache full, it need not be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tbgrid.cache import Cache, digest_of, key_of
from tbgrid.embedders import BUILTIN, load_embedder, registry
from tbgrid.types import Distance, Embedder, Float32Array, InputRange


@dataclass
class Facts:
    """What must be known of a model before it is loaded."""

    model_id: str
    input_size: tuple[int, int]
    distance: Distance
    fingerprint: str
    notes: tuple[str, ...]


@dataclass
class LateEmbedder(Facts):
    """An embedder whose facts the cache remembers, and which is loaded at its first call."""

    load: Callable[[], Embedder] = field(repr=False)
    _loaded: Embedder | None = field(default=None, repr=False)

    def __call__(self, images: Float32Array) -> Float32Array:
        """float32[b, h, w, 3] in [0, 1] -> float32[b, d]."""
        if self._loaded is None:
            self._loaded = self.load()
        return self._loaded(images)


def open_embedder(
    model: str, image_size: int | None, input_range: InputRange, cache: Cache
) -> Embedder:
    """`load_embedder`, put off till the first call if `cache` remembers the model's facts."""

    def load() -> Embedder:
        return load_embedder(model, image_size, input_range)

    identity = _identity(model) if cache.path is not None else b""
    if not identity:
        return load()
    key = key_of("model", model, image_size, input_range, identity)
    held = cache.get([key]).get(key)
    if held is not None:
        facts = json.loads(held)
        facts["input_size"], facts["notes"] = tuple(facts["input_size"]), tuple(facts["notes"])
        return LateEmbedder(**facts, load=load)
    loaded = load()
    known = Facts(
        loaded.model_id,
        loaded.input_size,
        loaded.distance,
        getattr(loaded, "fingerprint", ""),
        tuple(loaded.notes),
    )
    cache.put("model", [(key, json.dumps(asdict(known)).encode())])
    return loaded


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
