"""Limits on what the service accepts."""

from __future__ import annotations

from dataclasses import dataclass, fields

from tbgrid.errors import UsageError, option

MAX_PIXELS = 178_000_000  # Pillow itself rejects more
MAX_IMAGES_PER_REQUEST = 128
MIN_FREE_DISK = 200_000_000  # bytes kept free, so that accepted jobs can finish
MAX_IN_FLIGHT = 2_000_000_000  # bytes of request bodies held at a time, of all clients together
_UNITS = {"GB": 10**9, "MB": 10**6, "kB": 10**3}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one service.

    Attributes:
        upload: bytes of a request body.
        seconds: time in which a request body must arrive.
        pixels: pixels of an image.
        inputs: inputs of an application.
        queue: visualizations that are pending or running.
        disk: bytes of all images and runs together.

    Raises:
        UsageError: if a limit is below 1, or `pixels` above what Pillow decodes.
    """

    upload: int = 64_000_000
    seconds: int = 600
    pixels: int = 80_000_000
    inputs: int = 100_000
    queue: int = 100
    disk: int = 50_000_000_000

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise UsageError(
                    f"{option(f'max_{field.name}')} {getattr(self, field.name)}",
                    "expected at least 1",
                )
        if self.pixels > MAX_PIXELS:
            raise UsageError(
                f"{option('max_pixels')} {self.pixels}",
                f"Pillow decodes at most {MAX_PIXELS} pixels",
            )


def format_bytes(count: int) -> str:
    """A number of bytes in a unit of at most its size, such as "64 MB"."""
    for unit, size in _UNITS.items():
        if count >= size:
            return f"{count / size:.10g} {unit}"
    return f"{count} bytes"
