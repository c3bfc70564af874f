"""Networks from TF-Hub handles, URLs and SavedModels; their input is read from the model.

TF-Hub's convention for image models: float32 images in [0, 1], one vector per image
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
from tbgrid.errors import TbgridError, UsageError, option
from tbgrid.run_format import printable
from tbgrid.types import Float32Array
from tbgrid.util.cache import digest_of

DEFAULT_SIDE = 224  # px, for models that take any size: most published ones were trained at it
_SIGNATURES = ("default", "serving_default", "image_feature_vector")
_OUTPUTS = ("default", "feature_vector", "output_0", "pooled_features", "embedding", "embeddings")
_SCALES = {"unit": (1.0, 0.0), "signed": (2.0, -1.0), "bytes": (255.0, 0.0)}


@dataclass(frozen=True, kw_only=True)
class _CallSignature:
    """A way to call a loaded model.

    Attributes:
        name: the signature, or "__call__".
        call: the function of one tensor of images.
        shape: of its input: batch, height, width, channels; None where any number is allowed.
        dtype: of its input.
        output: the key of the vectors in its output; None if that is one tensor.
    """

    name: str
    call: Callable[[Any], Any]
    shape: tuple[int | None, ...]
    dtype: str
    output: str | None


@dataclass(frozen=True, kw_only=True)
class HubEmbedder:
    """A SavedModel or TF1 hub module that maps images to vectors; `load` makes one.

    Attributes:
        model_id, input_size, notes, metric: see `tbgrid.Embedder`.
        input_range: the range of pixel values that the model expects.
    """

    model_id: str
    input_size: tuple[int, int]
    _signature: _CallSignature = field(repr=False)
    _model: Any = field(repr=False)  # keeps the variables of the model alive
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
        """Download a model if need be, and load it.

        Args:
            handle: a TF-Hub handle, a URL or the directory of a SavedModel.
            image_size: side of the input in pixels; None for the model's own.
            model_id: its name in reports; None to derive it from `handle`.
            input_range: the range of pixel values that it expects.

        Raises:
            UsageError: `handle` is neither a handle nor a URL nor a directory, or the model has a
                fixed input size that is not `image_size`.
            TbgridError: it cannot be downloaded or loaded, or does not embed images.
        """
        if handle.startswith("file://"):
            handle = url2pathname(handle.removeprefix("file://"))
        path, model = _load(handle)
        name = model_id or _short(handle)
        signature = _choose_signature(model, name)
        _, height, width, _ = signature.shape
        if signature.dtype == "uint8" and input_range == "signed":
            raise UsageError(f"model {name} takes bytes", f"leave out {option('input_range')}")
        notes = []
        if image_size is not None and (height or image_size, width or image_size) != (
            image_size,
            image_size,
        ):
            raise UsageError(
                f"model {name} takes images of {height} x {width} pixels, not {image_size}",
                f"leave out {option('image_size')}",
            )
        if image_size is None and not (height and width):
            notes.append(
                f"model {name} takes any image size, which can be chosen; used {DEFAULT_SIDE} px"
            )
        side = image_size or DEFAULT_SIDE
        size = (height or side, width or side)
        return cls(
            model_id=name,
            input_size=size,
            _signature=signature,
            _model=model,
            _path=path,
            input_range=input_range,
            notes=tuple(notes),
        )

    @functools.cached_property
    def fingerprint(self) -> str:
        """Text that changes whenever the vectors would: with files, input range and GPU."""
        return f"{digest_of(self._path).hex()} {self.input_range}{on_gpu()}"

    @functools.cached_property
    def depthwise(self) -> bool:
        """Whether the network has depthwise convolutions."""
        # Both forms of the file contain the names of operations as text.
        files = [Path(self._path, f"saved_model.{kind}") for kind in ("pb", "pbtxt")]
        return any(b"DepthwiseConv2dNative" in f.read_bytes() for f in files if f.is_file())

    def graph(self, images: Any) -> Any:
        """Map a tensor float32[b, h, w, 3] in [0, 1] to float32[b, d], as a call does."""
        import tensorflow as tf

        if self._signature.dtype == "uint8":
            images = tf.cast(tf.round(images * 255), tf.uint8)
        elif self.input_range != "unit":
            factor, offset = _SCALES[self.input_range]
            images = images * factor + offset
        answer = self._signature.call(images)
        vectors = answer if self._signature.output is None else answer[self._signature.output]
        vectors = tf.cast(vectors, tf.float32)
        return tf.reduce_mean(vectors, (1, 2)) if vectors.shape.rank == 4 else vectors

    def __call__(self, images: Float32Array) -> Float32Array:
        """Embed float32[b, h, w, 3] in [0, 1] as float32[b, d].

        An output of rank 4 is averaged over its height and width.

        Raises:
            TbgridError: the model fails, or its output is not one vector per image.
        """
        import tensorflow as tf

        batch = np.ascontiguousarray(images, np.float32)
        if self._signature.dtype == "uint8":
            batch = np.rint(batch * 255).astype(np.uint8)
        elif self.input_range != "unit":
            factor, offset = _SCALES[self.input_range]
            batch = batch * np.float32(factor) + np.float32(offset)
        fixed = self._signature.shape[0]
        parts = []
        for start in range(0, len(batch), fixed or len(batch)):
            part = batch[start : start + fixed] if fixed else batch
            count = len(part)
            if fixed and count < fixed:
                part = np.concatenate([part, np.repeat(part[-1:], fixed - count, axis=0)])
            try:
                answer = self._signature.call(tf.constant(part))
            except (tf.errors.OpError, ValueError, TypeError) as error:
                raise TbgridError(
                    f"model {self.model_id} failed on images of {part.shape[1]} x "
                    f"{part.shape[2]} pixels ({_first_error_line(error)})",
                    f"try another {option('image_size')} or another {option('model')}",
                ) from error
            vectors = _vectors(answer, self._signature.output, self.model_id)
            if len(vectors) != len(part):
                raise TbgridError(
                    f"model {self.model_id} gave {len(vectors)} vectors for {len(part)} images",
                    f"use another {option('model')}",
                )
            parts.append(vectors[:count])
        return np.concatenate(parts)


def on_gpu() -> str:
    """The part of a fingerprint that names a GPU of TensorFlow; "" without one."""
    import tensorflow as tf

    return " GPU" if tf.config.list_physical_devices("GPU") else ""


def _short(handle: str) -> str:
    """The name of the model, without directories of this machine."""
    return handle if re.match(r"[a-z]+://", handle) else printable(Path(handle).resolve().name)


def _first_error_line(error: BaseException) -> str:
    """The line of TensorFlow's long messages that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # "Graph execution error:", "Detected at node ... (most recent call last):"
    telling = [line for line in lines if not line.endswith((":", "traces unavailable>"))]
    return (telling or lines or [type(error).__name__])[0][:200]


def _load(handle: str) -> tuple[str, Any]:
    """Return the directory of a model, and the loaded model."""
    is_url = re.match(r"[a-z][a-z0-9+.-]*://", handle) is not None
    if not is_url:
        folder = Path(handle)
        if not folder.is_dir():
            raise UsageError(
                f"no such model: {printable(handle)}",
                "expected a name that tbgrid models lists, a directory with a SavedModel, a URL, "
                "kaggle:... or keras:NAME",
            )
        if not any((folder / f"saved_model.{kind}").is_file() for kind in ("pb", "pbtxt")):
            raise TbgridError(
                f"{printable(folder)} is not a SavedModel (it has no saved_model.pb)",
                "use the directory with the file saved_model.pb",
            )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*pkg_resources")
        import tensorflow_hub as hub
    if is_url:
        try:
            path = hub.resolve(handle)
        except Exception as error:  # from urllib, tarfile, zlib or TensorFlow's file systems
            raise TbgridError(
                f"cannot download {handle} ({_first_error_line(error)})",
                registry.download_hint(handle),
            ) from error
    else:
        path = handle
    try:
        return path, hub.load(path)
    except Exception as error:  # a damaged SavedModel raises anything, such as KeyError
        raise TbgridError(
            f"cannot load the model {handle} ({_first_error_line(error)})",
            "expected a TF2 SavedModel or a TF1 hub module",
        ) from error


def _choose_signature(model: Any, name: str) -> _CallSignature:
    """Choose the first callable of the model that takes one batch of RGB images."""
    described: list[str] = []
    for origin, call, inputs, outputs in _callables(model):
        arguments = ", ".join(_describe(spec) for spec in inputs.values())
        described.append(f"{origin}({arguments}) -> {_describe_outputs(outputs)}")
        if len(inputs) != 1:
            continue
        (key, spec), *_ = inputs.items()
        if not _takes_images(spec):
            continue
        output = _output_key(outputs)
        if output == "":
            continue
        shape = tuple(spec.shape.as_list()) if spec.shape.rank == 4 else (None, None, None, 3)
        return _CallSignature(
            name=origin,
            call=_taking_images(call, key),
            shape=shape,
            dtype=spec.dtype.name,
            output=output,
        )
    raise TbgridError(
        f"model {name} does not embed images (found {'; '.join(described) or 'nothing to call'})",
        "expected float32[batch, height, width, 3] -> one vector per image",
    )


def _taking_images(call: Callable[..., Any], key: str) -> Callable[[Any], Any]:
    return (lambda images: call(**{key: images})) if key else call


def _callables(model: Any) -> list[tuple[str, Callable[..., Any], dict[str, Any], Any]]:
    """(name, function, {input: TensorSpec}, outputs) of each callable, the preferred one first.

    An input named "" is the only argument of the function.
    """
    import tensorflow as tf

    callables: list[tuple[str, Callable[..., Any], dict[str, Any], Any]] = []
    if callable(model):
        for concrete in getattr(model.__call__, "concrete_functions", []):
            args, kwargs = concrete.structured_input_signature
            tensors = [value for value in args if isinstance(value, tf.TensorSpec)]
            # Keras saves one function for training and one for inference; an argument says which.
            training = [value for value in (*args, *kwargs.values()) if value is True]
            if len(tensors) == 1 and isinstance(args[0], tf.TensorSpec) and not training:
                call = _with_rest(model, args[1:], kwargs)
                callables.append(("__call__", call, {"": tensors[0]}, concrete.structured_outputs))
    signatures = getattr(model, "signatures", {})
    names = [name for name in _SIGNATURES if name in signatures]
    for name in names + sorted(set(signatures) - set(names)):
        signature = signatures[name]
        inputs = dict(signature.structured_input_signature[1])
        callables.append((name, signature, inputs, signature.structured_outputs))
    return callables


def _with_rest(
    call: Callable[..., Any], rest: Sequence[Any], named: Mapping[str, Any]
) -> Callable[[Any], Any]:
    return lambda images: call(images, *rest, **named)


def _takes_images(spec: Any) -> bool:
    if spec.dtype.name not in ("float32", "uint8"):
        return False
    return spec.shape.rank is None or (spec.shape.rank == 4 and spec.shape[3] in (None, 3))


def _output_key(outputs: Any) -> str | None:
    """The key of the vectors in `outputs`: None if that is one tensor, "" if it has none."""
    if not isinstance(outputs, Mapping):
        return None if _is_vectors(outputs) else ""
    candidates = [key for key in outputs if _is_vectors(outputs[key])]
    preferred = [key for key in _OUTPUTS if key in candidates]
    if preferred:
        return preferred[0]
    return candidates[0] if len(candidates) == 1 else ""


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
            f"model {name} gave an output of shape {values.shape}", "expected one vector per image"
        )
    return values
