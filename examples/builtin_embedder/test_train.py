"""Training repeats bit for bit, killed or not, and --init takes up what was exported.

    pytest examples/builtin_embedder

needs PyTorch, and TensorFlow for the tests of the SavedModel, which are skipped without it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch_network
import train
from network import DIM, load_weights, save_weights
from torch import Tensor

HERE = Path(__file__).parent
SHIPPED = HERE.parents[1] / "tbgrid" / "embedders" / "builtin"
CLASSES, PICTURES, VALIDATION, TEACHER_DIM = 4, 48, 55, 24
STEPS = 12  # of 8 pictures: two epochs
OPTIONS = {
    "epochs": 2,
    "batch": 8,
    "sizes": "0:32,0.5:16/32",
    "sharpen": 2,
    "own-relation-weight": 100,
    "average": 0.9,
}
WORDS = [word for name, value in OPTIONS.items() for word in (f"--{name}", str(value))]
TOLERANCE = 1e-4  # of a vector's length


def pictures(count: int, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Noise with a tint for each label: uint8[count, 64, 64, 3] and the labels."""
    rng = np.random.default_rng(seed)
    y = np.arange(count, dtype=np.int64) % CLASSES
    tint = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [120, 120, 120]])[y]
    x = rng.integers(0, 56, (count, 64, 64, 3)) + tint[:, None, None]
    return x.astype(np.uint8), y


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What prepare_data.py and teacher.py write, small."""
    folder = tmp_path_factory.mktemp("data")
    for part, count, seed in (("train", PICTURES, 1), ("val", VALIDATION, 2)):
        x, y = pictures(count, seed)
        np.save(folder / f"tin_{part}_x.npy", x)
        np.save(folder / f"tin_{part}_y.npy", y)
    rng = np.random.default_rng(3)
    for view in range(2):
        features = rng.normal(size=(PICTURES, TEACHER_DIM)).astype(np.float16)
        np.save(folder / f"teacher_{view}.npy", features)
    return folder


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folded weights, random, as they are stored."""
    torch.manual_seed(5)
    net = torch_network.Network()
    for unit in net.named_convs().values():
        torch.nn.init.uniform_(unit.norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(unit.norm.bias, 0, 0.2)
    path = tmp_path_factory.mktemp("init") / "weights.npz"
    save_weights(path, torch_network.fold(net))
    return path


def start(data: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    """A run of train.py in a process of its own."""
    return subprocess.Popen([sys.executable, HERE / "train.py", data, out, *WORDS, *more])


def finish(data: Path, out: Path, *more: str) -> Path:
    """Run train.py to its end."""
    assert start(data, out, *more).wait() == 0
    return out


def checkpoint(run: Path) -> dict[str, Any]:
    """The state that a run has written."""
    state: dict[str, Any] = torch.load(run / "checkpoint.pt", weights_only=True)
    return state


def differences(one: Path, two: Path) -> list[str]:
    """What is not the same, to the last bit, in the results of two runs."""
    found = []
    a, b = checkpoint(one), checkpoint(two)
    for part in ("student", "averaged"):
        found += [f"{part} {k}" for k, v in a[part].items() if not torch.equal(v, b[part][k])]
    momenta = (a["optimizer"]["state"], b["optimizer"]["state"])
    found += [
        f"momentum {k}"
        for k, v in momenta[0].items()
        if not torch.equal(v["momentum_buffer"], momenta[1][k]["momentum_buffer"])
    ]
    weights = (load_weights(one / "weights.npz"), load_weights(two / "weights.npz"))
    found += [k for k, v in weights[0].items() if not np.array_equal(v, weights[1][k])]
    return found


@pytest.fixture(scope="module")
def whole(data: Path, folded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupts."""
    return finish(data, tmp_path_factory.mktemp("whole"), "--init", str(folded))


def test_a_killed_run_goes_on_to_the_same_weights(
    data: Path, folded: Path, whole: Path, tmp_path: Path
) -> None:
    """Killed without warning after a checkpoint, wherever it is by then, and started again."""
    process = start(data, tmp_path, "--init", str(folded), "--every", "0")
    while not (tmp_path / "checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert 0 < checkpoint(tmp_path)["step"] < STEPS
    finish(data, tmp_path, "--init", str(folded))
    assert checkpoint(whole)["step"] == checkpoint(tmp_path)["step"] == STEPS
    assert differences(whole, tmp_path) == []


def test_a_run_stopped_within_an_epoch_goes_on_to_the_same_weights(
    data: Path, folded: Path, whole: Path, tmp_path: Path
) -> None:
    """--stop-at, between two steps of an epoch, past the change of sizes."""
    finish(data, tmp_path, "--init", str(folded), "--stop-at", "9")
    assert checkpoint(tmp_path)["step"] == 9
    assert differences(whole, finish(data, tmp_path, "--init", str(folded))) == []


def test_another_seed_gives_other_weights(
    data: Path, folded: Path, whole: Path, tmp_path: Path
) -> None:
    """So the comparison can fail."""
    assert differences(whole, finish(data, tmp_path, "--init", str(folded), "--seed", "1"))


def test_a_checkpoint_of_other_options_is_refused(data: Path, whole: Path) -> None:
    """It would be neither the one run nor the other."""
    run = train.Run(train.load_data(data, 2), train.Options(epochs=3, batch=8))
    with pytest.raises(SystemExit, match="other options"):
        run.restore(whole / "checkpoint.pt")


def as_batch(x: npt.NDArray[np.uint8]) -> Tensor:
    """uint8[n, h, w, 3] -> float32[n, 3, h, w] in [0, 1]."""
    return torch.from_numpy(x).permute(0, 3, 1, 2).float().div(255)


def gap(got: npt.ArrayLike, wanted: npt.ArrayLike) -> float:
    """The largest difference of two sets of vectors, after each is made of length one."""
    one, two = (np.asarray(v) / np.linalg.norm(v, axis=1, keepdims=True) for v in (got, wanted))
    return float(np.linalg.norm(one - two, axis=1).max())


def begun(data: Path, weights: Path) -> torch_network.Network:
    """The network with which a run of --init begins."""
    run = train.Run(train.load_data(data, 2), train.Options(batch=8, init=str(weights)))
    net: torch_network.Network = run.student.network
    return net


@torch.no_grad()
def test_init_begins_with_what_the_folded_weights_compute(data: Path, folded: Path) -> None:
    """In evaluation on any pictures, in training on those that measured the statistics."""
    plain = torch_network.Network().eval()
    torch_network.load_folded(plain, load_weights(folded))
    net = begun(data, folded)
    seen, new = (as_batch(pictures(count, seed)[0]) for count, seed in ((PICTURES, 1), (20, 9)))
    assert gap(net.eval()(new), plain(new)) < TOLERANCE
    assert gap(net.train()(seen), plain(seen)) < TOLERANCE


@torch.no_grad()
def test_folding_again_gives_the_weights_that_init_was_given(data: Path, folded: Path) -> None:
    """Up to rounding."""
    weights = torch_network.fold(begun(data, folded))
    for name, value in load_weights(folded).items():
        np.testing.assert_allclose(weights[name], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["shipped", "exported"])
@torch.no_grad()
def test_init_begins_with_what_the_saved_model_computes(
    kind: str, data: Path, folded: Path, tmp_path: Path
) -> None:
    """The network's part of the vectors of the SavedModel, at two sizes."""
    tf = pytest.importorskip("tensorflow")
    import export

    model = SHIPPED
    if kind == "exported":
        model = tmp_path / "model"
        export.save(load_weights(folded), model)
    loaded = tf.saved_model.load(str(model))
    weights = tmp_path / "weights.npz"
    save_weights(weights, {k: v.numpy() for k, v in loaded.weights.items()})
    net = begun(data, weights).eval()
    for side in (64, 45):
        images = export.generated_pictures(8, side, side)
        got = net(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        assert gap(got, np.asarray(loaded(images))[:, :DIM]) < export.TOLERANCE
