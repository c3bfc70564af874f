"""Networks from TF-Hub handles, URLs and SavedModel paths; what they take is read, not assumed.

TF-Hub's convention for image models: float32 images in [0, 1], one vector an image
(https://www.tensorflow.org/hub/common_signatures/images).
"""

from __future__ import annotations

import functools
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

import numpy as np

from tbgrid.choices import InputRange, Metric
from tbgrid.embedding import registry
from tbgrid.errors import TbgridError, UsageError
from tbgrid.run_format import printable
from tbgrid.types import Float32Array
from tbgrid.util.cache import digest_of

DEFAULT_SIDE = 224  # for models that take any size: what most published ones were trained at
_SIGNATURES = ("default", "serving_default", "image_feature_vector")
_OUTPUTS = ("default", "feature_vector", "output_0", "pooled_features", "embedding", "embeddings")
_SCALES = {"unit": (1.0, 0.0), "signed": (2.0, -1.0), "bytes": (255.0, 0.0)}


@dataclass(frozen=True)
class _Way:
    """One way to call a loaded model: where from, with what picture, giving which output."""

    name: str
    call: Callable[[Any], Any]
    shape: tuple[int | None, ...]  # batch, height, width, channels
    dtype: str
    output: str | None


@dataclass(frozen=True)
class HubEmbedder:
    """A SavedModel or TF1 hub module that maps images to vectors; see `load`."""

    model_id: str
    input_size: tuple[int, int]
    _way: _Way = field(repr=False)
    _model: Any = field(repr=False)  # keeps the model's variables alive
    _path: str = field(repr=False)
    input_range: InputRange = "unit"
    notes: Sequence[str] = ()
    metric: Metric = "cosine"

    @classmethod
    def load(
        cls,
        handle: str,
        image_size: int | None = None,
        model_id: str | None = None,
        input_range: InputRange = "unit",
    ) -> HubEmbedder:
        """Fetch and load the model that `handle` (TF-Hub handle, URL or directory) names.

        Raises:
            UsageError: `handle` is no handle, URL or path, or the model has an input size of
                its own that is not `image_size`.
            TbgridError: it cannot be downloaded or loaded, or embeds no images.
        """
        if handle.startswith("file://"):
            handle = url2pathname(handle.removeprefix("file://"))
        path, model = _load(handle)
        name = model_id or _short(handle)
        way = _choose_way(model, name)
        _, height, width, _ = way.shape
        if way.dtype == "uint8" and input_range == "signed":
            raise UsageError(f"model {name} takes bytes", "leave out --input-range")
        notes = []
        if image_size is not None and (height or image_size, width or image_size) != (
            image_size,
            image_size,
        ):
            raise UsageError(
                f"model {name} takes pictures of {height} x {width} pixels, not {image_size}",
                "leave out --image-size",
            )
        if image_size is None and not (height and width):
            notes.append(
                f"model {name} takes any picture size; used {DEFAULT_SIDE} px (--image-size)"
            )
        side = image_size or DEFAULT_SIDE
        size = (height or side, width or side)
        return cls(name, size, way, model, path, input_range, tuple(notes))

    @functools.cached_property
    def fingerprint(self) -> str:
        """The model's files, the range of its input, and the GPU if one computes."""
        return f"{digest_of(self._path).hex()} {self.input_range}{on_gpu()}"

    @functools.cached_property
    def depthwise(self) -> bool:
        """Whether the network has depthwise convolutions."""
        # Operations stand by their names in either form of the file.
        files = [Path(self._path, f"saved_model.{kind}") for kind in ("pb", "pbtxt")]
        return any(b"DepthwiseConv2dNative" in f.read_bytes() for f in files if f.is_file())

    def graph(self, images: Any) -> Any:
        """What a call computes, of a tensor float32[b, h, w, 3] in [0, 1]: float32[b, d]."""
        import tensorflow as tf

        if self._way.dtype == "uint8":
            images = tf.cast(tf.round(images * 255), tf.uint8)
        elif self.input_range != "unit":
            factor, offset = _SCALES[self.input_range]
            images = images * factor + offset
        answer = self._way.call(images)
        vectors = answer if self._way.output is None else answer[self._way.output]
        vectors = tf.cast(vectors, tf.float32)
        return tf.reduce_mean(vectors, (1, 2)) if vectors.shape.rank == 4 else vectors

    def __call__(self, images: Float32Array) -> Float32Array:
        """float32[b, h, w, 3] in [0, 1] -> float32[b, d].

        A rank-4 output is averaged over its height and width.

        Raises:
            TbgridError: the model fails on the pictures or gives no vector for each.
        """
        import tensorflow as tf

        batch = np.ascontiguousarray(images, np.float32)
        if self._way.dtype == "uint8":
            batch = np.rint(batch * 255).astype(np.uint8)
        elif self.input_range != "unit":
            factor, offset = _SCALES[self.input_range]
            batch = batch * np.float32(factor) + np.float32(offset)
        fixed = self._way.shape[0]
        parts = []
        for start in range(0, len(batch), fixed or len(batch)):
            part = batch[start : start + fixed] if fixed else batch
            count = len(part)
            if fixed and count < fixed:
                part = np.concatenate([part, np.repeat(part[-1:], fixed - count, axis=0)])
            try:
                answer = self._way.call(tf.constant(part))
            except (tf.errors.OpError, ValueError, TypeError) as error:
                raise TbgridError(
                    f"model {self.model_id} failed on pictures of {part.shape[1]} x "
                    f"{part.shape[2]} pixels ({_gist(error)})",
                    "try another --image-size or another --model",
                ) from error
            vectors = _vectors(answer, self._way.output, self.model_id)
            if len(vectors) != len(part):
                raise TbgridError(
                    f"model {self.model_id} gave {len(vectors)} vectors for {len(part)} pictures",
                    "use another --model",
                )
            parts.append(vectors[:count])
        return np.concatenate(parts)


def on_gpu() -> str:
    """What a fingerprint says of a GPU that TensorFlow computes on; "" without one."""
    import tensorflow as tf

    return " GPU" if tf.config.list_physical_devices("GPU") else ""


def _short(handle: str) -> str:
    """The model's name without the machine's directories in it."""
    return handle if re.match(r"[a-z]+://", handle) else printable(Path(handle).resolve().name)


def _gist(error: BaseException) -> str:
    """The line of TensorFlow's long messages that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # "Graph execution error:", "Detected at node ... (most recent call last):"
    telling = [line for line in lines if not line.endswith((":", "traces unavailable>"))]
    return (telling or lines or [type(error).__name__])[0][:200]


def _load(handle: str) -> tuple[str, Any]:
    """The directory of a model, and the model."""
    is_url = re.match(r"[a-z][a-z0-9+.-]*://", handle) is not None
    if not is_url:
        folder = Path(handle)
        if not folder.is_dir():
            raise UsageError(
                f"no model {handle!r}",
                "expected a name that tbgrid models lists, a directory that holds a SavedModel, "
                "a URL, kaggle:... or keras:NAME",
            )
        if not any((folder / f"saved_model.{kind}").is_file() for kind in ("pb", "pbtxt")):
            raise TbgridError(
                f"{printable(folder)} is no SavedModel (it holds no saved_model.pb)",
                "give the directory that holds saved_model.pb",
            )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*pkg_resources")
        import tensorflow_hub as hub
    if is_url:
        try:
            path = hub.resolve(handle)
        except Exception as error:  # of urllib, tarfile, zlib or TensorFlow's file systems
            raise TbgridError(
                f"cannot download {handle} ({_gist(error)})", registry.ways_out(handle)
            ) from error
    else:
        path = handle
    try:
        return path, hub.load(path)
    except Exception as error:  # a damaged SavedModel raises anything, from protobuf to KeyError
        raise TbgridError(
            f"cannot load the model {handle} ({_gist(error)})",
            "expected a TF2 SavedModel or a TF1 hub module",
        ) from error


def _choose_way(model: Any, name: str) -> _Way:
    """The first of the model's callables that takes one batch of RGB images."""
    found: list[str] = []
    for origin, call, inputs, outputs in _callables(model):
        described = f"{origin}({', '.join(_describe(spec) for spec in inputs.values())})"
        found.append(f"{described} -> {_describe_outputs(outputs)}")
        if len(inputs) != 1:
            continue
        (key, spec), *_ = inputs.items()
        if not _takes_images(spec):
            continue
        output = _output_key(outputs)
        if output == "":
            continue
        shape = tuple(spec.shape.as_list()) if spec.shape.rank == 4 else (None, None, None, 3)
        return _Way(origin, _taking_images(call, key), shape, spec.dtype.name, output)
    raise TbgridError(
        f"model {name} embeds no images (found {'; '.join(found) or 'nothing to call'})",
        "expected float32[batch, height, width, 3] -> one vector an image",
    )


def _taking_images(call: Callable[..., Any], key: str) -> Callable[[Any], Any]:
    return (lambda images: call(**{key: images})) if key else call


def _callables(model: Any) -> list[tuple[str, Callable[..., Any], dict[str, Any], Any]]:
    """(name, function, {input: TensorSpec}, outputs) of what can be called, the best first.

    An input without a name is the function's only argument.
    """
    import tensorflow as tf

    ways: list[tuple[str, Callable[..., Any], dict[str, Any], Any]] = []
    if callable(model):
        for concrete in getattr(model.__call__, "concrete_functions", []):
            args, kwargs = concrete.structured_input_signature
            tensors = [value for value in args if isinstance(value, tf.TensorSpec)]
            # Keras saves one function for training and one for use, told apart by an argument.
            training = [value for value in (*args, *kwargs.values()) if value is True]
            if len(tensors) == 1 and isinstance(args[0], tf.TensorSpec) and not training:
                call = _with_rest(model, args[1:], kwargs)
                ways.append(("__call__", call, {"": tensors[0]}, concrete.structured_outputs))
    signatures = getattr(model, "signatures", {})
    names = [name for name in _SIGNATURES if name in signatures]
    for name in names + sorted(set(signatures) - set(names)):
        signature = signatures[name]
        inputs = dict(signature.structured_input_signature[1])
        ways.append((name, signature, inputs, signature.structured_outputs))
    return ways


def _with_rest(
    call: Callable[..., Any], rest: Sequence[Any], named: Mapping[str, Any]
) -> Callable[[Any], Any]:
    return lambda images: call(images, *rest, **named)


def _takes_images(spec: Any) -> bool:
    if spec.dtype.name not in ("float32", "uint8"):
        return False
    return spec.shape.rank is None or (spec.shape.rank == 4 and spec.shape[3] in (None, 3))


def _output_key(outputs: Any) -> str | None:
    """The embedding's key among `outputs`, None if they are one tensor, "" if there is none."""
    if not isinstance(outputs, Mapping):
        return None if _is_vectors(outputs) else ""
    fitting = [key for key in outputs if _is_vectors(outputs[key])]
    preferred = [key for key in _OUTPUTS if key in fitting]
    if preferred:
        return preferred[0]
    return fitting[0] if len(fitting) == 1 else ""


def _is_vectors(spec: Any) -> bool:
    rank = getattr(getattr(spec, "shape", None), "rank", 0)
    return rank in (None, 2, 4) and spec.dtype.is_floating


def _describe(spec: Any) -> str:
    shape = getattr(spec, "shape", None)
    if shape is None:
        return type(spec).__name__
    sizes = "..." if shape.rank is None else ",".join("n" if s is None else str(s) for s in shape)
    return f"{spec.dtype.name}[{sizes}]"


def _describe_outputs(outputs: Any) -> str:
    if isinstance(outputs, Mapping):
        return ", ".join(f"{key}: {_describe(spec)}" for key, spec in outputs.items())
    return _describe(outputs)


def _vectors(answer: Any, output: str | None, name: str) -> Float32Array:
    values = np.asarray(answer if output is None else answer[output], np.float32)
    if values.ndim == 4:
        values = values.mean(axis=(1, 2))
    if values.ndim != 2:
        raise TbgridError(
            f"model {name} gave an output of shape {values.shape}", "expected one vector an image"
        )
    return values
