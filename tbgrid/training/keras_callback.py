"""The map through the epochs of a Keras training.

The only module that is Keras's from its first line; it is imported when `tbgrid.GridCallback` is
first asked for.
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

SLIDER = 10  # steps of a tag that TensorBoard keeps unless told otherwise
SHARE = 0.2  # of the epochs' time from which a word is said
_HINT = "give embed=, a function from a batch of images to float[b, d] vectors"


class GridCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes a map of n images as the network sees them, every few epochs, into `logdir`/grid.

    `images`: [n, ...], as the model takes them. `pictures`: what is shown of them, [n, h, w] or
    [n, h, w, 3]; None: the images, if they are such in [0, 1], [-1, 1] or [0, 255]. `labels`: one
    of each image, which only count in `tbgrid/neighbour_agreement`. Some hundred images serve best;
    they need not be among those of the training.

    `layer`: the name or index of the layer whose output is mapped, averaged over all but its first
    and last axis. None: what the last layer with weights that are trained is given, or the model's
    output where there is only one such layer. `embed`: a function that takes a batch of images
    and gives float[b, d] is used instead, and is what a subclassed model needs. `batch`: images at
    a time.

    `every`: epochs from one map to the next. There is one before training too, and one of the last
    epoch in any case. Steps are epochs as those of `keras.callbacks.TensorBoard`: 0 is the end of
    the first, -1 the network untrained. With `initial_epoch` the maps go on from those that are
    there. `tile`, `perplexity`, `seed`, `metric`: see `tbgrid.GridWriter`, which writes.

    What it costs is in `tbgrid seconds/`; 500 images take about half a second of one core. If that
    is more than a fifth of the epochs' time a line on stderr says so, once; another one tells how
    to start TensorBoard so that its slider shows all maps. The training is what it would be without
    it: weights, optimizer, random numbers.

    Raises:
        UsageError: an argument that cannot be meant.
        TbgridError: images, pictures or labels that cannot be read; a directory that cannot be
            written. Both here or before the first epoch. What goes wrong later is a warning, and
            the training goes on without maps.
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
            raise UsageError(f"every {every}", "give a number of epochs from 1 on")
        if batch < 1:
            raise UsageError(f"batch {batch}", "give a number of images from 1 on")
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
                "give a picture of each image",
            )
        self._layer, self._embed, self._every, self._batch = layer, embed, every, batch
        self._printed: set[str] = set()
        self._network: Callable[[Any], Any] | None = None
        self._written: int | None = None  # the epoch of the last map
        self._epoch: int | None = None
        self._began = 0.0

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Find the layer, so that what cannot be mapped is known before the first epoch."""
        self._epoch = None
        self._network = self._embed or feature_extractor(
            self.model, self._images.shape, self._layer
        )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """The map before training. It comes here, since no one tells which epoch is the first."""
        if self._epoch is None:
            self._tell_slider()
            if self._written != epoch - 1:
                self._write(epoch - 1)
        self._epoch = epoch
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """The map of the epoch, if it is its turn or the last."""
        took = time.perf_counter() - self._began
        last = epoch + 1 == self._epochs or getattr(self.model, "stop_training", False)
        if last or (epoch + 1) % self._every == 0:
            self._try_write(epoch, took)

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """The map of the last epoch, where a callback ended the training later than ours ran."""
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
        except Exception as error:  # whatever it is, it must not cost anyone a training
            self._network = None
            name = "" if isinstance(error, TbgridError) else f"{type(error).__name__}: "
            text = f"training goes on without further maps ({name}{error})"
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        else:
            if took is not None:
                self._tell_share(seconds, took)

    def _write(self, epoch: int) -> float:
        """Write the map of the model as it is. How many seconds that took."""
        assert self._network is not None
        times = Times()
        _ = self.model  # with JAX, asking for it brings the weights up to date
        with times.stage("embed"):
            vectors = embed_images(self._network, self._images, self._batch)
        self._writer.add(epoch, vectors, times=times)
        self._written = epoch
        return sum(times.seconds.values())

    def _tell_slider(self) -> None:
        maps = 1 + math.ceil((self._epochs or 0) / self._every)
        if maps > SLIDER:
            self._tell(
                f"{maps} maps will be there, and TensorBoard's slider keeps {SLIDER}: start it "
                f"with --samples_per_plugin images={maps}",
                "slider",
            )

    def _tell_share(self, seconds: float, took: float) -> None:
        share = seconds / max(1e-9, self._every * took)
        if share > SHARE:
            enough = math.ceil(self._every * share / SHARE)
            self._tell(
                f"a map of {len(self._images)} images takes {seconds:.2f} s, "
                f"{100 * share:.0f} % of the training from one map to the next: "
                f"every={enough} makes that at most {100 * SHARE:.0f} %, "
                "and fewer images cost less",
                "share",
            )

    def _tell(self, text: str, what: str) -> None:
        """Say it once. Keras's progress bar may be in the middle of a line."""
        if what not in self._printed:
            self._printed.add(what)
            print(f"\ntbgrid: {text}", file=sys.stderr)


def embed_images(
    network: Callable[[Any], Any], images: npt.NDArray[Any], batch: int
) -> Float32Array:
    """float32[n, d] of images [n, ...]: the network's output, averaged over all but its first and
    last axis.

    Raises:
        TbgridError: it cannot take them.
    """
    found = []
    for first in range(0, len(images), batch):
        try:
            out = keras.ops.convert_to_numpy(network(images[first : first + batch]))
        except Exception as error:  # of Keras, its backend, or a function of the user's
            raise TbgridError(
                f"the model cannot take images {images.dtype}{list(images.shape)} "
                f"({type(error).__name__}: {str(error)[:300]})",
                "give them as in the training, and what is shown of them as pictures",
            ) from error
        vectors = np.asarray(out, np.float32)
        found.append(vectors.mean(axis=tuple(range(1, vectors.ndim - 1))))
    return np.concatenate(found)


def feature_extractor(
    model: Any, shape: Sequence[int], layer: str | int | None
) -> Callable[[Any], Any]:
    """A function from a batch of images, as numbers [b, ...], to what `layer` makes of them.

    `shape`: that of all images, by which a model that waits for data is built.

    Raises:
        UsageError: there is no such layer, or the model has no layers that can be told apart.
    """
    if isinstance(model, keras.Sequential) and not model.built:
        model.build((None, *shape[1:]))
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise UsageError("a subclassed model cannot be cut at a layer", _HINT)
    if len(inputs) > 1:
        raise UsageError(f"a model with {len(inputs)} inputs", _HINT)
    what = "the model" if layer is None else f"layer {layer!r}"
    names = ", ".join(one.name for one in model.layers[-8:])
    way_out = f"give layer=, the name of a single one such as {names}, or embed="
    try:
        output = _output(model, layer)
        if not isinstance(output, keras.KerasTensor):
            raise UsageError(f"{what} has {len(output)} outputs", way_out)
        part = keras.Model(inputs[0], output, name="tbgrid")
    except (ValueError, AttributeError, IndexError) as error:  # in a nested model, for instance
        raise UsageError(f"{what} is not on the way from the model's input", way_out) from error
    return part.predict_on_batch  # type: ignore[no-any-return]


def _output(model: Any, layer: str | int | None) -> Any:
    if isinstance(layer, str):
        return model.get_layer(layer).output
    if layer is not None:
        return model.layers[layer].output
    trained = [one for one in model.layers if one.trainable_weights]
    outputs = model.outputs[0] if len(model.outputs) == 1 else model.outputs
    return trained[-1].input if len(trained) > 1 and len(model.outputs) == 1 else outputs
