"""Where things lie below the root, and how nothing of that gets into an answer."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A path from the root of a file system, but not the path of a URL.
_ABSOLUTE = re.compile(r"(?<![\w:/.)])(?:/[^\s/'\":;,()\[\]]+)+/?|\b[A-Za-z]:\\[^\s'\":;,()\[\]]+")


@dataclass(frozen=True)
class Places:
    """The root's directories: `service` is this package's own, `runs` is for TensorBoard."""

    root: Path

    @property
    def service(self) -> Path:
        """Database, pictures and cache."""
        return self.root / "service"

    @property
    def inputs(self) -> Path:
        """Pictures, named by the SHA-256 of their bytes."""
        return self.service / "inputs"

    @property
    def arriving(self) -> Path:
        """Pictures that are not accepted yet."""
        return self.service / "arriving"

    @property
    def cache(self) -> Path:
        """What jobs keep for others."""
        return self.service / "cache"

    @property
    def shards(self) -> Path:
        """What a runner embeds, a directory for each set of photos and options."""
        return self.service / "shards"

    def lock_of(self, job: str) -> Path:
        """Held by the worker that makes a job."""
        return self.service / f"job-{job}.lock"

    @property
    def runs(self) -> Path:
        """One directory a visualization, <application>/<name>."""
        return self.root / "runs"


def public(told: Any, root: Path) -> Any:
    """Text, or whatever JSON holds, without paths of the disk, of which `root` is one, and
    without numbers that JSON has no word for."""
    if isinstance(told, str):
        # Whole, for they may have spaces, and the longest first, for one may lie in another. Never
        # as they were given: a root that is called "x" would take every x for itself.
        found = {os.path.abspath(root), os.path.realpath(root), str(Path.home())} - {os.sep}
        for known in sorted(found, key=len, reverse=True):
            told = re.sub(re.escape(known) + r"(?!\w|[.-]\w)", "(path)", told)
        return _ABSOLUTE.sub("(path)", told)
    if isinstance(told, float):
        return told if math.isfinite(told) else None
    if isinstance(told, dict):
        return {key: public(value, root) for key, value in told.items()}
    if isinstance(told, (list, tuple)):
        return [public(value, root) for value in told]
    return told
