"""Duplicates: photos that are the same file twice, or the same picture in another form.

Near copies are photos that were recompressed, scaled, slightly cropped, brightened or mirrored.
Vectors give the candidates; as a network cannot tell the same picture from a similar one, the
pictures are then compared themselves (`tbgrid.grouping.image_registration`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tbgrid.embedding.image_set import ImageSet
from tbgrid.grouping.image_registration import similarity
from tbgrid.progress import Progress, silent
from tbgrid.types import BoolArray, Float32Array, IntArray, UInt8Array
from tbgrid.util.cache import key_of
from tbgrid.util.disk_arrays import drop_pages, iter_releasing
from tbgrid.vectors.neighbors import Neighbors

EXACT, NEAR, MIRRORED = "exact copy", "near copy", "mirrored copy"
SIDE = 32  # px of the pictures that are compared
# Pairs farther apart than this share of the median distance to the last neighbor are not compared.
CANDIDATE_DISTANCE = 0.6
MIN_THRESHOLD, MAX_THRESHOLD = 0.9, 0.995  # of similarity, depending on the set
TYPICAL_QUANTILE = 0.9  # of the similarities to the last neighbor: what is typical of the set
THRESHOLD_SAMPLE = 256  # photos that it is estimated from
_BATCH = 1000  # pairs of pictures in memory


@dataclass(frozen=True)
class Copies:
    """Groups of photos that show the same picture.

    Attributes:
        representative_of: int64[n], the row of the group's largest photo; its own without a group.
        copy_of: int64[n], the row of the photo of which it is a copy; its own if it is not a copy.
        kinds: of each photo, EXACT, NEAR or MIRRORED; "" if it is not a copy.
        threshold: the similarity from which two pictures counted as the same.
    """

    representative_of: IntArray
    copy_of: IntArray
    kinds: tuple[str, ...]
    threshold: float

    @property
    def sizes(self) -> IntArray:
        """int64[n]: the number of photos in each photo's group, 1 without a group."""
        count = np.bincount(self.representative_of, minlength=len(self.representative_of))
        return np.asarray(count[self.representative_of], np.int64)

    @property
    def representatives(self) -> IntArray:
        """The rows that remain when groups are collapsed, in ascending order."""
        return np.flatnonzero(self.representative_of == np.arange(len(self.representative_of)))

    @property
    def groups(self) -> list[IntArray]:
        """The rows of each group of two or more, representative first, sorted by representative."""
        rows = np.flatnonzero(self.sizes > 1)
        own = self.representative_of[rows] != rows
        order = rows[np.lexsort((rows, own, self.representative_of[rows]))]
        starts = np.flatnonzero(np.diff(self.representative_of[order], prepend=-1))
        return np.split(order, starts[1:]) if len(order) else []


def find_copies(
    images: ImageSet,
    neighbors: Neighbors,
    digests: Callable[[Sequence[Path]], Sequence[bytes]],
    *,
    progress: Progress = silent,
) -> Copies:
    """Find the duplicates among `images`.

    Exact copies have equal bytes; without files, equal pixels in their array or equal thumbnails;
    without pictures, equal vectors. Near copies have a similarity above a threshold that depends
    on the set, since any two handwritten ones look almost alike. Each photo of a group is a copy
    of its representative, so that no chain of small changes joins different pictures.

    Args:
        images: the photos.
        neighbors: the nearest neighbors of each photo by its vector.
        digests: gives a digest of each file's bytes, b"" if it cannot be read.
        progress: is called with "duplicates".
    """
    progress("duplicates", 0, None)
    first = _same_content(images, digests)
    count = len(first)
    kinds = [EXACT if first[row] != row else "" for row in range(count)]
    if not images.pictured:
        return Copies(first, first, tuple(kinds), MAX_THRESHOLD)
    pictures = _Pictures(images.thumbnails)
    threshold = _threshold(pictures, neighbors)
    pairs = _candidates(neighbors, first)
    found = _Comparisons(pictures, threshold)
    found.compare(pairs, progress)
    area = images.sizes.astype(np.int64).prod(axis=1)
    chosen = _choose_representatives(found, area)
    representative, original = chosen[first], np.where(first != np.arange(count), first, chosen)
    drop_pages(images.thumbnails)
    for row in np.flatnonzero(chosen != np.arange(count)).tolist():
        if first[row] == row:
            pair = (min(row, int(chosen[row])), max(row, int(chosen[row])))
            kinds[row] = MIRRORED if pair in found.mirrored else NEAR
    return Copies(representative, original, tuple(kinds), threshold)


def _same_content(
    images: ImageSet, digests: Callable[[Sequence[Path]], Sequence[bytes]]
) -> IntArray:
    """int64[n]: the first row with the same content."""
    seen: npt.NDArray[Any] = images.thumbnails if images.pictured else images.vectors
    alike: dict[bytes, list[int]] = defaultdict(list)
    for row in iter_releasing(seen, range(len(seen))):
        values = seen[row]
        size = images.sizes[row].tolist() if images.pictured else None
        alike[key_of(size, np.ascontiguousarray(values).data)].append(row)
    drop_pages(seen)
    several = [row for rows in alike.values() if len(rows) > 1 for row in rows]
    files = {row: path for row in several if (path := images.photos[row].path)}
    keys = dict(zip(files, digests(list(files.values())), strict=True))
    for row in several:
        pixels = images.photos[row].pixels
        if pixels is not None:
            keys[row] = key_of(pixels.shape, np.ascontiguousarray(pixels).data)
    first = np.arange(len(seen))
    for rows in alike.values():
        known: dict[bytes, int] = {}
        for row in rows if len(rows) > 1 else ():
            first[row] = known.setdefault(keys.get(row, b""), row)
    return first


class _Pictures:
    """Small pictures for comparison, made on demand."""

    def __init__(self, thumbnails: UInt8Array) -> None:
        self._thumbnails = thumbnails

    def similarity(
        self, pairs: IntArray, least: float = -1, mirrored: bool = False
    ) -> Float32Array:
        """float32[m] of int64[m, 2] pairs of rows; symmetric."""
        found = np.empty(len(pairs), np.float32)
        for start in range(0, len(pairs), _BATCH):
            part = pairs[start : start + _BATCH]
            rows, where = np.unique(part, return_inverse=True)
            small = np.stack([self._small(row) for row in rows])
            both = where.reshape(part.shape)
            light = small.sum(axis=(1, 2, 3))[both]
            both = np.where(light[:, :1] > light[:, 1:], both[:, ::-1], both)
            others = np.ascontiguousarray(small[..., ::-1]) if mirrored else small
            found[start : start + len(part)] = similarity(small, others, both, least)
        return found

    def _small(self, row: int) -> Float32Array:
        picture = Image.fromarray(self._thumbnails[row])
        small = picture.resize((SIDE, SIDE), Image.Resampling.BOX)
        return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1), np.float32)


def _threshold(pictures: _Pictures, neighbors: Neighbors) -> float:
    """The similarity from which two pictures of this set are the same.

    Measured on photos and on handwritten digits with planted copies: similar but different photos
    reach a similarity of some 0.4 and never 0.9, digits 0.88 and never 0.985.
    """
    rows = np.arange(0, len(neighbors.rows), -(-len(neighbors.rows) // THRESHOLD_SAMPLE))
    pairs = np.column_stack([rows, neighbors.rows[rows, -1]])
    usual = float(np.quantile(np.clip(pictures.similarity(pairs), 0, 1), TYPICAL_QUANTILE))
    return min(MAX_THRESHOLD, max(MIN_THRESHOLD, 1 - (1 - usual) ** 2))


def _candidates(neighbors: Neighbors, first: IntArray) -> IntArray:
    """int64[m, 2]: pairs of rows that may be copies, the lower row first.

    Photos of equal content are represented by the `first` of them.
    """
    limit = CANDIDATE_DISTANCE * float(np.median(neighbors.distances[:, -1]))
    rows, nth = np.nonzero(neighbors.distances <= limit)
    pairs = np.sort(np.column_stack([first[rows], first[neighbors.rows[rows, nth]]]), axis=1)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


class _Comparisons:
    """The pairs compared so far, and which of them are copies."""

    def __init__(self, pictures: _Pictures, threshold: float) -> None:
        self._pictures, self._threshold = pictures, threshold
        self.copies: dict[int, set[int]] = defaultdict(set)
        self.compared: set[tuple[int, int]] = set()
        self.mirrored: set[tuple[int, int]] = set()

    def compare(self, pairs: IntArray, progress: Progress = silent) -> None:
        """Compare int64[m, 2] pairs, the lower row first; if they differ, also mirrored."""
        for start in range(0, len(pairs), _BATCH):
            progress("duplicates", start, len(pairs))
            part = pairs[start : start + _BATCH]
            same = self._alike(part)
            rest = np.flatnonzero(~same)
            mirrored = part[rest[self._alike(part[rest], mirrored=True)]]
            self.mirrored.update(_tuples(mirrored))
            self.compared.update(_tuples(part))
            for one, other in _tuples(np.concatenate([part[same], mirrored])):
                self.copies[one].add(other)
                self.copies[other].add(one)

    def _alike(self, pairs: IntArray, mirrored: bool = False) -> BoolArray:
        return self._pictures.similarity(pairs, self._threshold, mirrored) >= self._threshold


def _tuples(pairs: IntArray) -> Iterable[tuple[int, int]]:
    return ((one, other) for one, other in pairs.tolist())


def _choose_representatives(found: _Comparisons, area: IntArray) -> IntArray:
    """int64[n]: the representative of each row: the largest picture, then the one with most copies.

    A group grows from its representative to the copies of copies, as long as they are copies of
    the representative too. The remaining photos form groups of their own.
    """
    chosen = np.arange(len(area))
    open_parts = _connected(set(found.copies), found)
    while open_parts:
        growing = [_Star(part, found, area) for part in open_parts]
        open_parts = []
        while growing:
            wanted = sorted({pair for star in growing for pair in star.wanted()})
            found.compare(np.array(wanted, np.int64).reshape(-1, 2))
            still: list[_Star] = []
            for star in growing:
                if star.grow():
                    still.append(star)
                    continue
                chosen[list(star.members)] = star.center
                open_parts += _connected(star.part - star.members, found)
            growing = still
    return chosen


class _Star:
    """A group that grows from its `center` within a connected `part` of the graph of copies."""

    def __init__(self, part: set[int], found: _Comparisons, area: IntArray) -> None:
        self.part, self._found = part, found
        self.center = min(
            part, key=lambda row: (-int(area[row]), -len(found.copies[row] & part), row)
        )
        self.members = {self.center}
        self._tried = {self.center}
        self._edge = {self.center}

    def wanted(self) -> list[tuple[int, int]]:
        """The pairs that must be compared before the next step."""
        pairs = [(min(self.center, row), max(self.center, row)) for row in self._next()]
        return [pair for pair in pairs if pair not in self._found.compared]

    def grow(self) -> bool:
        """Take the next step; False if the group is complete."""
        rows = self._next()
        self._tried |= rows
        self._edge = {row for row in rows if row in self._found.copies[self.center]}
        self.members |= self._edge
        return bool(self._edge)

    def _next(self) -> set[int]:
        near = set().union(*(self._found.copies[row] for row in self._edge))
        return (near & self.part) - self._tried


def _connected(rows: set[int], found: _Comparisons) -> list[set[int]]:
    """The connected components of two or more of `rows`."""
    parts: list[set[int]] = []
    left = set(rows)
    for start in sorted(rows):
        if start not in left:
            continue
        part, edge = {start}, {start}
        while edge:
            edge = (set().union(*(found.copies[row] for row in edge)) & left) - part
            part |= edge
        left -= part
        if len(part) > 1:
            parts.append(part)
    return parts
