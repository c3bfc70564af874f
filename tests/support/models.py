"""Small SavedModels of every shape that published image networks have.

Each function writes one to a folder and returns what it computes, to compare with. TensorFlow is
imported in the functions, so that collecting the tests does not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tbgrid.embedding.load_embedder import load_embedder
from tbgrid.errors import TbgridError
from tbgrid.types import Float32Array

Reference = Callable[[Float32Array], Any]
SIDE, DIMENSIONS = 16, 5
WEIGHTS = np.random.default_rng(0).normal(size=(9, DIMENSIONS)).astype(np.float32)


def expected(images: Float32Array) -> Float32Array:
    """Mean colours of the whole, the upper half and the left half, mixed by WEIGHTS."""
    _, height, width, _ = images.shape
    parts = [images, images[:, : height // 2], images[:, :, : width // 2]]
    return np.concatenate([part.mean(axis=(1, 2)) for part in parts], axis=1) @ WEIGHTS


def _network(images: Any, weights: Any) -> Any:
    """`expected` in TensorFlow."""
    import tensorflow as tf

    shape = tf.shape(images)
    parts = [images, images[:, : shape[1] // 2], images[:, :, : shape[2] // 2]]
    return tf.concat([tf.reduce_mean(part, (1, 2)) for part in parts], 1) @ weights


def _save(
    folder: Path,
    function: Callable[..., Any],
    *shapes: tuple[int | None, ...],
    dtype: str = "float32",
    signature: str | None = None,
) -> None:
    """`function` of tensors of `shapes`, callable, or reachable by `signature` alone."""
    import tensorflow as tf

    module = tf.Module()
    module.weights = tf.Variable(WEIGHTS)
    names = ("images", "other")
    specs = [tf.TensorSpec(s, dtype, name) for s, name in zip(shapes, names, strict=False)]
    traced = tf.function(lambda *given: function(*given, module.weights), input_signature=specs)
    if signature is None:
        module.__call__ = traced
        tf.saved_model.save(module, str(folder))
        return
    named = tf.function(lambda *given: _as_dict(traced(*given)), input_signature=specs)
    tf.saved_model.save(module, str(folder), signatures={signature: named})


def _as_dict(answer: Any) -> dict[str, Any]:
    return answer if isinstance(answer, dict) else {"vectors": answer}


ANY = (None, None, None, 3)
FIXED = (None, SIDE, SIDE, 3)


def callable_fixed(folder: Path) -> Reference:
    _save(folder, _network, FIXED)
    return expected


def callable_any_size(folder: Path) -> Reference:
    _save(folder, _network, ANY)
    return expected


def serving_default_only(folder: Path) -> Reference:
    _save(folder, _network, FIXED, signature="serving_default")
    return expected


def default_only(folder: Path) -> Reference:
    _save(folder, _network, FIXED, signature="default")
    return expected


def fixed_batch(folder: Path) -> Reference:
    _save(folder, _network, (4, SIDE, SIDE, 3))
    return expected


def one_by_one_output(folder: Path) -> Reference:
    _save(folder, lambda images, w: _network(images, w)[:, None, None], FIXED)
    return expected


def feature_map_output(folder: Path) -> Reference:
    import tensorflow as tf

    _save(folder, lambda images, w: tf.nn.avg_pool2d(images, 4, 4, "VALID") @ w[:3], FIXED)
    return lambda images: images.mean(axis=(1, 2)) @ WEIGHTS[:3]


def uint8_input(folder: Path) -> Reference:
    import tensorflow as tf

    _save(folder, lambda images, w: _network(tf.cast(images, tf.float32), w), FIXED, dtype="uint8")
    return lambda images: expected(np.rint(images * 255))


def several_outputs(folder: Path) -> Reference:
    import tensorflow as tf

    def network(images: Any, weights: Any) -> dict[str, Any]:
        vectors = _network(images, weights)
        classes = tf.argmax(vectors, axis=1)
        return {"logits": 2 * vectors, "feature_vector": vectors, "classes": classes}

    _save(folder, network, FIXED, signature="serving_default")
    return expected


def half_precision_output(folder: Path) -> Reference:
    import tensorflow as tf

    _save(folder, lambda images, w: tf.cast(_network(images, w), tf.float16), FIXED)
    return lambda images: expected(images).astype(np.float16)


def depthwise(folder: Path) -> Reference:
    """What TensorFlow Lite computes faster."""
    _save(folder, _depthwise, FIXED)
    return lambda images: _depthwise(images, WEIGHTS).numpy()


def depthwise_resized(folder: Path) -> Reference:
    """The same after a resize that TensorFlow Lite lacks."""
    import tensorflow as tf

    def network(images: Any, weights: Any) -> Any:
        return _depthwise(tf.image.resize(images, (9, 9), antialias=True), weights)

    _save(folder, network, FIXED)
    return lambda images: network(images, WEIGHTS).numpy()


def _depthwise(images: Any, weights: Any) -> Any:
    import tensorflow as tf

    kernel = tf.reshape(weights[:, :3], (3, 3, 3, 1))
    return tf.reduce_mean(tf.nn.depthwise_conv2d(images, kernel, (1, 1, 1, 1), "SAME") ** 2, (1, 2))


def _keras_model() -> Any:
    """Dropout and batch normalisation tell a call for training from one for use."""
    import keras

    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.Conv2D(6, 3, strides=2, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )


def keras_export(folder: Path) -> Reference:
    model = _keras_model()
    model.export(folder, verbose=False)
    return lambda images: model(images, training=False).numpy()


def keras_saved(folder: Path) -> Reference:
    import tensorflow as tf

    model = _keras_model()
    tf.saved_model.save(model, str(folder))
    return lambda images: model(images, training=False).numpy()


def keras_2_saved(folder: Path) -> Reference:
    """What most TF2 models of TF-Hub are."""
    import tf_keras  # type: ignore[import-untyped]

    tf_keras.utils.set_random_seed(0)
    model = tf_keras.Sequential(
        [
            tf_keras.layers.Conv2D(6, 3, strides=2, input_shape=(SIDE, SIDE, 3)),
            tf_keras.layers.BatchNormalization(),
            tf_keras.layers.Dropout(0.5),
            tf_keras.layers.GlobalAveragePooling2D(),
        ]
    )
    model.save(folder, save_format="tf")
    return lambda images: model(images, training=False).numpy()


def training_argument(folder: Path) -> Reference:
    """What TF-Hub's TF2 models are: one traced function for training and one for use."""
    import tensorflow as tf

    class Network(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(WEIGHTS)

        @tf.function  # type: ignore[untyped-decorator]
        def __call__(self, images: Any, training: bool = False) -> Any:
            return _network(images, self.weights) * (0.0 if training else 1.0)

    module = Network()
    for training in (True, False):
        module.__call__.get_concrete_function(tf.TensorSpec(FIXED), training=training)
    tf.saved_model.save(module, str(folder))
    return expected


def training_without_default(folder: Path) -> Reference:
    """The same, with an argument that the caller must give."""
    import tensorflow as tf

    class Network(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(WEIGHTS)

        @tf.function  # type: ignore[untyped-decorator]
        def __call__(self, images: Any, training: bool) -> Any:
            return _network(images, self.weights) * (0.0 if training else 1.0)

    module = Network()
    for training in (True, False):
        module.__call__.get_concrete_function(tf.TensorSpec(FIXED), training)
    tf.saved_model.save(module, str(folder))
    return expected


def _tf1(folder: Path, tags: list[str], signature: str, output: str) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        images = v1.placeholder(tf.float32, FIXED, "images")
        weights = v1.get_variable("weights", initializer=WEIGHTS, use_resource=True)
        vectors = _network(images, weights)
        session.run(v1.global_variables_initializer())
        definition = v1.saved_model.signature_def_utils.predict_signature_def(
            {"images": images}, {output: vectors, "half": vectors / 2}
        )
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, tags, {signature: definition})
        builder.save()


def tf1_hub_module(folder: Path) -> Reference:
    _tf1(folder, [], "default", "default")
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")  # format_version: 3
    return expected


def tf1_saved_model(folder: Path) -> Reference:
    _tf1(folder, ["serve"], "serving_default", "feature_vector")
    return expected


# Models that embed no pictures, and what the refusal has to name.


def two_inputs(folder: Path) -> str:
    _save(folder, lambda a, b, w: _network(a + b, w), FIXED, FIXED)
    return "float32[n,16,16,3], float32[n,16,16,3]"


def vector_input(folder: Path) -> str:
    import tensorflow as tf

    _save(folder, lambda x, w: tf.matmul(x, w), (None, 9), signature="serving_default")
    return "float32[n,9]"


def sound_input(folder: Path) -> str:
    import tensorflow as tf

    _save(folder, lambda x, w: tf.reduce_mean(x, 1) @ w, (None, None, 9))
    return "float32[n,n,9]"


def text_input(folder: Path) -> str:
    import tensorflow as tf

    _save(
        folder,
        lambda x, w: tf.cast(tf.strings.length(x), tf.float32)[:, None] * w[0],
        (None,),
        dtype="string",
    )
    return "string[n]"


def grey_input(folder: Path) -> str:
    import tensorflow as tf

    _save(folder, lambda x, w: tf.reduce_mean(x, (1, 2)) @ w[:1], (None, SIDE, SIDE, 1))
    return "float32[n,16,16,1]"


def channels_first(folder: Path) -> str:
    import tensorflow as tf

    _save(folder, lambda x, w: tf.reduce_mean(x, (2, 3)) @ w[:3], (None, 3, SIDE, SIDE))
    return "float32[n,3,16,16]"


def classes_output(folder: Path) -> str:
    import tensorflow as tf

    _save(folder, lambda x, w: tf.argmax(_network(x, w), axis=1), FIXED)
    return "int64[n]"


def nothing_to_call(folder: Path) -> str:
    import tensorflow as tf

    module = tf.Module()
    module.weights = tf.Variable(WEIGHTS)
    tf.saved_model.save(module, str(folder))
    return "nothing to call"


# Models that load, and fail when they are called.


def one_vector_a_batch(folder: Path) -> None:
    import tensorflow as tf

    _save(folder, lambda images, w: tf.reduce_mean(_network(images, w), 0, keepdims=True), FIXED)


def needs_even_halves(folder: Path) -> None:
    def network(images: Any, weights: Any) -> Any:
        import tensorflow as tf

        up = tf.nn.max_pool2d(images, 2, 2, "SAME")
        return tf.reduce_mean(up + tf.nn.max_pool2d(images, 2, 2, "VALID"), (1, 2)) * weights[0, 0]

    _save(folder, network, ANY)


def assert_refused(
    model: str, kind: type[TbgridError], message: str, image_size: int | None = None
) -> str:
    """Loading ends in one line of that kind, which names the way out; the line."""
    with pytest.raises(kind, match=message) as caught:
        load_embedder(model, image_size)
    assert type(caught.value) is kind
    text = str(caught.value)
    assert caught.value.hint, "says the way out"
    assert len(text.splitlines()) == 1
    return text


SEVEN = np.random.default_rng(1).integers(0, 256, (7, SIDE, SIDE, 3)) / 255


def seven() -> Float32Array:
    """Seven pictures of noise, so that every batch of 4 ends in a smaller one."""
    return SEVEN.astype(np.float32)
