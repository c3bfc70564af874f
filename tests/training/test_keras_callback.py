"""Maps through the epochs of a real `fit` on real digits."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import tbgrid
from tbgrid.training.keras_callback import embed_images, feature_extractor

layers = keras.layers
LEARNT, SHOWN = 1400, 200


@functools.cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """float32[1797, 8, 8, 1] in [0, 1] and their labels."""
    bunch = load_digits()
    return (bunch.images[..., None] / 16).astype(np.float32), bunch.target


@functools.cache
def shown() -> tuple[np.ndarray, np.ndarray]:
    images, labels = digits()
    return images[LEARNT : LEARNT + SHOWN], labels[LEARNT : LEARNT + SHOWN]


def some() -> tuple[np.ndarray, np.ndarray]:
    """Fewer, where what the map looks like is not asked."""
    images, labels = shown()
    return images[:50], labels[:50]


def network(seed: int = 0, built: bool = True) -> Any:
    """One in which anything could go wrong: moving averages, random numbers."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            *([keras.Input((8, 8, 1))] if built else []),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(24, activation="relu", name="features"),
            layers.Dropout(0.2),
            layers.Dense(10, name="digits"),
            layers.Activation("softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(model: Any, epochs: int, *callbacks: Any, **options: Any) -> Any:
    images, labels = digits()
    options = {"verbose": 0, "batch_size": 64, **options}
    return model.fit(
        images[:LEARNT], labels[:LEARNT], epochs=epochs, callbacks=list(callbacks), **options
    )


def pass_epochs(epochs: int, *callbacks: Any, first: int = 0) -> None:
    """What `fit` calls, without a training."""
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(4)])
    model.stop_training = False
    listed = keras.callbacks.CallbackList(list(callbacks), model=model, epochs=epochs)
    listed.on_train_begin()
    for epoch in range(first, epochs):
        listed.on_epoch_begin(epoch)
        listed.on_epoch_end(epoch)
        if model.stop_training:
            break
    listed.on_train_end()


def few(logdir: Path, every: int) -> tbgrid.GridCallback:
    images, labels = shown()
    return tbgrid.GridCallback(logdir, images[:20], labels[:20], every=every)


def read(logdir: Path) -> EventAccumulator:
    events = EventAccumulator(str(logdir / "grid"), size_guidance={"tensors": 0})
    events.Reload()
    return events


def steps(logdir: Path, tag: str = "tbgrid/mosaic") -> list[int]:
    return [event.step for event in read(logdir).Tensors(tag)]


def numbers(logdir: Path, tag: str) -> list[float]:
    return [float(event.tensor_proto.float_val[0]) for event in read(logdir).Tensors(tag)]


@pytest.mark.slow
def test_a_network_that_learns_brings_like_digits_together(tmp_path: Path) -> None:
    """Labels count in the measure alone. From random pixels on: a dense network of the raw ones,
    whose first layer mixes them all."""
    keras.utils.set_random_seed(0)
    mixed = np.random.default_rng(0).normal(0, 1, (64, 64)).astype(np.float32)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(64, activation="tanh", kernel_initializer=lambda *_, **__: 0.3 * mixed),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = fit(model, 8, tbgrid.GridCallback(tmp_path, *shown()))
    assert history.history["accuracy"][-1] > 0.9
    assert steps(tmp_path) == list(range(-1, 8))
    agreement = numbers(tmp_path, "tbgrid/neighbour_agreement")
    assert agreement[-1] > agreement[0] + 0.05
    moved = numbers(tmp_path, "tbgrid/moved_cells")
    assert np.mean(moved[-3:]) < np.mean(moved[:2])  # it comes to rest
    assert len(numbers(tmp_path, "tbgrid seconds/embed")) == 9


def test_the_training_is_what_it_is_without(tmp_path: Path) -> None:
    weights, histories, draws = [], [], []
    for callbacks in ([], [tbgrid.GridCallback(tmp_path, *some())]):
        model = network()
        histories.append(fit(model, 3, *callbacks).history)
        weights.append([*model.get_weights(), *(v.numpy() for v in model.optimizer.variables)])
        draws.append(
            (
                np.random.rand(),  # noqa: NPY002  # the global state is what is asked for
                float(keras.random.uniform(())),
                keras.Sequential().name.rpartition("_")[0],
            )
        )
    assert steps(tmp_path) == [-1, 0, 1, 2]
    assert histories[0] == histories[1]
    assert draws[0] == draws[1]
    for mine, other in zip(*weights, strict=True):
        assert np.array_equal(mine, other)


@pytest.mark.parametrize(
    ("every", "epochs", "expected"),
    [(2, 4, [-1, 1, 3]), (2, 5, [-1, 1, 3, 4]), (9, 2, [-1, 1]), (1, 1, [-1, 0])],
)
def test_every_few_epochs_and_the_last(
    every: int, epochs: int, expected: list[int], tmp_path: Path
) -> None:
    pass_epochs(epochs, few(tmp_path, every))
    assert steps(tmp_path) == expected


@pytest.mark.parametrize("first", [True, False])
def test_a_training_that_is_stopped_ends_with_a_map(first: bool, tmp_path: Path) -> None:
    class Stop(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            self.model.stop_training = epoch == 2

    ours = few(tmp_path, 5)
    pass_epochs(9, *((Stop(), ours) if first else (ours, Stop())))
    assert steps(tmp_path) == [-1, 2]


@pytest.mark.slow
def test_a_resumed_training_goes_on(tmp_path: Path) -> None:
    model = network()
    ours = tbgrid.GridCallback(tmp_path, *shown())
    fit(model, 2, ours)
    fit(model, 4, ours, initial_epoch=2)
    assert steps(tmp_path) == [-1, 0, 1, 2, 3]
    fit(model, 5, tbgrid.GridCallback(tmp_path, *shown()), initial_epoch=4)  # another process
    assert steps(tmp_path)[-2:] == [3, 4]
    assert numbers(tmp_path, "tbgrid/moved_cells")[-2] < 1  # the same network once more


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3.15
@pytest.mark.slow
def test_steps_are_those_of_keras_own_callback(tmp_path: Path) -> None:
    images, labels = some()
    theirs = keras.callbacks.TensorBoard(tmp_path)
    fit(
        network(),
        2,
        theirs,
        tbgrid.GridCallback(tmp_path, images, labels),
        validation_data=(images, labels),
    )
    events = EventAccumulator(str(tmp_path / "validation"), size_guidance={"tensors": 0})
    events.Reload()
    assert [event.step for event in events.Tensors("epoch_loss")] == [0, 1]
    assert steps(tmp_path)[1:] == [0, 1]
    assert {path.name for path in tmp_path.iterdir()} == {"train", "validation", "grid"}


def test_lines_on_stderr_come_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = few(tmp_path, 2)
    pass_epochs(18, ours, first=16)
    assert "slider" not in capsys.readouterr().err
    pass_epochs(21, ours, first=19)
    pass_epochs(21, ours, first=20)
    told = capsys.readouterr().err
    assert told.count("12 maps will be written") == 1
    assert told.count("--samples_per_plugin images=12") == 1


def test_what_costs_much_says_what_makes_it_cheaper(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Epochs of no time at all, and so a map that takes longer."""
    pass_epochs(4, few(tmp_path, 1))
    told = capsys.readouterr().err
    assert told.count("of the training from one map to the next: every=") == 1


def test_a_model_within_the_model_can_be_mapped() -> None:
    inner, images = network(), shown()[0]
    outer = keras.Sequential([keras.Input((8, 8, 1)), inner, layers.Dense(4)])
    for layer in (0, None):
        vectors = embed_images(feature_extractor(outer, images.shape, layer), images, 64)
        np.testing.assert_allclose(vectors, inner(images, training=False), atol=1e-5)


@pytest.mark.parametrize("kind", ["layer", "index", "embed", "default", "lazy", "frozen", "single"])
def test_what_is_mapped(kind: str) -> None:
    images, _ = shown()
    model = network(built=kind != "lazy")
    layers_by_kind: dict[str, str | int] = {"layer": "digits", "index": 0}
    layer = layers_by_kind.get(kind)
    if kind == "frozen":  # what the head is given never changes
        for one in model.layers[:4]:
            one.trainable = False
    if kind == "single":
        model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(10)])
    network_part = feature_extractor(model, images.shape, layer)
    vectors = embed_images(network_part, images, 64)
    expected: Any = images
    stop = {"layer": "digits", "index": "conv2d", "frozen": "", "single": ""}.get(kind, "dropout")
    for one in model.layers:
        expected = one(expected, training=False)
        if stop and one.name.startswith(stop):
            break
    expected = np.asarray(expected)
    if kind == "index":
        expected = expected.mean(axis=(1, 2))
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


class Subclassed(keras.Model):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.flat, self.features = layers.Flatten(), layers.Dense(16, activation="relu")
        self.head = layers.Dense(10, activation="softmax")

    def call(self, images: Any) -> Any:
        return self.head(self.features(self.flat(images)))


def test_a_subclassed_model_needs_a_function(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = Subclassed()
    model.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(tbgrid.UsageError, match=r"a subclassed model has no accessible .* embed="):
        fit(model, 1, tbgrid.GridCallback(tmp_path, *some()))
    assert not model.optimizer.iterations.numpy()

    def embed(batch: Any) -> Any:
        return model.features(model.flat(batch))

    fit(model, 1, tbgrid.GridCallback(tmp_path, *some(), embed=embed))
    assert steps(tmp_path) == [-1, 0]


def two_outputs() -> Any:
    given = keras.Input((8, 8, 1))
    flat = layers.Flatten()(given)
    return keras.Model(given, [layers.Dense(3, name="one")(flat), layers.Dense(2)(flat)])


def two_inputs() -> Any:
    one, other = keras.Input((4,)), keras.Input((4,))
    return keras.Model([one, other], layers.Add()([one, other]))


@pytest.mark.parametrize(
    ("make", "layer", "told"),
    [
        (network, "digit", "layer 'digit' is not .* give layer=, .*features, dropout.*, digits"),
        (network, 99, "layer 99 is not connected"),
        (two_outputs, None, "the model has 2 outputs: give layer=.*one"),
        (two_inputs, None, "a model with 2 inputs: give embed="),
    ],
)
def test_a_layer_that_is_none_is_told_in_a_line(make: Any, layer: Any, told: str) -> None:
    with pytest.raises(tbgrid.UsageError, match=told) as caught:
        feature_extractor(make(), (5, 8, 8, 1), layer)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"every": 0}, "every 0: give a number of epochs"),
        ({"batch": 0}, "batch 0"),
        ({"layer": 1, "embed": len}, "both layer and embed"),
        ({"tile": 1000}, "tile 1000"),
        ({"labels": [1, 2]}, r"labels of shape \[2\]"),
        ({"images": np.zeros((5, 64))}, r"shape \[5, 64\]: .* give pictures separately"),
        ({"images": 3 - shown()[0]}, "values from 2 to 3: .* give pictures separately"),
        ({"pictures": np.zeros((9, 8, 8))}, "200 images and 9 pictures"),
    ],
)
def test_mistakes_are_told_in_a_line(options: dict[str, Any], told: str, tmp_path: Path) -> None:
    options = {"images": shown()[0], **options}
    with pytest.raises(tbgrid.TbgridError, match=told):
        tbgrid.GridCallback(tmp_path, **options)


def test_images_that_the_model_cannot_take_are_no_training(tmp_path: Path) -> None:
    model = network()
    with pytest.raises(
        tbgrid.TbgridError, match=r"the model cannot take images float32\[200, 6, 8, 1\]"
    ):
        fit(model, 1, tbgrid.GridCallback(tmp_path, shown()[0][:, 2:], shown()[1]))
    assert not model.optimizer.iterations.numpy()


@pytest.mark.slow
def test_standardised_images_with_pictures_of_them(tmp_path: Path) -> None:
    images, labels = some()
    standard = (images - images.mean()) / images.std()
    fit(network(), 1, tbgrid.GridCallback(tmp_path, standard, labels, pictures=images))
    assert steps(tmp_path) == [-1, 0]


def test_a_directory_that_cannot_be_written_is_known_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    model = network()
    with pytest.raises(tbgrid.TbgridError, match="cannot write"):
        fit(model, 1, tbgrid.GridCallback(tmp_path / "file", *shown()))
    assert not model.optimizer.iterations.numpy()


def test_what_fails_later_costs_no_training(tmp_path: Path) -> None:
    class Full(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            for path in (tmp_path / "grid").glob("*") if epoch == 1 else ():
                path.unlink()
                path.mkdir()

    ours = tbgrid.GridCallback(tmp_path, *some())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        history = fit(network(), 4, ours, Full())
    assert len(history.history["loss"]) == 4
    mine = [str(one.message) for one in told if "maps" in str(one.message)]
    assert len(mine) == 1
    assert mine[0].startswith("training continues without further maps (cannot write ")


def test_it_is_a_callback_with_words_for_help() -> None:
    assert issubclass(tbgrid.GridCallback, keras.callbacks.Callback)
    assert "every" in (tbgrid.GridCallback.__doc__ or "")
