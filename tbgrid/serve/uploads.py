"""The two ways in which pictures come: as JSON with base64 or URLs, and as multipart forms."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from pydantic import TypeAdapter, ValidationError

from tbgrid.serve.errors import Refused
from tbgrid.serve.fetch import fetched
from tbgrid.serve.image_files import Picture, blocks_of, receive
from tbgrid.serve.limits import Limits
from tbgrid.serve.paths import Places
from tbgrid.serve.photos import Added
from tbgrid.serve.schemas import Metadata, NewImage, NewInputs, Text

_BLOCK = 1 << 20
_METADATA: TypeAdapter[dict[str, Any]] = TypeAdapter(Metadata)
_TEXT: TypeAdapter[str] = TypeAdapter(Text)


@dataclass(frozen=True)
class File:
    """A file of a form: its name there, and its bytes."""

    name: str
    stream: BinaryIO


@contextlib.contextmanager
def from_json(
    body: bytes, places: Places, limits: Limits, hosts: frozenset[str]
) -> Iterator[list[Added]]:
    """What a body of `NewInputs` asks to add; what is not accepted by the end is removed.

    Raises:
        Refused: it is no such body, or one of its pictures is refused.
    """
    try:
        asked = NewInputs.model_validate(json.loads(body))
    except ValidationError as error:
        raise Refused(422, one_line(error)) from error
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"no JSON ({error})") from error
    with _kept() as added:
        for number, one in enumerate(asked.inputs):
            name = one.name or f"inputs[{number}]"
            left = limits.upload - sum(before.picture.size for before in added)
            blocks = _blocks(one.data.image, name, left, hosts)
            picture = receive(blocks, places.arriving, limits.pixels, name)
            added.append(Added(picture, clean(one.name), clean(one.label), _strings(one.metadata)))
        yield added


@contextlib.contextmanager
def from_form(
    files: Sequence[File],
    labels: Sequence[str],
    metadata: Sequence[str],
    places: Places,
    limits: Limits,
) -> Iterator[list[Added]]:
    """What a form asks to add: one label, and metadata as JSON, for each file, or for all.

    Raises:
        Refused: something of it cannot be meant, or one of its pictures is refused.
    """
    if not files:
        raise Refused(422, "no file: send pictures as files of the form")
    given: list[tuple[str | None, dict[str, str]]] = []
    for text, told in zip(
        _for_each("label", labels, len(files)),
        _for_each("metadata", metadata, len(files)),
        strict=True,
    ):
        try:
            parsed = _METADATA.validate_python(json.loads(told)) if told else {}
            given.append((_TEXT.validate_python(text) if text else None, _strings(parsed)))
        except ValidationError as error:
            raise Refused(422, one_line(error)) from error
        except (ValueError, RecursionError) as error:
            raise Refused(422, f"metadata is no JSON ({error})") from error
    with _kept() as added:
        for file, (label, fields) in zip(files, given, strict=True):
            # A name to show. It is never a path: the file is called by its digest.
            shown = clean(re.split(r"[\\/]", file.name)[-1][-200:])
            blocks = iter(lambda stream=file.stream: stream.read(_BLOCK), b"")  # type: ignore[misc]
            picture = receive(blocks, places.arriving, limits.pixels, shown or "the file")
            added.append(Added(picture, shown, clean(label), fields))
        yield added


@contextlib.contextmanager
def _kept() -> Iterator[list[Added]]:
    added: list[Added] = []
    try:
        yield added
    finally:
        for one in added:
            one.picture.arrived.unlink(missing_ok=True)


def _for_each(what: str, given: Sequence[str], count: int) -> Iterable[str]:
    if len(given) not in (0, 1, count):
        raise Refused(422, f"{len(given)} {what} fields for {count} files: give one, or one each")
    return given if len(given) == count else [*given, ""][:1] * count


def _blocks(image: NewImage, name: str, most: int, hosts: frozenset[str]) -> Iterable[bytes]:
    if image.url is not None:
        return fetched(image.url, hosts, most)
    try:
        return blocks_of(base64.b64decode(image.base64 or "", validate=True))
    except (binascii.Error, ValueError) as error:
        raise Refused(422, f"{name}: not base64 ({error})") from error


def _strings(metadata: dict[str, Any]) -> dict[str, str]:
    told = {}
    for key, value in metadata.items():
        text = value if isinstance(value, str) else json.dumps(value)
        told[clean(key) or "_"] = clean(text[:1000]) or ""
    return told


def clean(text: str | None) -> str | None:
    """One line of valid Unicode; None for nothing."""
    if text is None:
        return None
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(shown.encode("utf-8", "replace").decode().split()) or None


def one_line(error: ValidationError | Any) -> str:
    """The first thing that is wrong with a body, and where."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def digest_of(added: Sequence[Added]) -> list[Any]:
    """JSON that differs whenever what is to be added does."""

    def told(one: Added, picture: Picture) -> list[Any]:
        return [picture.digest, one.name, one.label, one.metadata]

    return [told(one, one.picture) for one in added]
