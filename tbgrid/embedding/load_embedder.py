"""Names become embedders."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from tbgrid.choices import InputRange
from tbgrid.embedding import registry
from tbgrid.errors import TbgridError, UsageError
from tbgrid.types import Embedder

BUILTIN = Path(__file__).with_name("builtin")
BUILTIN_INPUT = registry.BY_NAME["builtin"].side


def load_embedder(
    model: str = "builtin", image_size: int | None = None, input_range: InputRange = "unit"
) -> Embedder:
    """The embedder that `model` names.

    A short name (`tbgrid models` lists them), a TF-Hub handle or URL, the directory of a
    SavedModel, `kaggle:OWNER/MODEL/FRAMEWORK/VARIATION` or a URL of Kaggle Models, or
    `keras:NAME` for a network of Keras Applications. `image_size` is the side in pixels of the
    input; a model that fixes its own refuses another. `input_range`: what numbers it is given.

    Raises:
        UsageError: the name means nothing, or the model cannot take `image_size`.
        TbgridError: the model cannot be fetched or loaded, or does not embed images.
    """
    if image_size is not None and image_size < 1:
        raise UsageError(f"image size {image_size}", "give a number of pixels from 1 up")
    own_range = model in ("builtin", "pixels") or model.startswith(registry.KERAS)
    if own_range and input_range != "unit":
        raise UsageError(
            f"model {model} is always given what it was trained with", "leave out --input-range"
        )
    if model == "pixels":
        from tbgrid.embedding.pixels import PixelEmbedder

        return PixelEmbedder(image_size or registry.BY_NAME[model].side)
    if model.startswith(registry.KERAS):
        from tbgrid.embedding.keras import KerasEmbedder

        return KerasEmbedder.load(model.removeprefix(registry.KERAS), image_size)
    from tbgrid.embedding.hub import HubEmbedder

    if model == "builtin":
        return HubEmbedder.load(str(BUILTIN), image_size or BUILTIN_INPUT, model_id="builtin")
    kaggle = registry.kaggle_handle(model)
    if kaggle is not None:
        path = _download_from_kaggle(kaggle)
        return HubEmbedder.load(path, image_size, f"{registry.KAGGLE}{kaggle}", input_range)
    known = registry.BY_NAME.get(model)
    if known is not None:
        return HubEmbedder.load(known.handle, image_size or known.side, model, input_range)
    return HubEmbedder.load(model, image_size, input_range=input_range)


def _download_from_kaggle(handle: str) -> str:
    try:
        import kagglehub
    except ImportError as error:
        raise TbgridError(
            f"{handle} is a model of Kaggle, which needs kagglehub",
            "pip install 'tbgrid[kaggle]', or download the model and give its directory",
        ) from error
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            return str(kagglehub.model_download(handle))
    except Exception as error:  # of requests, of kagglehub itself, of the file system
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise TbgridError(
            f"cannot download {handle} from Kaggle ({text})",
            registry.ways_out(f"{registry.KAGGLE}{handle}"),
        ) from error
