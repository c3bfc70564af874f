"""How much the service takes in."""

from __future__ import annotations

from dataclasses import dataclass, fields

from tbgrid.errors import UsageError

MOST_PIXELS = 178_000_000  # Pillow itself refuses more
AT_ONCE = 128  # pictures in one request
RESERVE = 200_000_000  # bytes of the disk that stay free, so that what was accepted can be finished
# Bytes of requests that are in memory or in temporary files at one time, of all clients together.
IN_FLIGHT = 2_000_000_000


@dataclass(frozen=True)
class Limits:
    """`upload`: bytes of a request; `seconds`: until its body is there. `pixels`: of a picture.
    `inputs`: of an application. `queue`: visualizations that wait or run. `disk`: bytes of all
    pictures and runs."""

    upload: int = 64_000_000
    seconds: int = 600
    pixels: int = 80_000_000
    inputs: int = 100_000
    queue: int = 100
    disk: int = 50_000_000_000

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise UsageError(f"limit {field.name} {getattr(self, field.name)}", "give more")
        if self.pixels > MOST_PIXELS:
            raise UsageError(
                f"limit pixels {self.pixels}", f"{MOST_PIXELS} is the most that Pillow decodes"
            )
