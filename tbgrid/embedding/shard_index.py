"""What is known of embedded photos before any is: which they are, by which model and options.

Two files in the directory of the shards (`embedding.shards`): the index, and the list of photos,
which the index names by its digest.
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

from tbgrid.embedding.embed import DECODING
from tbgrid.embedding.model_info import ModelInfo
from tbgrid.errors import TbgridError, UsageError
from tbgrid.photos import Photo, SkippedFile, Source
from tbgrid.run_format import printable

INDEX, PHOTOS = "tbgrid-shards.json", "tbgrid-photos.json"
FORMAT = 1  # a change that older readers would misread gets a new number
MAKING = ".making-"  # begins the names of directories for what is not whole yet
DECODER = f"Pillow {PIL.__version__}, decoding {DECODING}"
_ANEW = "give another --out, or remove that directory"


@dataclass(frozen=True)
class Index:
    """What all shards of a directory have in common.

    `photos`: how many were listed; `shard`: how many of them make a shard, the last one has the
    rest. `options`: how they were embedded, by the names of `tbgrid.ExportOptions`; `model`: what
    there is to know of the model. `decoding`: what else decides upon pixels; `listing`: the
    SHA-256 of the list of photos, in hexadecimal digits.
    """

    photos: int
    shard: int
    options: dict[str, Any]
    model: ModelInfo
    listing: str
    decoding: str = DECODER

    @property
    def count(self) -> int:
        """How many shards there are."""
        return -(-self.photos // self.shard)

    def rows(self, number: int) -> range:
        """Which of the photos that were listed make the shard `number`."""
        return range(number * self.shard, min(self.photos, (number + 1) * self.shard))

    def refuse(self, given: Mapping[str, Any]) -> None:
        """Raise `UsageError` if one of the options `given` is not what the photos were embedded
        with; a `preview` of 0 leaves them out, and is none of these."""
        for name, value in given.items():
            old = self.options[name]
            if value != old and not (name == "preview" and value == 0):
                raise UsageError(
                    f"{_option(name)} {value}: the photos were embedded with {old}",
                    "leave it out, or embed them anew",
                )

    def to_json(self) -> str:
        """The index as it is written."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"

    @property
    def token(self) -> str:
        """What ties a shard to its index: 16 hexadecimal digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]


def is_embedded(path: Path) -> bool:
    """Whether a directory of embedded photos is there, finished or not."""
    try:
        return (path / INDEX).is_file()
    except (OSError, ValueError):  # no permission, a NUL in the name
        return False


def begin(
    folder: Path,
    source: Source,
    model: ModelInfo,
    options: Mapping[str, Any],
    shard: int,
) -> Index:
    """Write the index of what is to be embedded into `folder`, or go on with the one there.

    Raises:
        UsageError: it was begun with other options or another model.
        TbgridError: it was begun with other photos, or holds something else.
    """
    listing = _listing(source)
    digest = hashlib.sha256(listing.encode()).hexdigest()
    index = Index(len(source.photos), shard, dict(options), model, digest)
    if is_embedded(folder):
        begun = read_index(folder)
        _refuse_others(folder, begun, index, source)
        return begun
    foreign = [p.name for p in folder.iterdir() if p.name != PHOTOS and p.name[:1] != "."]
    if foreign:
        raise TbgridError(
            f"{printable(folder)} holds other files, such as {printable(min(foreign))}",
            "give --out a new directory",
        )
    _write(folder / PHOTOS, listing)
    _write(folder / INDEX, index.to_json())
    return index


def _write(path: Path, text: str) -> None:
    with tempfile.TemporaryDirectory(prefix=MAKING, dir=path.parent) as scratch:
        written = Path(scratch, path.name)
        written.write_text(text, "utf-8", newline="\n")
        written.replace(path)


def _refuse_others(folder: Path, old: Index, new: Index, source: Source) -> None:
    """Raise if what was begun in `folder` is not what is to be embedded now."""
    name = printable(folder)
    before = {**old.options, "shard": old.shard, "decoded by": old.decoding}
    for key, value in {**new.options, "shard": new.shard, "decoded by": new.decoding}.items():
        if before.get(key) != value:
            raise UsageError(
                f"{name} was begun with {_option(key)} {before.get(key)}, not {value}",
                f"give what it was begun with, or {_ANEW}",
            )
    if old.model != new.model:
        raise UsageError(f"{name} was begun when model {new.model.model_id} was another", _ANEW)
    changed = _difference(read_listing(folder, old), source)
    if changed:
        raise TbgridError(
            f"the photos are not those that {name} was begun with ({changed})",
            f"embed those, or {_ANEW}",
        )


def _option(name: str) -> str:
    """How an option of `tbgrid.ExportOptions` is typed."""
    return name if " " in name else f"--{name.replace('_', '-')}"


def _difference(before: Source, now: Source) -> str:
    """What has changed between two listings of photos, in a few words, or ""."""
    old, new = ({photo.name: photo for photo in each.photos} for each in (before, now))
    gone, come = [n for n in old if n not in new], [n for n in new if n not in old]
    told = [
        f"{len(names)} {what}, such as {names[0]}"
        for names, what in ((gone, "are gone"), (come, "are new"))
        if names
    ]
    if told:
        return "; ".join(told)
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
    """What is kept of the photos that are to be embedded, but for their places on the disk."""
    return json.dumps(
        {
            "name": source.name,
            "columns": source.columns,
            "notes": source.notes,
            "skipped": [[left_out.name, left_out.reason] for left_out in source.skipped],
            "photos": [[photo.name, photo.label, photo.fields] for photo in source.photos],
        },
        indent=0,
    )


def read_listing(folder: Path, index: Index) -> Source:
    """The photos that were listed, without their places on the disk.

    Raises:
        TbgridError: the list is missing, damaged or another.
    """
    try:
        text = (folder / PHOTOS).read_bytes()
        if hashlib.sha256(text).hexdigest() != index.listing:
            raise ValueError("not the list that the index names")
        told = json.loads(text)
        photos = [
            Photo(None, name, label, fields=tuple(fields), row=row)
            for row, (name, label, fields) in enumerate(told["photos"])
        ]
        return Source(
            told["name"],
            tuple(photos),
            tuple(SkippedFile(name, reason) for name, reason in told["skipped"]),
            len(photos),
            tuple(told["columns"]),
            notes=tuple(told["notes"]),
            shards=folder,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TbgridError(
            f"{printable(folder / PHOTOS)} is missing or damaged", "embed the photos anew"
        ) from error


def read_index(folder: Path) -> Index:
    """The index of a directory of embedded photos.

    Raises:
        TbgridError: it is missing, damaged or of another release's format.
    """
    path = folder / INDEX
    try:
        told = json.loads(path.read_text("utf-8"))
        version = told.pop("format")
        if version == FORMAT:
            model = ModelInfo.from_dict(told.pop("model"))
            return Index(model=model, **told)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TbgridError(
            f"{printable(path)} is missing or damaged", "embed the photos anew"
        ) from error
    raise TbgridError(
        f"{printable(path)} has the format {version}, and this tbgrid reads {FORMAT}",
        "use the tbgrid that wrote it, or embed the photos anew",
    )
