"""Real pictures without a network: those that scikit-learn carries, written as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

_ROWS, _COLUMNS, _SIDE = 16, 32, 64  # tiles of a photo, and their side in pixels
_DIGIT, _MARGIN = 48, 8  # px: a digit, and the white around it


def tiles(folder: Path) -> None:
    """1,024 overlapping tiles of scikit-learn's two photographs (427 x 640 px) under `folder`.

    One sub-folder for each photo, so that the label is the photo a tile was cut from.
    """
    from sklearn.datasets import load_sample_images

    bunch = load_sample_images()
    for name, photo in zip(bunch.filenames, bunch.images, strict=True):
        target = folder / Path(name).stem
        target.mkdir(parents=True)
        height, width, _ = photo.shape
        for row, top in enumerate(np.linspace(0, height - _SIDE, _ROWS).astype(int)):
            for column, left in enumerate(np.linspace(0, width - _SIDE, _COLUMNS).astype(int)):
                tile = Image.fromarray(photo[top : top + _SIDE, left : left + _SIDE])
                tile.save(target / f"{row:02}-{column:02}.png")


def digits(folder: Path) -> None:
    """scikit-learn's 1,797 handwritten digits, 8 x 8 grey values each, drawn at 64 x 64 px."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    for number, (digit, label) in enumerate(zip(bunch.images, bunch.target, strict=True)):
        target = folder / str(label)
        target.mkdir(parents=True, exist_ok=True)
        grey = np.rint(255 - digit * (255 / 16)).astype(np.uint8)
        large = Image.fromarray(grey).resize((_DIGIT, _DIGIT), Image.Resampling.BICUBIC)
        ImageOps.expand(large, _MARGIN, 255).save(target / f"{number:04}.png")
