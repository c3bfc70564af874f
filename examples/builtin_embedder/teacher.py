"""A teacher's features of the training pictures, computed once before training.

    python teacher.py path/of/savedmodel data --views 2

writes `teacher_<view>.npy`, float16 [N, dim], next to `tin_train_x.npy`. The teacher is any image
feature vector model (float32 [N, side, side, 3] in [0, 1] -> float32 [N, dim]). A run that was
interrupted continues where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from views import Boxes, view_boxes

Floats = npt.NDArray[np.float32]


def render(pictures: npt.NDArray[np.uint8], boxes: Boxes, side: int) -> Floats:
    """float32 [N, side, side, 3] in [0, 1]: each picture's box, enlarged bilinearly."""
    out = np.empty((len(pictures), side, side, 3), np.float32)
    scale = pictures.shape[1]
    for row, picture, box in zip(out, pictures, boxes * scale, strict=True):
        left, top, right, bottom = (float(min(max(edge, 0), scale)) for edge in box)
        view = Image.fromarray(picture).resize(
            (side, side), Image.Resampling.BILINEAR, box=(left, top, right, bottom)
        )
        row[:] = np.asarray(view)
    out /= 255
    return out


def batches(
    x: npt.NDArray[np.uint8], boxes: Boxes, side: int, first: int, batch: int
) -> Iterator[tuple[int, Floats]]:
    """Rendered batches from row `first` on, each prepared while the one before is used."""
    with ThreadPoolExecutor(1) as pool:
        pending = None
        for i in range(first, len(x), batch):
            rows = slice(i, i + batch)
            ready, pending = pending, (i, pool.submit(render, x[rows], boxes[rows], side))
            if ready is not None:
                yield ready[0], ready[1].result()
        if pending is not None:
            yield pending[0], pending[1].result()


def embed_view(model: Any, x: npt.NDArray[np.uint8], view: int, out: Path, args: Any) -> None:
    """Features of one view of every picture; done when `out` exists."""
    if out.exists():
        return
    part, mark = out.with_suffix(".part.npy"), out.with_suffix(".rows")
    first = int(mark.read_text()) if mark.exists() else 0
    boxes = view_boxes(len(x), view)
    dim = model(np.zeros((1, args.side, args.side, 3), np.float32)).shape[1]
    rows = np.lib.format.open_memmap(part, "r+" if first else "w+", np.float16, (len(x), int(dim)))
    for i, images in batches(x, boxes, args.side, first, args.batch):
        rows[i : i + len(images)] = np.asarray(model(images))
        if i // args.batch % 50 == 0:
            rows.flush()
            mark.write_text(str(i))
            print(f"view {view}: {i} of {len(x)}", flush=True)
    rows.flush()
    part.replace(out)
    mark.unlink(missing_ok=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="features of a teacher, for train.py")
    parser.add_argument("model", help="folder of the teacher's SavedModel")
    parser.add_argument("data", type=Path, help="the folder of tin_train_x.npy")
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--side", type=int, default=224, help="the teacher's input")
    parser.add_argument("--batch", type=int, default=64)
    args = parser.parse_args()
    import tensorflow as tf

    model: Any = tf.saved_model.load(args.model)
    x = np.load(args.data / "tin_train_x.npy", mmap_mode="r")
    for view in range(args.views):
        embed_view(model, x, view, args.data / f"teacher_{view}.npy", args)


if __name__ == "__main__":
    main()
