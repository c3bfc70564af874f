"""Uploads become new photos: JSON with Base64 or URLs, and multipart forms."""

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

from tbgrid.serve.errors import RequestError
from tbgrid.serve.fetch import fetch_image
from tbgrid.serve.image_files import iter_blocks, save_image
from tbgrid.serve.limits import Limits
from tbgrid.serve.paths import ServicePaths
from tbgrid.serve.photos import NewPhoto
from tbgrid.serve.schemas import Metadata, NewImage, NewInputs, Text

_BLOCK = 1 << 20
_METADATA: TypeAdapter[dict[str, Any]] = TypeAdapter(Metadata)
_TEXT: TypeAdapter[str] = TypeAdapter(Text)


@dataclass(frozen=True)
class FormFile:
    """A file of a multipart form.

    Attributes:
        name: file name, as the client sends it.
        stream: its bytes.
    """

    name: str
    stream: BinaryIO


@contextlib.contextmanager
def photos_from_json(
    body: bytes, paths: ServicePaths, limits: Limits, hosts: frozenset[str]
) -> Iterator[list[NewPhoto]]:
    """Save the images of a JSON body; at the end, files that were not accepted are removed.

    Args:
        body: JSON of the schema `NewInputs`.
        paths: where files are stored.
        limits: limits on images, and on bytes fetched by URL.
        hosts: host names that images may be fetched from.

    Raises:
        RequestError: if the body is invalid, or one of its images is rejected.
    """
    try:
        content = NewInputs.model_validate(json.loads(body))
    except ValidationError as error:
        raise RequestError(422, first_problem(error)) from error
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"the request body is not valid JSON ({error})") from error
    with _removing_files() as new:
        for number, item in enumerate(content.inputs):
            name = item.name or f"inputs[{number}]"
            left = limits.upload - sum(photo.file.size for photo in new)
            blocks = _image_blocks(item.data.image, name, left, hosts)
            file = save_image(blocks, paths.incoming, limits.pixels, name)
            new.append(
                NewPhoto(
                    file, clean_text(item.name), clean_text(item.label), _strings(item.metadata)
                )
            )
        yield new


@contextlib.contextmanager
def photos_from_form(
    files: Sequence[FormFile],
    labels: Sequence[str],
    metadata: Sequence[str],
    paths: ServicePaths,
    limits: Limits,
) -> Iterator[list[NewPhoto]]:
    """Save the images of a form; at the end, files that were not accepted are removed.

    Args:
        files: the image files.
        labels: none, one for all files, or one per file.
        metadata: JSON objects: none, one for all files, or one per file.
        paths: where files are stored.
        limits: limits on images.

    Raises:
        RequestError: if a field is invalid, or one of the images is rejected.
    """
    if not files:
        raise RequestError(422, "no file: send images as files of the form")
    fields: list[tuple[str | None, dict[str, str]]] = []
    for text, encoded in zip(
        _one_per_file("label", labels, len(files)),
        _one_per_file("metadata", metadata, len(files)),
        strict=True,
    ):
        try:
            values = _METADATA.validate_python(json.loads(encoded)) if encoded else {}
            fields.append((_TEXT.validate_python(text) if text else None, _strings(values)))
        except ValidationError as error:
            raise RequestError(422, first_problem(error)) from error
        except (ValueError, RecursionError) as error:
            raise RequestError(422, f"metadata is not valid JSON ({error})") from error
    with _removing_files() as new:
        for form_file, (label, values) in zip(files, fields, strict=True):
            # A name to show, never a path: files are stored under their digests.
            name = clean_text(re.split(r"[\\/]", form_file.name)[-1][-200:])
            blocks = iter(lambda stream=form_file.stream: stream.read(_BLOCK), b"")  # type: ignore[misc]
            file = save_image(blocks, paths.incoming, limits.pixels, name or "the file")
            new.append(NewPhoto(file, name, clean_text(label), values))
        yield new


@contextlib.contextmanager
def _removing_files() -> Iterator[list[NewPhoto]]:
    """A list of photos, whose files are removed at the end unless they were moved."""
    new: list[NewPhoto] = []
    try:
        yield new
    finally:
        for photo in new:
            photo.file.path.unlink(missing_ok=True)


def _one_per_file(field: str, values: Sequence[str], count: int) -> Iterable[str]:
    """`count` values, of none, one or `count` of them."""
    if len(values) not in (0, 1, count):
        raise RequestError(
            422, f"{len(values)} {field} fields for {count} files: send one, or one per file"
        )
    return values if len(values) == count else [*values, ""][:1] * count


def _image_blocks(image: NewImage, name: str, limit: int, hosts: frozenset[str]) -> Iterable[bytes]:
    if image.url is not None:
        return fetch_image(image.url, hosts, limit)
    try:
        return iter_blocks(base64.b64decode(image.base64 or "", validate=True))
    except (binascii.Error, ValueError) as error:
        raise RequestError(422, f"{name} is not valid Base64 ({error})") from error


def _strings(metadata: dict[str, Any]) -> dict[str, str]:
    """Metadata as text, one line per value."""
    cleaned = {}
    for key, value in metadata.items():
        text = value if isinstance(value, str) else json.dumps(value)
        cleaned[clean_text(key) or "_"] = clean_text(text[:1000]) or ""
    return cleaned


def clean_text(text: str | None) -> str | None:
    """`text` as one line of valid Unicode; None if nothing is left."""
    if text is None:
        return None
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(shown.encode("utf-8", "replace").decode().split()) or None


def first_problem(error: ValidationError | Any) -> str:
    """The first problem that Pydantic found, with the field that has it."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    return f"{field}: {first['msg']}" if field else str(first["msg"])


def request_content(new: Sequence[NewPhoto]) -> list[Any]:
    """JSON that differs whenever the photos of a request do."""
    return [[photo.file.digest, photo.name, photo.label, photo.metadata] for photo in new]
