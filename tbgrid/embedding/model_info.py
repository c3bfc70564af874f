"""The facts of a model, and the base class of embedders that wrap another one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any

from tbgrid.choices import Metric
from tbgrid.types import Embedder, Float32Array


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """The facts of an embedder (`tbgrid.types.Embedder`), which are known before it is loaded.

    Attributes:
        model_id: the name of the model in reports.
        input_size: height and width of its input in pixels; (0, 0) for precomputed vectors.
        metric: the distance under which its vectors are compared.
        fingerprint: text that changes whenever the vectors would; "" if they cannot be cached.
        notes: what the user should know about how the model is used.
    """

    model_id: str
    input_size: tuple[int, int]
    metric: Metric
    fingerprint: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, embedder: Embedder) -> ModelInfo:
        """Return the facts of `embedder` as they are now: its notes may grow while it runs."""
        height, width = embedder.input_size
        return cls(
            model_id=embedder.model_id,
            input_size=(height, width),
            metric=embedder.metric,
            fingerprint=getattr(embedder, "fingerprint", ""),
            notes=tuple(embedder.notes),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the facts for JSON; `from_dict` reads them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelInfo:
        """Read the facts back from JSON, which has lists for tuples."""
        height, width = values["input_size"]
        return cls(**{**values, "input_size": (height, width), "notes": tuple(values["notes"])})


class EmbedderWrapper(ABC):
    """Base class of embedders that have the facts of another one, which need not be loaded."""

    def __init__(self, described_by: Embedder | ModelInfo) -> None:
        self._described_by = described_by

    @property
    def model_id(self) -> str:
        """The name of the model in reports."""
        return self._described_by.model_id

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of its input in pixels."""
        return self._described_by.input_size

    @property
    def metric(self) -> Metric:
        """The metric by which its vectors are compared."""
        return self._described_by.metric

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever the vectors would; "" if they cannot be cached."""
        return str(getattr(self._described_by, "fingerprint", ""))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about how the model is used."""
        return tuple(self._described_by.notes)

    @abstractmethod
    def __call__(self, images: Float32Array) -> Float32Array:
        """Embed float32[b, h, w, 3] in [0, 1] as float32[b, d]."""
