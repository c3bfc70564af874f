"""How many threads the numerical libraries use."""

from __future__ import annotations

import contextlib

from threadpoolctl import threadpool_limits

# Points from which several threads pay: with fewer, on a busy machine, they wait for each other.
THREADS_FROM = 4000


def limit_threads(photos: int) -> contextlib.AbstractContextManager[object]:
    """Use one thread within the block if there are fewer than `THREADS_FROM` photos."""
    return threadpool_limits(1) if photos < THREADS_FROM else contextlib.nullcontext()
