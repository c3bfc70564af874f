"""A Keras callback that writes maps during training.

This module imports Keras at its top, and is itself imported when `tbgrid.GridCallback` is first
used.
"""

from __future__ import annotations

import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from tbgrid.choices import Metric
from tbgrid.errors import TbgridError, UsageError
from tbgrid.training.grid_writer import GridWriter
from tbgrid.types import Float32Array
from tbgrid.util.timing import Times

SLIDER = 10  # steps of a tag that TensorBoard keeps by default
SHARE = 0.2  # of the training time from which the cost is reported
_HINT = "give embed=, a function from a batch of images to float[b, d] vectors"


class GridCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes a map of n images as the network sees them, every few epochs, into `logdir`/grid.

    There is also a map before training and one of the last epoch. Steps are epochs, as those of
    `keras.callbacks.TensorBoard`: 0 is the end of the first epoch, -1 the untrained network. With
    `initial_epoch` the maps continue from existing ones. Weights, optimizer and random numbers of
    the training are not affected.

    The cost is in `tbgrid seconds/`; 500 images take about half a second of one core. If maps take
    more than a fifth of the training, a line on stderr says so once; another one explains how to
    start TensorBoard so that its slider shows all maps.

    Args:
        logdir: a local directory.
        images: [n, ...], as the model takes them. A few hundred are best; they need not be part of
            the training set.
        labels: one per image, for `tbgrid/neighbour_agreement` only.
        pictures: what is shown of the images, see `tbgrid.GridWriter`; None for the images.
        layer: name or index of the layer whose output is mapped, averaged over all axes but the
            first and the last. None for the input of the last layer with trainable weights, or the
            model's output if there is only one such layer.
        embed: a function from a batch of images to float[b, d], to use instead of a layer; needed
            for subclassed models.
        every: epochs between two maps.
        batch: images per batch.
        tile: see `tbgrid.GridWriter`, as perplexity, seed and metric.
        perplexity: see `tbgrid.GridWriter`.
        seed: see `tbgrid.GridWriter`.
        metric: see `tbgrid.GridWriter`.

    Raises:
        UsageError: an invalid argument.
        TbgridError: unsuitable images, pictures or labels, or a directory that cannot be written,
            here or before the first epoch. A later failure is a warning, and the training
            continues without maps.
    """

    def __init__(
        self,
        logdir: str | os.PathLike[str],
        images: npt.ArrayLike,
        labels: Sequence[Hashable] | npt.NDArray[Any] | None = None,
        *,
        pictures: npt.ArrayLike | None = None,
        layer: str | int | None = None,
        embed: Callable[[Any], Any] | None = None,
        every: int = 1,
        batch: int = 128,
        tile: int | None = None,
        perplexity: float | None = None,
        seed: int = 0,
        metric: Metric = "cosine",
    ) -> None:
        super().__init__()
        if every < 1:
            raise UsageError(f"every {every}", "give a number of epochs, at least 1")
        if batch < 1:
            raise UsageError(f"batch {batch}", "give a number of images, at least 1")
        if layer is not None and embed is not None:
            raise UsageError("both layer and embed", "give one of them")
        self._writer = GridWriter(
            logdir,
            images if pictures is None else pictures,
            labels,
            tile=tile,
            perplexity=perplexity,
            seed=seed,
            metric=metric,
        )
        self._images = np.asarray(images)
        if pictures is not None and len(self._images) != len(np.asarray(pictures)):
            raise UsageError(
                f"{len(self._images)} images and {len(np.asarray(pictures))} pictures",
                "give one picture per image",
            )
        self._layer, self._embed, self._every, self._batch = layer, embed, every, batch
        self._printed: set[str] = set()
        self._network: Callable[[Any], Any] | None = None
        self._written: int | None = None  # the epoch of the last map
        self._epoch: int | None = None
        self._began = 0.0

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Find the layer, so that errors occur before the first epoch."""
        self._epoch = None
        self._network = self._embed or feature_extractor(
            self.model, self._images.shape, self._layer
        )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Write the map before training; only here is the first epoch's number known."""
        if self._epoch is None:
            self._report_slider()
            if self._written != epoch - 1:
                self._write(epoch - 1)
        self._epoch = epoch
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Write the map of the epoch, if it is due or the last one."""
        took = time.perf_counter() - self._began
        last = epoch + 1 == self._epochs or getattr(self.model, "stop_training", False)
        if last or (epoch + 1) % self._every == 0:
            self._try_write(epoch, took)

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Write the map of the last epoch if another callback ended the training after ours ran."""
        if self._epoch is not None and self._written != self._epoch:
            self._try_write(self._epoch, None)

    @property
    def _epochs(self) -> int | None:
        return (self.params or {}).get("epochs")

    def _try_write(self, epoch: int, took: float | None) -> None:
        if self._network is None:
            return
        try:
            seconds = self._write(epoch)
        except Exception as error:  # of any kind: it must not end the training
            self._network = None
            name = "" if isinstance(error, TbgridError) else f"{type(error).__name__}: "
            text = f"training continues without further maps ({name}{error})"
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        else:
            if took is not None:
                self._report_share(seconds, took)

    def _write(self, epoch: int) -> float:
        """Write the map of the model as it is; return the seconds that it took."""
        assert self._network is not None
        times = Times()
        _ = self.model  # with JAX, reading it updates the weights
        with times.stage("embed"):
            vectors = embed_images(self._network, self._images, self._batch)
        self._writer.add(epoch, vectors, times=times)
        self._written = epoch
        return sum(times.seconds.values())

    def _report_slider(self) -> None:
        maps = 1 + math.ceil((self._epochs or 0) / self._every)
        if maps > SLIDER:
            self._print_once(
                f"{maps} maps will be written, and TensorBoard's slider keeps {SLIDER}: start it "
                f"with --samples_per_plugin images={maps}",
                "slider",
            )

    def _report_share(self, seconds: float, took: float) -> None:
        share = seconds / max(1e-9, self._every * took)
        if share > SHARE:
            enough = math.ceil(self._every * share / SHARE)
            self._print_once(
                f"a map of {len(self._images)} images takes {seconds:.2f} s, "
                f"{100 * share:.0f} % of the training from one map to the next: "
                f"every={enough} makes that at most {100 * SHARE:.0f} %, "
                "and fewer images cost less",
                "share",
            )

    def _print_once(self, text: str, key: str) -> None:
        """Print `text` once, on a new line, since Keras's progress bar may be in one."""
        if key not in self._printed:
            self._printed.add(key)
            print(f"\ntbgrid: {text}", file=sys.stderr)


def embed_images(
    network: Callable[[Any], Any], images: npt.NDArray[Any], batch: int
) -> Float32Array:
    """Embed images in batches.

    Args:
        network: a function from a batch of images to numbers [b, ..., d].
        images: [n, ...].
        batch: images per batch.

    Returns:
        float32[n, d], averaged over all axes but the first and the last.

    Raises:
        TbgridError: the network cannot take the images.
    """
    found = []
    for first in range(0, len(images), batch):
        try:
            out = keras.ops.convert_to_numpy(network(images[first : first + batch]))
        except Exception as error:  # of Keras, its backend or the user's function
            raise TbgridError(
                f"the model cannot take images {images.dtype}{list(images.shape)} "
                f"({type(error).__name__}: {str(error)[:300]})",
                "give images as in the training, and pictures separately",
            ) from error
        vectors = np.asarray(out, np.float32)
        found.append(vectors.mean(axis=tuple(range(1, vectors.ndim - 1))))
    return np.concatenate(found)


def feature_extractor(
    model: Any, shape: Sequence[int], layer: str | int | None
) -> Callable[[Any], Any]:
    """The part of a model up to a layer.

    Args:
        model: of Keras; a model without weights yet is built.
        shape: of all images.
        layer: see `GridCallback`.

    Returns:
        A function from a batch of images [b, ...] to the layer's output.

    Raises:
        UsageError: there is no such layer, or the model's layers are not accessible.
    """
    if isinstance(model, keras.Sequential) and not model.built:
        model.build((None, *shape[1:]))
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise UsageError("a subclassed model has no accessible layers", _HINT)
    if len(inputs) > 1:
        raise UsageError(f"a model with {len(inputs)} inputs", _HINT)
    what = "the model" if layer is None else f"layer {layer!r}"
    names = ", ".join(one.name for one in model.layers[-8:])
    way_out = f"give layer=, the name of a single one such as {names}, or embed="
    try:
        output = _output(model, layer)
        single = isinstance(output, keras.KerasTensor)
        part = keras.Model(inputs[0], output, name="tbgrid") if single else None
    except (ValueError, AttributeError, IndexError) as error:  # in a nested model, for instance
        raise UsageError(f"{what} is not connected to the model's input", way_out) from error
    if part is None:
        raise UsageError(f"{what} has {len(output)} outputs", way_out)
    return part.predict_on_batch  # type: ignore[no-any-return]


def _output(model: Any, layer: str | int | None) -> Any:
    if isinstance(layer, str):
        return model.get_layer(layer).output
    if layer is not None:
        return model.layers[layer].output
    trained = [one for one in model.layers if one.trainable_weights]
    outputs = model.outputs[0] if len(model.outputs) == 1 else model.outputs
    return trained[-1].input if len(trained) > 1 and len(model.outputs) == 1 else outputs
