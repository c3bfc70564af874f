"""Loads the embedder that a name stands for."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from tbgrid.choices import InputRange
from tbgrid.embedding import registry
from tbgrid.errors import TbgridError, UsageError, option
from tbgrid.types import Embedder

BUILTIN = Path(__file__).with_name("builtin")
BUILTIN_INPUT = registry.BY_NAME["builtin"].side


def load_embedder(
    model: str = "builtin", image_size: int | None = None, input_range: InputRange = "unit"
) -> Embedder:
    """Load a model by its name.

    Args:
        model: a short name (`tbgrid models` lists them), a TF-Hub handle or URL, the directory of a
            SavedModel, "kaggle:OWNER/MODEL/FRAMEWORK/VARIATION" or a URL of Kaggle Models, or
            "keras:NAME" for a network of Keras Applications.
        image_size: side of the input in pixels; None for the model's own. A model with a fixed
            size refuses another one.
        input_range: the range of pixel values that the model expects: "unit" is [0, 1], "signed"
            [-1, 1], "bytes" [0, 255].

    Returns:
        An embedder (`tbgrid.Embedder`).

    Raises:
        UsageError: there is no such model, or it cannot take `image_size` or `input_range`.
        TbgridError: the model cannot be downloaded or loaded, or does not embed images.
    """
    if image_size is not None and image_size < 1:
        raise UsageError(
            f"{option('image_size')} {image_size}", "use a number of pixels of at least 1"
        )
    own_range = model in ("builtin", "pixels") or model.startswith(registry.KERAS)
    if own_range and input_range != "unit":
        raise UsageError(
            f"model {model} always gets the input range that it was trained with",
            f"leave out {option('input_range')}",
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
    named = registry.BY_NAME.get(model)
    if named is not None:
        return HubEmbedder.load(named.handle, image_size or named.side, model, input_range)
    return HubEmbedder.load(model, image_size, input_range=input_range)


def _download_from_kaggle(handle: str) -> str:
    try:
        import kagglehub
    except ImportError as error:
        raise TbgridError(
            f"the Kaggle model {handle} needs kagglehub",
            "pip install 'tbgrid[kaggle]', or download the model and use its directory",
        ) from error
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            return str(kagglehub.model_download(handle))
    except Exception as error:  # of requests, of kagglehub itself, of the file system
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise TbgridError(
            f"cannot download {handle} from Kaggle ({text})",
            registry.download_hint(f"{registry.KAGGLE}{handle}"),
        ) from error
