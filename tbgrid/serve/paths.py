"""Where files are stored below the root, and how paths are kept out of responses."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# An absolute path of a file system, but not the path of a URL.
_ABSOLUTE = re.compile(r"(?<![\w:/.)])(?:/[^\s/'\":;,()\[\]]+)+/?|\b[A-Za-z]:\\[^\s'\":;,()\[\]]+")


@dataclass(frozen=True)
class ServicePaths:
    """The files and directories of a service.

    Attributes:
        root: the directory that holds everything: `service`, which belongs to this package, and
            `runs`, which TensorBoard reads.
    """

    root: Path

    @property
    def service(self) -> Path:
        """The directory of the database, the images and the cache."""
        return self.root / "service"

    @property
    def inputs(self) -> Path:
        """The directory of accepted images, named by the SHA-256 of their bytes."""
        return self.service / "inputs"

    @property
    def incoming(self) -> Path:
        """The directory of images that are not accepted yet."""
        return self.service / "incoming"

    @property
    def cache(self) -> Path:
        """The directory of the cache that all jobs share."""
        return self.service / "cache"

    @property
    def shards(self) -> Path:
        """The directory of embedded shards: one below it per application, set of photos and
        options."""
        return self.service / "shards"

    @property
    def runs(self) -> Path:
        """The log directory for TensorBoard, one run per visualization: <application>/<name>."""
        return self.root / "runs"

    def job_lock(self, job: str) -> Path:
        """The lock file that a worker holds while it makes the job of this id."""
        return self.service / f"job-{job}.lock"


def redact_paths(value: Any, root: Path) -> Any:
    """A copy of a JSON value that is safe to send to clients.

    Args:
        value: text, or whatever JSON holds.
        root: the root of the service, which is replaced even where it contains spaces.

    Returns:
        `value` with "(path)" in place of every path of the file system, and with null for numbers
        that JSON cannot represent.
    """
    if isinstance(value, str):
        # The longest first, since one can contain another. The root is replaced in its absolute
        # form only: a root given as "x" would match every x.
        known = {os.path.abspath(root), os.path.realpath(root), str(Path.home())} - {os.sep}
        for path in sorted(known, key=len, reverse=True):
            value = re.sub(re.escape(path) + r"(?!\w|[.-]\w)", "(path)", value)
        return _ABSOLUTE.sub("(path)", value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: redact_paths(item, root) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact_paths(item, root) for item in value]
    return value
