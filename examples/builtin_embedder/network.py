"""The embedding network, stated once: a slim residual network of plain 3x3 convolutions.

A 3x3 stem, then four stages of residual blocks, each stage halving the picture in its first block,
then global average pooling and a square root. Input is RGB in [0, 1] of any size; output is `DIM`
numbers. `torch_network` builds it for training and `tf_network` for shipping, both from `LAYOUT`.

Weights travel between the two *folded*: batch normalisation multiplied into the convolutions, as a
flat dict with `<convolution>.w` of shape [height, width, in, out] and `<convolution>.b` of shape
[out].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Weights = dict[str, Floats]

STEM = 32
WIDTHS = (48, 96, 192, 384)
BLOCKS = (1, 2, 2, 1)
DIM = WIDTHS[-1]

# Averages are evened out by this root before they are compared; SOFT keeps its slope finite.
ROOT = 0.5
SOFT = 1e-3

# Mean and deviation of Tiny-ImageNet's training pictures, per channel. They stay explicit and are
# not folded into the stem: its zero padding comes after them.
MEAN = (0.480, 0.448, 0.398)
STD = (0.277, 0.269, 0.282)


@dataclass(frozen=True)
class Conv:
    """One convolution, padded with zeros by half its kernel, followed by batch normalisation."""

    name: str
    kernel: int
    inputs: int
    outputs: int
    stride: int = 1


@dataclass(frozen=True)
class Block:
    """Two 3x3 convolutions around a shortcut; `skip` is a 1x1 one, of the 2x2-averaged input."""

    conv1: Conv
    conv2: Conv
    skip: Conv | None


@dataclass(frozen=True)
class Layout:
    """The whole network: a stem, then blocks in order."""

    stem: Conv
    blocks: tuple[Block, ...]

    @property
    def convs(self) -> tuple[Conv, ...]:
        """Every convolution, in order of use."""
        found = [self.stem]
        for block in self.blocks:
            found += [block.conv1, block.conv2] + ([block.skip] if block.skip else [])
        return tuple(found)


def build_layout(
    stem: int = STEM, widths: tuple[int, ...] = WIDTHS, blocks: tuple[int, ...] = BLOCKS
) -> Layout:
    """The layout for a stem width, stage widths and the number of blocks of each stage."""
    if len(widths) != len(blocks):
        raise ValueError(f"{len(widths)} stage widths, but {len(blocks)} stage lengths")
    found, inputs = [], stem
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        for i in range(count):
            name, first = f"s{stage}b{i}", i == 0
            found.append(
                Block(
                    Conv(f"{name}.conv1", 3, inputs, width, 2 if first else 1),
                    Conv(f"{name}.conv2", 3, width, width),
                    Conv(f"{name}.skip", 1, inputs, width) if first else None,
                )
            )
            inputs = width
    return Layout(Conv("stem", 3, 3, stem), tuple(found))


LAYOUT = build_layout()


def parameters(layout: Layout = LAYOUT) -> int:
    """The number of folded parameters."""
    return sum(c.kernel**2 * c.inputs * c.outputs + c.outputs for c in layout.convs)


def multiply_adds(side: int, layout: Layout = LAYOUT) -> int:
    """Multiplications for one picture of side x side."""
    total = side * side * layout.stem.kernel**2 * 3 * layout.stem.outputs
    for block in layout.blocks:
        side = -(-side // block.conv1.stride)
        for conv in (block.conv1, block.conv2, block.skip):
            if conv is not None:
                total += side * side * conv.kernel**2 * conv.inputs * conv.outputs
    return total


def load_weights(path: Path) -> Weights:
    """Folded weights from an .npz file."""
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def save_weights(path: Path, weights: Weights) -> None:
    """Write folded weights as float16."""
    arrays: dict[str, Any] = {name: value.astype(np.float16) for name, value in weights.items()}
    np.savez(path, **arrays)
