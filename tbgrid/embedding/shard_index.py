"""The index of a directory of embedded photos: the model, the options and the list of photos.

Two files next to the shards (`tbgrid.embedding.shards`), which are written before the first shard:
the index, and the list of photos, whose digest is in the index.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import PIL

from tbgrid.embedding.embed import DECODE_VERSION
from tbgrid.embedding.model_info import ModelInfo
from tbgrid.errors import TbgridError, UsageError, option
from tbgrid.photos import Photo, SkippedFile, Source
from tbgrid.run_format import printable

INDEX, PHOTOS = "tbgrid-shards.json", "tbgrid-photos.json"
FORMAT = 2  # raise it when a change would mislead older readers
MAKING = ".making-"  # prefix of directories with unfinished files
DECODER_ID = f"Pillow {PIL.__version__}, decoding {DECODE_VERSION}"
_OTHER_DIRECTORY = f"use another {option('out')}, or remove that directory"


@dataclass(frozen=True, kw_only=True)
class ShardIndex:
    """What all shards of a directory have in common.

    Attributes:
        photos: the number of photos that were listed.
        shard: the number of photos per shard; the last one may have fewer.
        options: how they were embedded, by the names of `tbgrid.ExportOptions`.
        model: the facts of the model.
        listing: SHA-256 of the list of photos, in hexadecimal digits.
        decoding: the version of the decoder, which also decides about pixels.
    """

    photos: int
    shard: int
    options: dict[str, Any]
    model: ModelInfo
    listing: str
    decoding: str = DECODER_ID

    @property
    def count(self) -> int:
        """The number of shards."""
        return -(-self.photos // self.shard)

    def rows(self, number: int) -> range:
        """Return the rows, among all that were listed, of shard `number`."""
        return range(number * self.shard, min(self.photos, (number + 1) * self.shard))

    def refuse(self, given: Mapping[str, Any]) -> None:
        """Refuse options that differ from those that the photos were embedded with.

        Args:
            given: values by their names. A `preview` of 0, which drops previews, always fits.

        Raises:
            UsageError: one of them differs.
        """
        for name, value in given.items():
            old = self.options[name]
            if value != old and not (name == "preview" and value == 0):
                raise UsageError(
                    f"{option(name)} {value}: the photos were embedded with {old}",
                    "leave it out, or embed them again",
                )

    def to_json(self) -> str:
        """Return the text of the file."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"

    @property
    def token(self) -> str:
        """16 hexadecimal digits that tie a shard to its index."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]


def is_embedded(path: Path) -> bool:
    """Whether `path` is a directory of embedded photos, complete or not."""
    try:
        return (path / INDEX).is_file()
    except (OSError, ValueError):  # no permission, a NUL in the name
        return False


def begin_index(
    folder: Path,
    source: Source,
    model: ModelInfo,
    options: Mapping[str, Any],
    shard: int,
) -> ShardIndex:
    """Write the index of a new directory, or return that of one that was begun before.

    Args:
        folder: the directory.
        source: the photos to embed.
        model: the facts of the model.
        options: how they are embedded, by the names of `tbgrid.ExportOptions`.
        shard: the number of photos per shard.

    Raises:
        UsageError: it was begun with other options or another model.
        TbgridError: it was begun with other photos, or has other files.
    """
    listing = _listing(source)
    digest = hashlib.sha256(listing.encode()).hexdigest()
    index = ShardIndex(
        photos=len(source.photos), shard=shard, options=dict(options), model=model, listing=digest
    )
    if is_embedded(folder):
        begun = read_index(folder)
        _refuse_others(folder, begun, index, source)
        return begun
    foreign = [p.name for p in folder.iterdir() if p.name != PHOTOS and p.name[:1] != "."]
    if foreign:
        raise TbgridError(
            f"{printable(folder)} has other files, such as {printable(min(foreign))}",
            f"use a new directory for {option('out')}",
        )
    _write(folder / PHOTOS, listing)
    _write(folder / INDEX, index.to_json())
    return index


def _write(path: Path, text: str) -> None:
    with tempfile.TemporaryDirectory(prefix=MAKING, dir=path.parent) as scratch:
        written = Path(scratch, path.name)
        written.write_text(text, "utf-8", newline="\n")
        written.replace(path)


def _refuse_others(folder: Path, old: ShardIndex, new: ShardIndex, source: Source) -> None:
    """Raise if `folder` was begun with other options, another model or other photos."""
    name = printable(folder)
    before = {**old.options, "shard": old.shard, "decoded by": old.decoding}
    for key, value in {**new.options, "shard": new.shard, "decoded by": new.decoding}.items():
        if before.get(key) != value:
            raise UsageError(
                f"{name} was begun with {_spelled(key)} {before.get(key)}, not {value}",
                f"use {before.get(key)} again, or {_OTHER_DIRECTORY}",
            )
    if old.model != new.model:
        raise UsageError(
            f"{name} was begun with another version of model {new.model.model_id}",
            _OTHER_DIRECTORY,
        )
    changed = _difference(read_listing(folder, old), source)
    if changed:
        raise TbgridError(
            f"{name} was begun with other photos ({changed})",
            f"embed those again, or {_OTHER_DIRECTORY}",
        )


def _spelled(name: str) -> str:
    """The name of an option for an error; other facts have names of several words."""
    return name if " " in name else option(name)


def _difference(before: Source, now: Source) -> str:
    """A few words on what changed between two lists of photos; "" if nothing did."""
    old, new = ({photo.name: photo for photo in each.photos} for each in (before, now))
    gone, added = [n for n in old if n not in new], [n for n in new if n not in old]
    changes = [
        f"{len(names)} {what}, such as {names[0]}"
        for names, what in ((gone, "are gone"), (added, "are new"))
        if names
    ]
    if changes:
        return "; ".join(changes)
    if before.columns != now.columns:
        return "they have other columns"
    other = [
        name
        for name, photo in new.items()
        if (photo.label, photo.fields) != (old[name].label, old[name].fields)
    ]
    if other:
        return f"{len(other)} have other labels or columns, such as {other[0]}"
    return "" if list(old) == list(new) else "in another order"


def _listing(source: Source) -> str:
    """The photos as JSON, without the paths of their files."""
    return json.dumps(
        {
            "name": source.name,
            "columns": source.columns,
            "notes": source.notes,
            "skipped": [[file.name, file.reason] for file in source.skipped],
            "photos": [[photo.name, photo.label, photo.fields] for photo in source.photos],
        },
        indent=0,
    )


def read_listing(folder: Path, index: ShardIndex) -> Source:
    """Read the photos that were listed; they have no paths.

    Raises:
        TbgridError: the list is missing, damaged or not that of the index.
    """
    try:
        text = (folder / PHOTOS).read_bytes()
        if hashlib.sha256(text).hexdigest() != index.listing:
            raise ValueError("not the list of the index")
        listing = json.loads(text)
        photos = [
            Photo(path=None, name=name, label=label, fields=tuple(fields), row=row)
            for row, (name, label, fields) in enumerate(listing["photos"])
        ]
        return Source(
            name=listing["name"],
            photos=tuple(photos),
            skipped=tuple(SkippedFile(name, reason) for name, reason in listing["skipped"]),
            listed=len(photos),
            columns=tuple(listing["columns"]),
            notes=tuple(listing["notes"]),
            shards=folder,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TbgridError(
            f"{printable(folder / PHOTOS)} is missing or damaged", "embed the photos again"
        ) from error


def read_index(folder: Path) -> ShardIndex:
    """Read the index of a directory of embedded photos.

    Raises:
        TbgridError: it is missing or damaged, or has the format of another release.
    """
    path = folder / INDEX
    try:
        values = json.loads(path.read_text("utf-8"))
        version = values.pop("format")
        if version == FORMAT:
            model = ModelInfo.from_dict(values.pop("model"))
            return ShardIndex(model=model, **values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TbgridError(
            f"{printable(path)} is missing or damaged", "embed the photos again"
        ) from error
    raise TbgridError(
        f"{printable(path)} has the format {version}, and this tbgrid reads {FORMAT}",
        "use the tbgrid that wrote it, or embed the photos again",
    )
