"""Folded weights -> a TensorFlow SavedModel, checked against PyTorch.

    python export.py weights.npz savedmodel

The SavedModel follows TensorFlow Hub's "image feature vector" convention: `hub.load(path)` gives
a function float32 [N, H, W, 3] in [0, 1] -> float32 [N, network.DIM + shape.DIM], any H and W, and
so does the signature `serving_default` (`images` -> `feature_vector`). A vector is the network's
features, normalized, followed by the shape descriptor times SHAPE_WEIGHT; compare vectors by their
cosine.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import network
import numpy as np
import numpy.typing as npt
import shape
import tensorflow as tf
import tf_network
from network import Weights, load_weights

Floats = npt.NDArray[np.floating]

SHAPE_WEIGHT = 0.5
TOLERANCE = 1e-3  # of the length of a vector

IMAGES = tf.TensorSpec([None, None, None, 3], tf.float32, name="images")


class Embedder(tf.Module):  # type: ignore[misc]
    """The module that is saved: the weights as float16, and the function twice."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.weights = {
            name: tf.Variable(
                value.astype(np.float16), trainable=False, name=name.replace(".", "_")
            )
            for name, value in weights.items()
        }

    @tf.function(input_signature=[IMAGES])  # type: ignore[untyped-decorator]
    def __call__(self, images: Any) -> Any:
        """The joint vectors, of length one unless a picture is flat."""
        learned = tf.math.l2_normalize(tf_network.features(images, self.weights), 1)
        joint = tf.concat([learned, SHAPE_WEIGHT * shape.describe(images)], 1)
        return joint / np.float32(np.hypot(1, SHAPE_WEIGHT))

    @tf.function(input_signature=[IMAGES])  # type: ignore[untyped-decorator]
    def serve(self, images: Any) -> dict[str, Any]:
        """The same, as a signature gives it."""
        return {"feature_vector": self(images)}


def generated_pictures(count: int, height: int, width: int, seed: int = 0) -> Floats:
    """Waves of colour under hard-edged rectangles: float32 [count, height, width, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    out = np.empty((count, height, width, 3), np.float32)
    for picture in out:
        for channel in range(3):
            fx, fy, phase = rng.uniform(0, 12, 3)
            picture[..., channel] = 0.5 + 0.4 * np.sin(fx * x + fy * y + phase)
        for _ in range(rng.integers(1, 6)):
            top, left = rng.integers(0, height), rng.integers(0, width)
            tall, wide = rng.integers(2, height), rng.integers(2, width)
            picture[top : top + tall, left : left + wide] = rng.random(3)
    noise = rng.normal(0, 0.02, out.shape)
    return np.clip(out + noise, 0, 1).astype(np.float32)


def expected(weights: Weights, images: Floats) -> Floats:
    """The learned part as PyTorch computes it, from the weights as they are stored."""
    import torch
    import torch_network

    net = torch_network.Network().eval()
    torch_network.load_folded(net, weights)
    with torch.no_grad():
        y = net(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        return np.asarray(torch.nn.functional.normalize(y, dim=1).numpy())


def check(model: Callable[[Any], Any], signature: Callable[..., Any], weights: Weights) -> float:
    """The largest error of any generated picture's vector; raises when it is too large."""
    worst = 0.0
    scale = np.hypot(1, SHAPE_WEIGHT)
    for height, width in ((64, 64), (32, 32), (48, 80), (45, 61), (96, 96)):
        images = generated_pictures(16, height, width)
        got = np.asarray(model(tf.constant(images))) * scale
        served = np.asarray(signature(images=tf.constant(images))["feature_vector"]) * scale
        learned, described = got[:, : network.DIM], got[:, network.DIM :] / SHAPE_WEIGHT
        errors = [learned - expected(weights, images), served - got]
        if (height, width) == (shape.SIDE, shape.SIDE):
            errors.append(described - shape.reference(images))
        worst = max([worst] + [float(np.linalg.norm(e, axis=1).max()) for e in errors])
    if not worst < TOLERANCE:
        raise RuntimeError(f"the SavedModel differs from the reference by {worst:.1e}")
    return worst


def save(weights: Weights, out: Path) -> None:
    """Write the SavedModel, or replace it."""
    module = Embedder(weights)
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    options = tf.saved_model.SaveOptions(save_debug_info=False)
    tf.saved_model.save(module, str(part), {"serving_default": module.serve}, options)
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="folded weights -> SavedModel")
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    weights = load_weights(args.weights)
    save(weights, args.out)
    loaded: Any = tf.saved_model.load(str(args.out))
    worst = check(loaded, loaded.signatures["serving_default"], weights)
    size = sum(p.stat().st_size for p in args.out.rglob("*") if p.is_file())
    print(f"{args.out}: {size} bytes, largest error {worst:.1e}")


if __name__ == "__main__":
    main()
