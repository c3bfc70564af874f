"""The network in plain TensorFlow operations, for shipping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from network import LAYOUT, MEAN, ROOT, SOFT, STD, Conv, Layout


def features(images: Any, weights: Mapping[str, Any], layout: Layout = LAYOUT) -> Any:
    """float32 [N, H, W, 3] in [0, 1] -> float32 [N, DIM]; `weights` are folded, of any floats."""

    def conv(x: Any, unit: Conv) -> Any:
        pad = unit.kernel // 2
        kernel = tf.cast(weights[f"{unit.name}.w"], tf.float32)
        bias = tf.cast(weights[f"{unit.name}.b"], tf.float32)
        y = tf.nn.conv2d(x, kernel, unit.stride, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
        return tf.nn.bias_add(y, bias)

    x = (images - tf.constant(MEAN, tf.float32)) / tf.constant(STD, tf.float32)
    x = tf.nn.relu(conv(x, layout.stem))
    for block in layout.blocks:
        y = conv(tf.nn.relu(conv(x, block.conv1)), block.conv2)
        if block.skip is not None:
            x = conv(tf.nn.avg_pool2d(x, 2, 2, "SAME"), block.skip)
        x = tf.nn.relu(y + x)
    return (tf.reduce_mean(x, (1, 2)) + SOFT) ** ROOT
