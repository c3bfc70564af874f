"""The short names of models, and where each comes from."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tbgrid.errors import UsageError

KAGGLE_URL = re.compile(r"https?://(?:www\.)?kaggle\.com/models/([^?#]+)")
KERAS, KAGGLE = "keras:", "kaggle:"


@dataclass(frozen=True)
class Known:
    """A model with a short name. `side`: of its input in pixels; `dimensions` of its vectors.

    `handle` is a TF-Hub URL, or "" for a model that ships with tbgrid; `kaggle` and `keras` name
    the same network in Kaggle Models and in Keras Applications.
    """

    name: str
    side: int
    dimensions: int
    about: str
    handle: str = ""
    kaggle: str = ""
    keras: str = ""


_TFHUB = "https://tfhub.dev/google/imagenet/"
KNOWN = (
    Known("builtin", 64, 776, "small network that ships with tbgrid"),
    Known("pixels", 32, 3072, "the raw pixels, 32 x 32"),
    Known(
        "mobilenet-v2",
        224,
        1280,
        "MobileNetV2 1.0, ImageNet",
        _TFHUB + "mobilenet_v2_100_224/feature_vector/5",
        "google/mobilenet-v2/tensorFlow2/100-224-feature-vector",
        "MobileNetV2",
    ),
    Known(
        "mobilenet-v2-035",
        224,
        1280,
        "MobileNetV2 0.35, ImageNet",
        _TFHUB + "mobilenet_v2_035_224/feature_vector/5",
        "google/mobilenet-v2/tensorFlow2/035-224-feature-vector",
    ),
    Known(
        "efficientnet-v2-b0",
        224,
        1280,
        "EfficientNetV2 B0, ImageNet",
        _TFHUB + "efficientnet_v2_imagenet1k_b0/feature_vector/2",
        "google/efficientnet-v2/tensorFlow2/imagenet1k-b0-feature-vector",
        "EfficientNetV2B0",
    ),
    Known(
        "inception-v3",
        299,
        2048,
        "Inception V3, ImageNet",
        _TFHUB + "inception_v3/feature_vector/5",
        "google/inception-v3/tensorFlow2/feature-vector",
        "InceptionV3",
    ),
    Known(
        "resnet-v2-50",
        224,
        2048,
        "ResNet V2 50, ImageNet",
        _TFHUB + "resnet_v2_50/feature_vector/5",
        "google/resnet-v2/tensorFlow2/50-feature-vector",
        "ResNet50V2",
    ),
)
BY_NAME = {known.name: known for known in KNOWN}


def kaggle_handle(model: str) -> str | None:
    """`owner/model/framework/variation`, and the version if there is one, of a Kaggle handle or
    URL; None if it is neither.

    Raises:
        UsageError: it is one, with parts missing.
    """
    url = KAGGLE_URL.match(model.removeprefix(KAGGLE))
    if url is None and not model.startswith(KAGGLE):
        return None
    parts = (url.group(1) if url else model.removeprefix(KAGGLE)).strip("/").split("/")
    if url:
        parts = [part for part in parts if part not in ("frameworks", "variations", "versions")]
    if len(parts) not in (4, 5) or not all(parts) or not "".join(parts[4:] or "1").isdecimal():
        raise UsageError(
            f"{model} names no model of Kaggle",
            f"expected {KAGGLE}OWNER/MODEL/FRAMEWORK/VARIATION, such as {KAGGLE}{KNOWN[2].kaggle}",
        )
    return "/".join(parts)


def ways_out(model: str) -> str:
    """What to do when `model`, in whatever form it was given, cannot be downloaded."""
    known = next(
        (
            k
            for k in KNOWN
            if k.handle and model in (k.name, k.handle, f"{KERAS}{k.keras}", f"{KAGGLE}{k.kaggle}")
        ),
        None,
    )
    ways = ["--model builtin", "a path to a SavedModel"]
    if known and known.keras and not model.startswith(KERAS):
        ways.append(f"--model {KERAS}{known.keras}")
    if known and not model.startswith(KAGGLE):
        ways.append(f"--model {KAGGLE}{known.kaggle}")
    if not model.startswith(KAGGLE):
        cache = "KERAS_HOME" if model.startswith(KERAS) else "TFHUB_CACHE_DIR"
        ways.append(f"{cache} with the model already downloaded")
    return f"use {', '.join(ways[:-1])} or {ways[-1]}"


def hub_directory(handle: str) -> Path:
    """Where TF-Hub keeps a downloaded model (tensorflow_hub/compressed_module_resolver.py)."""
    cache = os.environ.get("TFHUB_CACHE_DIR") or Path(tempfile.gettempdir(), "tfhub_modules")
    return Path(cache, hashlib.sha1(handle.encode(), usedforsecurity=False).hexdigest())


def offline(known: Known) -> bool:
    """Whether the model is there without a network."""
    return not known.handle or hub_directory(known.handle).is_dir()
