"""Random changes to training pictures, drawn from a generator that the caller keys by step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
TO_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far pictures are changed."""

    shift: float = 0.06  # of the view's side
    zoom: float = 0.1  # natural logarithm
    colour: float = 0.3  # brightness, contrast, saturation: at most this share
    hue: float = 0.3  # radians, for half of the pictures
    grey: float = 0.08  # share of pictures without colour
    inverted: float = 0.04  # share of negatives
    lines: float = 0.06  # share drawn as edges, black on white
    sharpen: float = 0.0  # enlarged pictures: at most this multiple of what a 3x3 mean removes


def uniform(n: int, low: float, high: float, gen: torch.Generator) -> Tensor:
    """[n] numbers, evenly distributed."""
    return torch.rand(n, generator=gen) * (high - low) + low


def crop(x: Tensor, boxes: Tensor, side: int, how: Augmentation, gen: torch.Generator) -> Tensor:
    """The views of float [N, 3, H, W] in `boxes` (shares: left, top, right, bottom), half of them
    mirrored, slightly moved and zoomed: [N, 3, side, side]."""
    n = len(x)
    zoom = torch.exp(uniform(n, -how.zoom, how.zoom, gen))
    width, height = (boxes[:, 2] - boxes[:, 0]), (boxes[:, 3] - boxes[:, 1])
    middle_x = boxes[:, 0] + boxes[:, 2] - 1 + 2 * width * uniform(n, -how.shift, how.shift, gen)
    middle_y = boxes[:, 1] + boxes[:, 3] - 1 + 2 * height * uniform(n, -how.shift, how.shift, gen)
    mirror = torch.where(uniform(n, 0, 1, gen) < 0.5, -1.0, 1.0)
    nothing = torch.zeros(n)
    rows = [
        torch.stack([width * zoom * mirror, nothing, middle_x], 1),
        torch.stack([nothing, height * zoom, middle_y], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [n, 3, side, side], align_corners=False)
    return F.grid_sample(x, grid, "bilinear", "reflection", align_corners=False)


def sharpened(x: Tensor, how: Augmentation, gen: torch.Generator) -> Tensor:
    """The pictures, each with its details made stronger by a random amount.

    An enlarged picture is smooth. A network that saw only such ones at that size would take the
    details of a real picture of that size for something new.
    """
    details = x - F.avg_pool2d(F.pad(x, (1,) * 4, "replicate"), 3, 1)
    amount = uniform(len(x), 0, how.sharpen, gen)[:, None, None, None]
    return (x + amount * details).clamp_(0, 1)


def recolour(x: Tensor, how: Augmentation, gen: torch.Generator) -> Tensor:
    """Hue and saturation in YIQ, contrast about the picture's mean, brightness: one linear map."""
    n, j = len(x), how.colour
    saturation = uniform(n, 1 - j, 1 + j, gen)
    saturation = torch.where(uniform(n, 0, 1, gen) < how.grey, 0.0, saturation)
    hue = uniform(n, -how.hue, how.hue, gen) * (uniform(n, 0, 1, gen) < 0.5)
    turn = torch.zeros(n, 3, 3)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = saturation * torch.cos(hue)
    turn[:, 2, 1] = saturation * torch.sin(hue)
    turn[:, 1, 2] = -turn[:, 2, 1]
    yiq = torch.tensor(TO_YIQ)
    change = torch.linalg.inv(yiq) @ turn @ yiq
    contrast, brightness = uniform(n, 1 - j, 1 + j, gen), uniform(n, 1 - j, 1 + j, gen)
    mean = torch.einsum("noc,nc->no", change, x.mean((2, 3)))
    offset = mean * ((1 - contrast) * brightness)[:, None]
    scaled = change * (contrast * brightness)[:, None, None]
    flat = torch.baddbmm(offset[:, :, None], scaled, x.flatten(2))
    return flat.view_as(x).clamp_(0, 1)


def drawn(x: Tensor, gen: torch.Generator) -> Tensor:
    """Edges as dark lines on white; how dark and how fine varies."""
    grey = F.pad(torch.einsum("c,nchw->nhw", torch.tensor(LUMA), x)[:, None], (1,) * 4, "replicate")
    dx = grey[:, :, 1:-1, 2:] - grey[:, :, 1:-1, :-2]
    dy = grey[:, :, 2:, 1:-1] - grey[:, :, :-2, 1:-1]
    size = torch.sqrt(dx.square() + dy.square())
    size = size / (size.amax((2, 3), keepdim=True) + 1e-3)
    floor = uniform(len(x), 0.05, 0.3, gen)[:, None, None, None]
    gain = uniform(len(x), 2, 8, gen)[:, None, None, None]
    return (1 - gain * (size - floor)).clamp(0, 1).expand_as(x)


def augment(x: Tensor, boxes: Tensor, side: int, how: Augmentation, gen: torch.Generator) -> Tensor:
    """uint8 [N, H, W, 3] -> float [N, 3, side, side] in [0, 1], channels last in memory.

    Rows are taken to be in random order: the first ones become drawings, the last ones negatives.
    """
    pictures = crop(x.permute(0, 3, 1, 2).float().div_(255), boxes, side, how, gen)
    if how.sharpen and side > x.shape[1]:
        pictures = sharpened(pictures, how, gen)
    pictures = recolour(pictures, how, gen)
    lines, negatives = math.floor(len(x) * how.lines), math.floor(len(x) * how.inverted)
    if lines:
        pictures[:lines] = drawn(pictures[:lines], gen)
    if negatives:
        pictures[-negatives:] = 1 - pictures[-negatives:]
    return pictures.contiguous(memory_format=torch.channels_last)
