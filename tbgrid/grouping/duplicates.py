"""Which photos are copies of others: the same file again, or the same picture in another form.

Near copies are photos recompressed, scaled, slightly cropped, brightened or mirrored. Vectors find
the candidates, since a network cannot tell the same picture from one of the same kind; pictures
decide (`tbgrid.grouping.image_registration`).
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

from tbgrid.embedding.embed import ImageSet
from tbgrid.grouping.image_registration import likeness
from tbgrid.progress import Progress, silent
from tbgrid.types import BoolArray, Float32Array, IntArray, UInt8Array
from tbgrid.util.cache import key_of
from tbgrid.util.disk_arrays import drop_pages, iter_releasing
from tbgrid.vectors.neighbors import Neighbors

EXACT, NEAR, MIRRORED = "exact copy", "near copy", "mirrored copy"
SIDE = 32  # px of the pictures that are compared
CLOSE = 0.6  # of the median distance to the farthest neighbour: farther ones are not compared
LEAST, MOST = 0.9, 0.995  # likeness from which pictures are the same, by what is usual in the set
USUAL = 0.9  # the quantile of likeness to the farthest neighbour that counts as usual
SAMPLE = 256  # photos that tell it
_AT_ONCE = 1000  # pairs of pictures in memory


@dataclass(frozen=True)
class Copies:
    """Groups of photos that show the same. Row by row: int64[n] `representative`, the largest
    photo of the group, itself where there is no other; `original` int64[n], the photo that it is
    called a copy of, itself if of none; `kinds`, which says so ("" if of none).

    `threshold`: the likeness from which pictures counted as the same.
    """

    representative: IntArray
    original: IntArray
    kinds: tuple[str, ...]
    threshold: float

    @property
    def sizes(self) -> IntArray:
        """int64[n]: how many photos each one's group has, 1 where it is alone."""
        count = np.bincount(self.representative, minlength=len(self.representative))
        return np.asarray(count[self.representative], np.int64)

    @property
    def kept(self) -> IntArray:
        """The rows that stand for all: representatives and photos without copies."""
        return np.flatnonzero(self.representative == np.arange(len(self.representative)))

    @property
    def groups(self) -> list[IntArray]:
        """The rows of each group of two or more, its representative first, in order of these."""
        rows = np.flatnonzero(self.sizes > 1)
        own = self.representative[rows] != rows
        order = rows[np.lexsort((rows, own, self.representative[rows]))]
        starts = np.flatnonzero(np.diff(self.representative[order], prepend=-1))
        return np.split(order, starts[1:]) if len(order) else []


def find_copies(
    images: ImageSet,
    alike: Neighbors,
    digests: Callable[[Sequence[Path]], Sequence[bytes]],
    *,
    progress: Progress = silent,
) -> Copies:
    """The copies among `images`. `alike`: of each photo the nearest by its vector; `digests`: what
    files are known by, b"" where one cannot be read.

    Exact copies have equal bytes; where there are no files, equal pictures in the arrays they came
    in, or as far as they were kept; without pictures, equal vectors. Near copies are likely to be
    `threshold` alike. That depends on the set: of two handwritten ones each is almost a copy of
    the other. Each photo of a group is a copy of its representative, so that no chain of small
    steps makes one group of different pictures.
    """
    progress("duplicates", 0, None)
    first = _same_content(images, digests)
    count = len(first)
    kinds = [EXACT if first[row] != row else "" for row in range(count)]
    if not images.pictured:
        return Copies(first, first, tuple(kinds), MOST)
    pictures = _Pictures(images.thumbnails)
    threshold = _threshold(pictures, alike)
    pairs = _candidates(alike, first)
    found = _Found(pictures, threshold)
    found.compare(pairs, progress)
    area = images.sizes.astype(np.int64).prod(axis=1)
    chosen = _stars(found, area)
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
    """int64[n]: the first row of the same content."""
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
    """Small pictures to compare, made as they are asked for."""

    def __init__(self, thumbnails: UInt8Array) -> None:
        self._thumbnails = thumbnails

    def likeness(self, pairs: IntArray, least: float = -1, mirrored: bool = False) -> Float32Array:
        """float32[m] of int64[m, 2] pairs of rows; the same whichever of a pair comes first."""
        found = np.empty(len(pairs), np.float32)
        for start in range(0, len(pairs), _AT_ONCE):
            part = pairs[start : start + _AT_ONCE]
            rows, where = np.unique(part, return_inverse=True)
            small = np.stack([self._small(row) for row in rows])
            both = where.reshape(part.shape)
            light = small.sum(axis=(1, 2, 3))[both]
            both = np.where(light[:, :1] > light[:, 1:], both[:, ::-1], both)
            others = np.ascontiguousarray(small[..., ::-1]) if mirrored else small
            found[start : start + len(part)] = likeness(small, others, both, least)
        return found

    def _small(self, row: int) -> Float32Array:
        picture = Image.fromarray(self._thumbnails[row])
        small = picture.resize((SIDE, SIDE), Image.Resampling.BOX)
        return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1), np.float32)


def _threshold(pictures: _Pictures, alike: Neighbors) -> float:
    """From what likeness on two of these pictures are the same.

    Measured on photos and on handwritten digits with copies planted among them: different photos
    of a kind are some 0.4 alike where they are most, and none 0.9; digits 0.88, and none 0.985.
    """
    rows = np.arange(0, len(alike.rows), -(-len(alike.rows) // SAMPLE))
    pairs = np.column_stack([rows, alike.rows[rows, -1]])
    usual = float(np.quantile(np.clip(pictures.likeness(pairs), 0, 1), USUAL))
    return min(MOST, max(LEAST, 1 - (1 - usual) ** 2))


def _candidates(alike: Neighbors, first: IntArray) -> IntArray:
    """int64[m, 2]: pairs of rows that may be copies, the lower first; of equal content only the
    `first`."""
    limit = CLOSE * float(np.median(alike.distances[:, -1]))
    rows, nth = np.nonzero(alike.distances <= limit)
    pairs = np.sort(np.column_stack([first[rows], first[alike.rows[rows, nth]]]), axis=1)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


class _Found:
    """Which pairs have been compared, and which are copies."""

    def __init__(self, pictures: _Pictures, threshold: float) -> None:
        self._pictures, self._threshold = pictures, threshold
        self.copies: dict[int, set[int]] = defaultdict(set)
        self.compared: set[tuple[int, int]] = set()
        self.mirrored: set[tuple[int, int]] = set()

    def compare(self, pairs: IntArray, progress: Progress = silent) -> None:
        """Compare int64[m, 2] pairs, the lower row first; mirrored where they are not alike."""
        for start in range(0, len(pairs), _AT_ONCE):
            progress("duplicates", start, len(pairs))
            part = pairs[start : start + _AT_ONCE]
            same = self._alike(part)
            rest = np.flatnonzero(~same)
            turned = self._alike(part[rest], mirrored=True)
            mirrored = part[rest[turned]]
            self.mirrored.update(_tuples(mirrored))
            self.compared.update(_tuples(part))
            for one, other in _tuples(np.concatenate([part[same], mirrored])):
                self.copies[one].add(other)
                self.copies[other].add(one)

    def _alike(self, pairs: IntArray, mirrored: bool = False) -> BoolArray:
        return self._pictures.likeness(pairs, self._threshold, mirrored) >= self._threshold


def _tuples(pairs: IntArray) -> Iterable[tuple[int, int]]:
    return ((one, other) for one, other in pairs.tolist())


def _stars(found: _Found, area: IntArray) -> IntArray:
    """int64[n]: the representative of each row: the largest picture, of equally large ones that
    with most copies, of these the first.

    From it a group grows to the copies of its copies, as far as these are copies of itself. What
    is left over makes groups of its own.
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
                if star.grown():
                    still.append(star)
                    continue
                chosen[list(star.members)] = star.centre
                open_parts += _connected(star.part - star.members, found)
            growing = still
    return chosen


class _Star:
    """A group that grows from its `centre` within a connected `part` of the copies."""

    def __init__(self, part: set[int], found: _Found, area: IntArray) -> None:
        self.part, self._found = part, found
        self.centre = min(
            part, key=lambda row: (-int(area[row]), -len(found.copies[row] & part), row)
        )
        self.members = {self.centre}
        self._tried = {self.centre}
        self._edge = {self.centre}

    def wanted(self) -> list[tuple[int, int]]:
        """Pairs that must be compared before the next step."""
        pairs = [(min(self.centre, row), max(self.centre, row)) for row in self._next()]
        return [pair for pair in pairs if pair not in self._found.compared]

    def grown(self) -> bool:
        """Take the next step, and say whether there was any."""
        rows = self._next()
        self._tried |= rows
        self._edge = {row for row in rows if row in self._found.copies[self.centre]}
        self.members |= self._edge
        return bool(self._edge)

    def _next(self) -> set[int]:
        near = set().union(*(self._found.copies[row] for row in self._edge))
        return (near & self.part) - self._tried


def _connected(rows: set[int], found: _Found) -> list[set[int]]:
    """The connected parts of two or more of `rows`."""
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
