"""How many threads the numerical libraries use."""

from __future__ import annotations

import contextlib

from threadpoolctl import threadpool_limits

THREADS_FROM = (
    4000  # points from which several threads pay: on a busy machine they wait for each other
)


def limit_threads(photos: int) -> contextlib.AbstractContextManager[object]:
    """A context in which so few `photos` that threads would mostly wait are computed on one."""
    return threadpool_limits(1) if photos < THREADS_FROM else contextlib.nullcontext()
