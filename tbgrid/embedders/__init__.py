"""Names become embedders."""

from __future__ import annotations

from pathlib import Path

from tbgrid.errors import UsageError
from tbgrid.types import Embedder

BUILTIN = Path(__file__).with_name("builtin")
BUILTIN_INPUT = 64  # the side at which the network's neighbours are best
BUILTIN_STEP = 16  # its layers halve the picture four times


def load_embedder(model: str = "builtin", image_size: int | None = None) -> Embedder:
    """The embedder that `model` names: `builtin`, `pixels`, or a TF-Hub handle, URL or path.

    `image_size` is the side in pixels of the input; a model that fixes its own refuses another.

    Raises:
        UsageError: the name means nothing, or the model cannot take `image_size`.
        TbgridError: the model cannot be fetched or loaded, or does not embed images.
    """
    if image_size is not None and image_size < 1:
        raise UsageError(f"image size {image_size}", "give a number of pixels from 1 up")
    if model == "pixels":
        from tbgrid.embedders.pixels import PixelEmbedder

        return PixelEmbedder(image_size or 32)
    from tbgrid.embedders.hub import HubEmbedder

    if model == "builtin":
        side = image_size or BUILTIN_INPUT
        if side % BUILTIN_STEP:
            near = max(1, round(side / BUILTIN_STEP)) * BUILTIN_STEP
            raise UsageError(
                f"model builtin takes sides that are multiples of {BUILTIN_STEP} px, not {side}",
                f"use --image-size {near}",
            )
        return HubEmbedder.load(str(BUILTIN), side, model_id="builtin")
    return HubEmbedder.load(model, image_size)
