"""Networks through TensorFlow Lite, which computes depthwise convolutions several times faster.

The ways to run a network on a CPU, in CPU-ms a picture (224 px, batches of 32, two cores of an
x86-64 server with AVX-512), and the CPU-seconds of a conversion to TensorFlow Lite:

    network            SavedModel  frozen to constants  TensorFlow Lite  conversion
    MobileNetV2 1.0           8.8                  6.5              3.4         1.2
    MobileNetV2 0.35          2.4                  2.5              0.9         1.1
    EfficientNetV2 B0        12.6                    -              8.7         3.5
    ResNet50V2               36.6                 35.4             32.0           -
    built-in, 64 px           2.5                  2.5              2.4           -

So networks with depthwise convolutions are converted where a thousand photos repay it, and no
others: what dense convolutions gain is not worth a second copy of their weights. Freezing takes
longer than the conversion for less. A GPU beats all of them.
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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from tbgrid.choices import Metric
from tbgrid.progress import Progress
from tbgrid.types import Embedder, Float32Array
from tbgrid.util.cache import Cache, key_of

FEWEST = 1000  # photos that repay a conversion: each saves 2 to 5 ms, and it takes 1 to 4 s
ALIKE = 0.9999  # cosine between the vectors of the two networks, at least
_SAME_LENGTH = 0.01  # relative difference of their lengths, at most
_CONVERTING = 1  # to be raised when a change of `convert` gives other networks
_LARGEST = 900_000_000  # bytes of a network that is kept; SQLite's values end at 1e9
_TURN = 4  # pictures that a core takes at a time, since threads wait for one another at each turn
_WEIGHTS = 500_000_000  # bytes of weights in memory: each interpreter packs its own copy


class Convertible(Protocol):
    """An embedder whose network can be put into a graph."""

    @property
    def depthwise(self) -> bool:
        """Whether the network has depthwise convolutions."""

    def graph(self, images: Any) -> Any:
        """What a call computes, of a tensor float32[b, h, w, 3] in [0, 1]: float32[b, d]."""


def worthwhile(embedder: Embedder) -> bool:
    """Whether TensorFlow Lite would run the network faster than TensorFlow does here."""
    if not getattr(embedder, "depthwise", False):
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def available() -> bool:
    """Whether TensorFlow Lite's runtime is installed."""
    return importlib.util.find_spec("ai_edge_litert") is not None


class LiteEmbedder:
    """A network that is converted at the first call, and runs so if its vectors agree.

    The first pictures go through both networks. If a vector differs, or the network cannot be
    converted, `plain` embeds them all and `notes` say why. Both a network that agreed and the
    reason against one are kept in `cache`; an agreed one runs without loading `plain`.
    """

    def __init__(
        self,
        plain: Embedder,
        load: Callable[[], Embedder],
        cache: Cache,
        progress: Progress,
    ) -> None:
        """`load` gives the `Convertible` that `plain` stands for."""
        self._plain, self._load, self._cache, self._progress = plain, load, cache, progress
        self._network: _Network | None = None
        self._key = key_of("network", _CONVERTING, self.fingerprint, plain.input_size)
        self._reason_key = key_of("no network", _CONVERTING, self.fingerprint, plain.input_size)
        reason = cache.get([self._reason_key]).get(self._reason_key, b"")
        self._reason = reason.decode()

    @property
    def model_id(self) -> str:
        """What names the model in reports."""
        return self._plain.model_id

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of its input in pixels."""
        return self._plain.input_size

    @property
    def metric(self) -> Metric:
        """The distance under which its vectors are compared."""
        return self._plain.metric

    @property
    def fingerprint(self) -> str:
        """The model's own, and what converts and runs it; "" if the model has none."""
        own = getattr(self._plain, "fingerprint", "")
        versions = [f"{name} {version_of(name)}" for name in ("tensorflow", "ai-edge-litert")]
        return " ".join([own, *versions]) if own else ""

    @property
    def notes(self) -> Sequence[str]:
        """The model's own, and why it is not run through TensorFlow Lite."""
        if not self._reason:
            return self._plain.notes
        return (
            *self._plain.notes,
            f"model {self.model_id} runs slower than through TensorFlow Lite, which cannot take "
            f"its place ({self._reason})",
        )

    def __call__(self, images: Float32Array) -> Float32Array:
        """float32[b, h, w, 3] in [0, 1] -> float32[b, d]."""
        if self._network is None and not self._reason:
            self._prepare(images)
        return self._plain(images) if self._network is None else self._network(images)

    def _prepare(self, images: Float32Array) -> None:
        """Take the network from the cache, or convert it and compare the vectors of `images`."""
        held = self._cache.get([self._key]).get(self._key) if self.fingerprint else None
        if held is not None:
            self._network = _Network(held)
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
            self._refuse(_gist(error))
            return
        if not alike(vectors, model(images)):
            self._refuse("its vectors differ")
            return
        self._network = network
        if self.fingerprint and len(data) <= _LARGEST:
            self._cache.put("network", [(self._key, data)])

    def _refuse(self, reason: str) -> None:
        self._reason = reason
        if self.fingerprint:
            self._cache.put("model", [(self._reason_key, reason.encode())])


def convert(model: Any, size: tuple[int, int]) -> bytes:
    """The network of a `Convertible` as a TensorFlow Lite flatbuffer, for one picture at a time.

    Raises:
        Exception: of any kind, if TensorFlow Lite lacks an operation or a shape is not fixed.
    """
    import tensorflow as tf

    with _output_dropped():
        function = tf.function(model.graph, autograph=False).get_concrete_function(
            tf.TensorSpec((1, *size, 3), tf.float32)
        )
        # Without the model as a second argument, which TensorFlow prefers: it would be saved and
        # loaded first, which takes three to seven times as long.
        return bytes(tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())


def alike(one: Float32Array, other: Float32Array) -> bool:
    """Whether all vectors float32[n, d] agree: by their cosine and length, or by being unusable.

    A vector of zeros agrees with zeros, one with NaN or infinity with another such.
    """
    if one.shape != other.shape:
        return False
    a, b = one.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(a).all(1)
    if not np.array_equal(finite, np.isfinite(b).all(1)):
        return False
    a, b = a[finite], b[finite]
    lengths = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    if not np.allclose(*lengths, rtol=_SAME_LENGTH, atol=1e-12):
        return False
    product = lengths[0] * lengths[1]
    return bool(((a * b).sum(1) >= ALIKE * product)[product > 0].all())


class _Network:
    """A converted network, one picture at a time on each core.

    A picture's activations fit a core's own memory then: batches of 32 take a third longer. An
    interpreter's result depends neither on the other pictures nor on its number of threads.
    """

    def __init__(self, data: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        cores = _cores()
        count = max(1, min(cores, _WEIGHTS // len(data)))
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with _output_dropped():
            for _ in range(count):
                interpreter = Interpreter(model_content=data, num_threads=cores // count)
                interpreter.allocate_tensors()
                self._idle.put(interpreter)
        self._pool = ThreadPoolExecutor(count, "tbgrid-network")

    def __call__(self, images: Float32Array) -> Float32Array:
        """float32[b, h, w, 3] -> float32[b, d]."""
        parts = [images[first : first + _TURN] for first in range(0, len(images), _TURN)]
        return np.concatenate(
            [vector for part in self._pool.map(self._embed, parts) for vector in part]
        )

    def _embed(self, images: Float32Array) -> list[Float32Array]:
        """float32[b, h, w, 3] -> a float32[1, d] for each."""
        interpreter = self._idle.get()
        try:
            (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
            vectors = []
            for image in images:
                interpreter.set_tensor(taken["index"], image[None])
                interpreter.invoke()
                vectors.append(np.asarray(interpreter.get_tensor(given["index"]), np.float32))
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
    """The version of an installed package, "" if it is not installed under that name."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _gist(error: BaseException) -> str:
    """What the converter cannot do, of the pages that it says."""
    text = str(error)
    lacking = re.search(r"^(?:Custom|Flex) ops: (.+)$", text, re.MULTILINE)
    if lacking:
        return f"it has no {lacking[1][:200]}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # Headings, and files of this machine.
    telling = [line for line in lines if not line.endswith(":") and not line.startswith("File ")]
    return (telling or [type(error).__name__])[0][:200]


@contextlib.contextmanager
def _output_dropped() -> Iterator[None]:
    """Drop absl's warnings and what C++ writes: of a failed conversion, the whole network."""
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
