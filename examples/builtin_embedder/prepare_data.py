"""Tiny-ImageNet, as distributed, into four arrays.

    python prepare_data.py tiny-imagenet-200 data

reads `train/<class>/images/*.JPEG`, `val/images/*.JPEG`, `val/val_annotations.txt` and `wnids.txt`
and writes `tin_train_x.npy` (uint8 [100000, 64, 64, 3]), `tin_train_y.npy` (int64 [100000]), and
the same for `val` (10,000). Rows lie in the order of the sorted class names, then file names, so
that the arrays are the same on every machine (up to the JPEG decoder).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 64

Pictures = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


def class_names(root: Path) -> list[str]:
    """The class identifiers, sorted; a label is a place in this list."""
    return sorted((root / "wnids.txt").read_text().split())


def train_files(root: Path) -> list[tuple[Path, int]]:
    """Every training picture with its label."""
    return [
        (path, label)
        for label, name in enumerate(class_names(root))
        for path in sorted((root / "train" / name / "images").glob("*.JPEG"))
    ]


def val_files(root: Path) -> list[tuple[Path, int]]:
    """Every validation picture with its label, from the annotation table (file, class, box)."""
    label = {name: i for i, name in enumerate(class_names(root))}
    rows = (root / "val" / "val_annotations.txt").read_text().splitlines()
    pairs = sorted((row.split("\t")[0], row.split("\t")[1]) for row in rows if row.strip())
    return [(root / "val" / "images" / name, label[wnid]) for name, wnid in pairs]


def decode(files: list[tuple[Path, int]]) -> tuple[Pictures, Labels]:
    """Read the pictures as RGB; the grey ones among them get three equal channels."""
    x = np.empty((len(files), SIDE, SIDE, 3), np.uint8)
    for i, (path, _) in enumerate(files):
        with Image.open(path) as picture:
            if picture.size != (SIDE, SIDE):
                raise ValueError(f"{path} is {picture.size}, not {SIDE}x{SIDE}")
            x[i] = np.asarray(picture.convert("RGB"))
    return x, np.array([label for _, label in files], np.int64)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Tiny-ImageNet folder -> arrays")
    parser.add_argument("root", type=Path, help="the folder that holds wnids.txt, train and val")
    parser.add_argument("out", type=Path, help="the folder for the arrays")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for part, files in (("train", train_files(args.root)), ("val", val_files(args.root))):
        if not files:
            raise SystemExit(f"no {part} pictures under {args.root}")
        x, y = decode(files)
        np.save(args.out / f"tin_{part}_x.npy", x)
        np.save(args.out / f"tin_{part}_y.npy", y)
        print(f"{part}: {len(x)} pictures, {len(np.unique(y))} classes")


if __name__ == "__main__":
    main()
