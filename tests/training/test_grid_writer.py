"""Maps of the same pictures at step after step, from arrays alone."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import tbgrid
from tbgrid.training import grid_writer
from tbgrid.training.grid_writer import as_pictures, mean_movement
from tbgrid.types import Float32Array, UInt8Array

COUNT = 200


@pytest.fixture(scope="module")
def digits() -> tuple[UInt8Array, np.ndarray]:
    bunch = load_digits()
    return (bunch.images[:COUNT] * 255 / 16).astype(np.uint8), bunch.target[:COUNT]


def vectors_of(pictures: UInt8Array, step: int) -> Float32Array:
    """What a network might make of them: at each step less of noise."""
    noise = np.random.default_rng(step).normal(0, 300 / (1 + step), (len(pictures), 64))
    return (pictures.reshape(len(pictures), -1) + noise).astype(np.float32)


def read(directory: Path) -> EventAccumulator:
    events = EventAccumulator(str(directory), size_guidance={"tensors": 0})
    events.Reload()
    return events


def steps(events: EventAccumulator, tag: str) -> list[int]:
    return [event.step for event in events.Tensors(tag)]


def numbers(events: EventAccumulator, tag: str) -> list[float]:
    return [float(event.tensor_proto.float_val[0]) for event in events.Tensors(tag)]


def pictures(events: EventAccumulator) -> list[Image.Image]:
    found = [event.tensor_proto.string_val for event in events.Tensors("tbgrid/mosaic")]
    opened: list[Image.Image] = [Image.open(io.BytesIO(encoded)) for _, _, encoded in found]
    sizes = [(int(width), int(height)) for width, height, _ in found]
    assert [picture.size for picture in opened] == sizes
    return opened


def test_each_step_is_there_as_soon_as_it_is_written(
    digits: tuple[UInt8Array, np.ndarray], tmp_path: Path
) -> None:
    writer = tbgrid.GridWriter(tmp_path, *digits)
    cards = []
    for count, step in enumerate((0, 10, 20), 1):
        arranged = writer.add(step, vectors_of(digits[0], step))
        cards.append(arranged.card)
        events = read(tmp_path / "grid")
        assert steps(events, "tbgrid/mosaic") == [0, 10, 20][:count]
    for name in cards[0].scalars():
        expected = [card.scalars()[name] for card in cards]
        assert numbers(events, f"tbgrid/{name}") == pytest.approx(expected, rel=1e-6)
    assert cards[0].agreement < cards[-1].agreement  # type: ignore[operator]
    assert steps(events, "tbgrid/moved_cells") == [10, 20]
    assert all(seconds > 0 for seconds in numbers(events, "tbgrid seconds/map"))
    rows, columns = arranged.grid.rows, arranged.grid.columns
    last = pictures(events)[-1]
    assert last.size == (32 * columns, 32 * rows)
    row, column = divmod(int(arranged.grid.cells[7]), columns)
    shown = np.asarray(
        last.convert("L").crop((32 * column, 32 * row, 32 * column + 32, 32 * row + 32))
    )
    small = np.asarray(Image.fromarray(digits[0][7]).resize((32, 32), Image.Resampling.LANCZOS))
    assert np.abs(shown.astype(int) - small).mean() < 6


@pytest.mark.slow
def test_pictures_stay_where_they_can(
    digits: tuple[UInt8Array, np.ndarray], tmp_path: Path
) -> None:
    """They move less than between maps that are made each by itself, and these are no better."""
    writer = tbgrid.GridWriter(tmp_path, *digits)
    chained = [writer.add(step, vectors_of(digits[0], step)) for step in range(5)]
    alone = [
        tbgrid.GridWriter(tmp_path / str(step), *digits).add(step, vectors_of(digits[0], step))
        for step in range(5)
    ]
    columns = chained[0].grid.columns

    def moved(maps: list[Any]) -> float:
        pairs = itertools.pairwise(maps)
        return float(
            np.mean([mean_movement(a.grid.cells, b.grid.cells, columns) for a, b in pairs])
        )

    assert moved(chained) < 0.75 * moved(alone)
    logged = numbers(read(tmp_path / "grid"), "tbgrid/moved_cells")
    assert np.mean(logged) == pytest.approx(moved(chained), rel=1e-5)
    kept = [float(np.mean([one.card.neighbors_kept for one in maps])) for maps in (chained, alone)]
    assert kept[0] > kept[1] - 0.02


def test_a_resumed_training_goes_on_from_its_last_map(
    digits: tuple[UInt8Array, np.ndarray], tmp_path: Path
) -> None:
    first = tbgrid.GridWriter(tmp_path, *digits)
    before = first.add(4, vectors_of(digits[0], 4))
    expected = first.add(5, vectors_of(digits[0], 5))
    again = tbgrid.GridWriter(tmp_path / "again", *digits)
    again.add(4, vectors_of(digits[0], 4))
    resumed = tbgrid.GridWriter(tmp_path / "again", *digits)
    after = resumed.add(5, vectors_of(digits[0], 5))
    assert np.array_equal(after.grid.cells, expected.grid.cells)
    assert steps(read(tmp_path / "again" / "grid"), "tbgrid/mosaic") == [4, 5]
    # one that begins anew is as if nothing were there
    anew = tbgrid.GridWriter(tmp_path / "again", *digits).add(3, vectors_of(digits[0], 4))
    assert np.array_equal(anew.grid.cells, before.grid.cells)


@pytest.mark.parametrize("content", [b"", b"PK", b"nonsense"])
def test_a_damaged_last_map_is_no_hindrance(
    digits: tuple[UInt8Array, np.ndarray], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "grid").mkdir()
    (tmp_path / "grid" / grid_writer.LAST_FILE).write_bytes(content)
    tbgrid.GridWriter(tmp_path, *digits).add(0, vectors_of(digits[0], 0))
    assert steps(read(tmp_path / "grid"), "tbgrid/mosaic") == [0]


def test_others_files_are_left_alone(
    digits: tuple[UInt8Array, np.ndarray], photos: Path, tmp_path: Path
) -> None:
    """Both ways: those that are in the directory, and these by an export into it."""
    other = tmp_path / "grid" / "events.out.tfevents.1.another"
    other.parent.mkdir()
    other.write_bytes(b"something")
    tbgrid.GridWriter(tmp_path, *digits).add(0, vectors_of(digits[0], 0))
    assert other.read_bytes() == b"something"
    ours = list(other.parent.glob("events*-steps"))
    assert len(ours) == 1
    options = tbgrid.ExportOptions(model="pixels")
    for _ in range(2):
        tbgrid.export(photos, other.parent, options)
    assert ours[0].exists()


def test_a_full_disk_leaves_a_file_that_can_be_read(
    digits: tuple[UInt8Array, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = tbgrid.GridWriter(tmp_path, *digits)
    writer.add(0, vectors_of(digits[0], 0))

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            if self.tell() > 60_000:
                raise OSError(28, "No space left on device")
            return super().write(data[:20_000])

    (file,) = (tmp_path / "grid").glob("events*")
    size = file.stat().st_size
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, mode, buffering=0: Full(path, mode.strip("b")))  # noqa: ARG005
        with pytest.raises(tbgrid.TbgridError, match=r"cannot write .*grid \(No space left"):
            writer.add(1, vectors_of(digits[0], 1))
    assert file.stat().st_size == size
    writer.add(2, vectors_of(digits[0], 2))
    assert steps(read(tmp_path / "grid"), "tbgrid/mosaic") == [0, 2]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (np.array([[[0.0, 0.5, 1.0]]]), [0, 128, 255]),
        (np.array([[[-1.0, 0.0, 1.0]]], np.float32), [0, 128, 255]),
        (np.array([[[0.0, 100.0, 255.0]]]), [0, 100, 255]),
        (np.array([[[0, 100, 255]]], np.int32), [0, 100, 255]),
        (np.array([[[0, 1, 3]]], np.uint8), [0, 1, 3]),
        (np.array([[[False, True, True]]]), [0, 255, 255]),
        (np.array([[[[0.0], [0.2], [1.0]]]]), [0, 51, 255]),
    ],
)
def test_pictures_of_any_usual_range(images: np.ndarray, expected: list[int]) -> None:
    assert as_pictures(images).tolist() == [[expected]]


def test_wide_colour_pictures_are_shown_whole(tmp_path: Path) -> None:
    colours = np.zeros((5, 20, 40, 3), np.uint8) + np.array([200, 30, 30], np.uint8)
    writer = tbgrid.GridWriter(tmp_path, colours, tile=40)
    writer.add(0, np.eye(5))
    (picture,) = pictures(read(tmp_path / "grid"))
    red = (np.abs(np.asarray(picture).astype(int) - (200, 30, 30)).max(axis=2) < 20).sum()
    assert red == pytest.approx(5 * 20 * 40, rel=0.02)


SQUARE = np.zeros((5, 8, 8), np.uint8)


class Ungiving:
    """As a PyTorch tensor that needs a gradient."""

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


@pytest.mark.parametrize(
    ("arguments", "options", "error", "told"),
    [
        ((np.zeros((5, 64)),), {}, tbgrid.TbgridError, r"pictures of shape \[5, 64\]: expected"),
        ((np.zeros((5, 3, 8, 8)),), {}, tbgrid.TbgridError, r"shape \[5, 3, 8, 8\]: expected"),
        ((np.zeros((5, 0, 8)),), {}, tbgrid.TbgridError, r"shape \[5, 0, 8\]"),
        ((np.full((5, 8, 8), 16.0),), {}, tbgrid.TbgridError, "values from 16 to 16: expected"),
        ((np.full((5, 8, 8), np.nan),), {}, tbgrid.TbgridError, "values from nan to nan"),
        ((SQUARE - 2.5,), {}, tbgrid.TbgridError, r"values from -2.5 to -2.5"),
        ((["a", "b"],), {}, tbgrid.TbgridError, "pictures of list hold <U1: expected an array"),
        ((Ungiving(),), {}, tbgrid.TbgridError, "of Ungiving are not an array .* requires grad"),
        ((SQUARE[:2],), {}, tbgrid.TbgridError, "2 pictures: a map needs at least 3"),
        ((SQUARE, [1, 2]), {}, tbgrid.TbgridError, r"labels of shape \[2\] for 5 pictures"),
        ((SQUARE, np.eye(5)), {}, tbgrid.TbgridError, "one-hot labels give labels.argmax"),
        ((SQUARE,), {"tile": 4}, tbgrid.UsageError, "tile 4: give"),
        ((SQUARE,), {"metric": "far"}, tbgrid.UsageError, "metric far: expected"),
        ((SQUARE,), {"perplexity": 0}, tbgrid.UsageError, "perplexity 0: give"),
        ((SQUARE,), {"seed": -1}, tbgrid.UsageError, "seed -1"),
    ],
)
def test_mistakes_are_told_in_a_line(
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    error: type[Exception],
    told: str,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=told) as caught:
        tbgrid.GridWriter(tmp_path / "run", *arguments, **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("step", "vectors", "told"),
    [
        (0.5, np.eye(5), "step 0.5: give an integer"),
        (0, np.eye(4), r"vectors of shape \[4, 4\] for 5 pictures: expected \[5, d\]"),
        (0, np.zeros((5, 2, 2)), r"shape \[5, 2, 2\]"),
        (0, np.zeros((5, 0)), r"shape \[5, 0\]"),
        (0, np.full((5, 2), np.nan), "vectors that are not finite"),
        (0, Ungiving(), r"vectors.detach\(\).cpu\(\).numpy\(\)"),
    ],
)
def test_mistakes_at_a_step_are_told_in_a_line(
    step: Any, vectors: Any, told: str, tmp_path: Path
) -> None:
    writer = tbgrid.GridWriter(tmp_path / "run", SQUARE)
    with pytest.raises(tbgrid.TbgridError, match=told):
        writer.add(step, vectors)
    assert not (tmp_path / "run").exists()


def test_a_logdir_that_is_none_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    writer = tbgrid.GridWriter(tmp_path / "file", SQUARE)
    with pytest.raises(tbgrid.TbgridError, match=r"cannot write .*file/grid"):
        writer.add(0, np.eye(5))
    with pytest.raises(tbgrid.UsageError, match="gs://bucket/run is not a directory"):
        tbgrid.GridWriter("gs://bucket/run", SQUARE)
