"""Pictures that tests draw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {"blue": (30, 60, 220), "green": (20, 160, 60), "red": (220, 40, 30)}


def draw_photos(folder: Path, each: int, seed: int = 0) -> Path:
    """`each` pictures of a label: blue ones of a ball, green ones of bars, red ones of a roof."""
    rng = np.random.default_rng(seed)
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            ground = tuple(int(v) for v in np.clip(rng.normal(colour, 12), 0, 255))
            picture = Image.new("RGB", (96, 72), ground)
            x, y = (int(v) for v in rng.integers(22, 46, 2))
            pen, light = ImageDraw.Draw(picture), (240, 230, 200)
            if label == "blue":
                pen.ellipse((x, y, x + 22, y + 22), fill=light)
            elif label == "green":
                for bar in range(3):
                    pen.rectangle((x + 9 * bar, 6, x + 9 * bar + 3, 66), fill=light)
            else:
                pen.polygon(((8, 66), (x + 16, y - 16), (88, 66)), outline=light, width=3)
            picture.save(folder / label / f"{number:03}.jpg", quality=90)
    return folder


def scene(rng: np.random.Generator, side: int = 96) -> Image.Image:
    """A picture with structure at several scales."""
    board = np.zeros((side, side, 3))
    for cells in (3, 6, 12, 24):
        coarse = rng.uniform(0, 255, (cells, cells, 3)).astype(np.uint8)
        layer = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        board += np.asarray(layer, np.float64) / cells
    board = (board - board.min()) / np.ptp(board)
    return Image.fromarray((board * 200).astype(np.uint8))
