"""How many examples Hypothesis tries."""

from __future__ import annotations

from hypothesis import settings

QUICK = 4  # times fewer where what is slow does not run


def examples(count: int) -> settings:
    """Settings of a test: `count` examples with --slow, a quarter of them without."""
    slow = settings().max_examples >= 200  # those of the profile "ci" in conftest.py
    return settings(deadline=None, max_examples=count if slow else max(1, count // QUICK))
