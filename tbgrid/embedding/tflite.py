"""Networks run through TensorFlow Lite, where depthwise convolutions are several times faster.

CPU-ms per image of the ways to run a network (224 px, batches of 32, two cores of an x86-64 server
with AVX-512), and the CPU-seconds of a conversion to TensorFlow Lite:

    network            SavedModel  frozen to constants  TensorFlow Lite  conversion
    MobileNetV2 1.0           8.8                  6.5              3.4         1.2
    MobileNetV2 0.35          2.4                  2.5              0.9         1.1
    EfficientNetV2 B0        12.6                    -              8.7         3.5
    ResNet50V2               36.6                 35.4             32.0           -
    built-in, 64 px           2.5                  2.5              2.4           -

So networks with depthwise convolutions are converted where at least a thousand photos repay it,
and no others: the gain on dense convolutions is not worth a second copy of their weights. Freezing
takes longer than the conversion and gains less. A GPU is faster than all of them.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import logging
import os
import queue
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from tbgrid.embedding.model_info import EmbedderWrapper
from tbgrid.progress import Progress
from tbgrid.types import Embedder, Float32Array
from tbgrid.util.cache import Cache, key_of

MIN_PHOTOS = 1000  # they repay a conversion: each saves 2 to 5 ms, a conversion takes 1 to 4 s
MIN_COSINE = 0.9999  # between the vectors of the two networks
CONVERTER_VERSION = 1  # raise it when a change of `convert` gives other networks
_LENGTH_TOLERANCE = 0.01  # largest relative difference between the lengths of the vectors
_MAX_STORED_BYTES = 900_000_000  # of a network in the cache; SQLite's values end at 1e9
_IMAGES_PER_TASK = 4  # for one thread: with fewer, threads spend their time waiting for each other
_MAX_WEIGHT_BYTES = 500_000_000  # in memory: each interpreter packs its own copy of the weights


class Convertible(Protocol):
    """An embedder whose network can be traced into a graph."""

    @property
    def depthwise(self) -> bool:
        """Whether the network has depthwise convolutions."""

    def graph(self, images: Any) -> Any:
        """Map a tensor float32[b, h, w, 3] in [0, 1] to float32[b, d], as a call does."""


def benefits_from_tflite(embedder: Embedder) -> bool:
    """Whether TensorFlow Lite runs the network faster than TensorFlow does on this machine."""
    if not getattr(embedder, "depthwise", False):
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def available() -> bool:
    """Whether TensorFlow Lite's runtime is installed."""
    return importlib.util.find_spec("ai_edge_litert") is not None


class TfliteEmbedder(EmbedderWrapper):
    """A network that is converted at the first call, and used if its vectors agree.

    The first images go through both networks. If a vector differs, or the network cannot be
    converted, `plain` embeds all images and `notes` say why. A network that agreed is kept in
    `cache`, and so is the reason against one that did not; an agreed network runs without loading
    `plain`.
    """

    def __init__(
        self,
        plain: Embedder,
        load: Callable[[], Embedder],
        cache: Cache,
        progress: Progress,
    ) -> None:
        """Wrap `plain`; `load` returns the `Convertible` that `plain` stands for."""
        super().__init__(plain)
        self._plain, self._load, self._cache, self._progress = plain, load, cache, progress
        self._network: _Network | None = None
        self._key = key_of("network", CONVERTER_VERSION, self.fingerprint, plain.input_size)
        self._reason_key = key_of(
            "no network", CONVERTER_VERSION, self.fingerprint, plain.input_size
        )
        reason = cache.get([self._reason_key]).get(self._reason_key, b"")
        self._reason = reason.decode()

    @property
    def fingerprint(self) -> str:
        """The model's own, and what converts and runs it; "" if the model has none."""
        own = super().fingerprint
        versions = [f"{name} {version_of(name)}" for name in ("tensorflow", "ai-edge-litert")]
        return " ".join([own, *versions]) if own else ""

    @property
    def notes(self) -> tuple[str, ...]:
        """The model's own, and why it does not run through TensorFlow Lite."""
        own = super().notes
        if not self._reason:
            return own
        return (
            *own,
            f"model {self.model_id} runs through TensorFlow, not the faster TensorFlow Lite "
            f"({self._reason})",
        )

    def __call__(self, images: Float32Array) -> Float32Array:
        """Embed float32[b, h, w, 3] in [0, 1] as float32[b, d]."""
        if self._network is None and not self._reason:
            self._prepare(images)
        return self._plain(images) if self._network is None else self._network(images)

    def _prepare(self, images: Float32Array) -> None:
        """Take the network from the cache, or convert it and compare the vectors of `images`."""
        stored = self._cache.get([self._key]).get(self._key) if self.fingerprint else None
        if stored is not None:
            self._network = _Network(stored)
            return
        self._progress("convert model", 0, None)
        model = self._load()
        try:
            data = convert(model, self.input_size)
            network = _Network(data)
            vectors = network(images)
        except MemoryError:
            raise
        except Exception as error:  # of MLIR, of TensorFlow or of the interpreter, of any kind
            self._refuse(first_error_line(error))
            return
        if not vectors_agree(vectors, model(images)):
            self._refuse("its vectors differ")
            return
        self._network = network
        if self.fingerprint and len(data) <= _MAX_STORED_BYTES:
            self._cache.put("network", [(self._key, data)])

    def _refuse(self, reason: str) -> None:
        self._reason = reason
        if self.fingerprint:
            self._cache.put("model", [(self._reason_key, reason.encode())])


def convert(model: Any, size: tuple[int, int]) -> bytes:
    """Convert a network to a TensorFlow Lite flatbuffer that takes one image at a time.

    Args:
        model: a `Convertible`.
        size: height and width of its input in pixels.

    Raises:
        Exception: of any type, if TensorFlow Lite lacks an operation or a shape is not fixed.
    """
    import tensorflow as tf

    with _output_dropped():
        function = tf.function(model.graph, autograph=False).get_concrete_function(
            tf.TensorSpec((1, *size, 3), tf.float32)
        )
        # TensorFlow recommends the model as a second argument. With it the converter saves and
        # loads the model first, which takes three to seven times as long.
        return bytes(tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())


def vectors_agree(one: Float32Array, other: Float32Array) -> bool:
    """Compare the vectors that two networks gave for the same images, by cosine and length.

    A vector of zeros agrees with zeros, and one with NaN or infinity with another such vector.

    Args:
        one, other: float32[n, d].
    """
    if one.shape != other.shape:
        return False
    a, b = one.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(a).all(1)
    if not np.array_equal(finite, np.isfinite(b).all(1)):
        return False
    a, b = a[finite], b[finite]
    lengths = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    if not np.allclose(*lengths, rtol=_LENGTH_TOLERANCE, atol=1e-12):
        return False
    product = lengths[0] * lengths[1]
    return bool(((a * b).sum(1) >= MIN_COSINE * product)[product > 0].all())


class _Network:
    """A converted network that runs one image at a time on each core.

    The activations of one image fit the cache of a core: batches of 32 take a third longer. The
    result of an interpreter depends neither on the other images nor on its number of threads.
    """

    def __init__(self, data: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        cores = _cores()
        count = max(1, min(cores, _MAX_WEIGHT_BYTES // len(data)))
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with _output_dropped():
            for _ in range(count):
                interpreter = Interpreter(model_content=data, num_threads=cores // count)
                interpreter.allocate_tensors()
                self._idle.put(interpreter)
        self._pool = ThreadPoolExecutor(count, "tbgrid-network")

    def __call__(self, images: Float32Array) -> Float32Array:
        """float32[b, h, w, 3] -> float32[b, d]."""
        parts = [
            images[first : first + _IMAGES_PER_TASK]
            for first in range(0, len(images), _IMAGES_PER_TASK)
        ]
        return np.concatenate(
            [vector for part in self._pool.map(self._embed, parts) for vector in part]
        )

    def _embed(self, images: Float32Array) -> list[Float32Array]:
        """float32[b, h, w, 3] -> a float32[1, d] for each."""
        interpreter = self._idle.get()
        try:
            (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
            vectors = []
            for image in images:
                interpreter.set_tensor(source["index"], image[None])
                interpreter.invoke()
                vectors.append(np.asarray(interpreter.get_tensor(target["index"]), np.float32))
            return vectors
        finally:
            self._idle.put(interpreter)


def _cores() -> int:
    """How many cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def version_of(package: str) -> str:
    """Return the version of an installed package, "" if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def first_error_line(error: BaseException) -> str:
    """Find the line that names the reason in the pages that the converter prints."""
    text = str(error)
    lacking = re.search(r"^(?:Custom|Flex) ops: (.+)$", text, re.MULTILINE)
    if lacking:
        return f"it has no {lacking[1][:200]}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # Without headings, and without files of this machine.
    telling = [line for line in lines if not line.endswith(":") and not line.startswith("File ")]
    return (telling or [type(error).__name__])[0][:200]


@contextlib.contextmanager
def _output_dropped() -> Iterator[None]:
    """Drop absl's warnings and what C++ prints: the whole network when a conversion fails."""
    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with _stderr_dropped():
            yield
    finally:
        log.setLevel(level)


@contextlib.contextmanager
def _stderr_dropped() -> Iterator[None]:
    """Drop what is written to file descriptor 2."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
