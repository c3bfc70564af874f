"""The event file: what the Images, Text, Scalars and HParams tabs show."""

from __future__ import annotations

import contextlib
import errno
import io
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import time_ns
from typing import TypeAlias

from PIL import Image
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_FLOAT, DT_STRING
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.plugins.text import metadata as text_metadata
from tensorboard.summary.writer.record_writer import RecordWriter

from tbgrid.run_format import EVENTS_PREFIX

_DATA_CLASS = {
    "images": summary_pb2.DATA_CLASS_BLOB_SEQUENCE,
    "text": summary_pb2.DATA_CLASS_TENSOR,
}


@dataclass(frozen=True)
class ImageSummary:
    """One picture of a tag at a step: an encoded JPEG or PNG."""

    tag: str
    step: int
    encoded: bytes
    description: str


@dataclass(frozen=True)
class TextSummary:
    """Markdown under a tag, at step 0."""

    tag: str
    markdown: str


@dataclass(frozen=True)
class ScalarSummary:
    """A number under a tag at a step."""

    tag: str
    value: float
    step: int = 0


@dataclass(frozen=True)
class HParamsSummary:
    """The options of a run, for the HParams tab; its numbers there are the run's scalars."""

    options: Mapping[str, bool | float | str]


Summary: TypeAlias = ImageSummary | TextSummary | ScalarSummary | HParamsSummary


@contextlib.contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn TensorFlow's error about a `path` that cannot be written into an OSError."""
    try:
        yield
    except Exception as error:
        import tensorflow as tf

        if not isinstance(error, tf.errors.OpError):
            raise
        # "{{function_node ...}} PATH; No space left on device [Op:SaveV2]"
        text = re.sub(r"\s*\[Op:\w+\]$", "", error.message).rpartition("; ")[2]
        raise OSError(errno.EIO, text, str(path)) from error


def write_events(path: Path, summaries: Iterable[Summary], time: float) -> None:
    """Write an event file.

    Args:
        path: the file.
        summaries: its content; the description of a tag is that of its first picture.
        time: wall time of all of them, in seconds since 1970.

    Raises:
        OSError: the file cannot be written.
    """
    import tensorflow as tf

    seen: set[str] = set()
    with file_errors(path), tf.io.TFRecordWriter(str(path)) as records:
        records.write(_version(time))
        for summary in summaries:
            records.write(_event(summary, time, seen))


class EventLog:
    """An event file in `directory` that grows while TensorBoard reads it, without TensorFlow.

    The file is created with the first summaries; existing event files are left alone. Its suffix
    differs from that of exports, so that an export does not remove it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._path: Path | None = None
        self._seen: set[str] = set()

    def add(self, summaries: Iterable[Summary], time: float) -> None:
        """Append all of `summaries`, or none, at wall time `time` (seconds since 1970).

        Raises:
            OSError: the file cannot be written.
        """
        seen = set(self._seen)
        held = io.BytesIO()
        records = RecordWriter(held)
        path = self._path
        if path is None:
            # TensorBoard reads files in the order of their names, also those of the same second.
            stamp, part = divmod(time_ns(), 10**9)
            name = f"{EVENTS_PREFIX}{stamp:010d}.{part:09d}.{secrets.token_hex(4)}"
            path = self.directory / f"{name}.tbgrid-steps"
            self.directory.mkdir(parents=True, exist_ok=True)
            records.write(_version(time))
        for summary in summaries:
            records.write(_event(summary, time, seen))
        with path.open("ab", buffering=0) as file:
            end = file.tell()
            try:
                rest = held.getbuffer()
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:  # a full disk: nothing after half a record can be read
                file.truncate(end)
                raise
        self._path, self._seen = path, seen


def _version(time: float) -> bytes:
    """The first record of an event file."""
    event = event_pb2.Event(wall_time=time, file_version="brain.Event:2")
    return bytes(event.SerializeToString())


def _event(summary: Summary, time: float, seen: set[str]) -> bytes:
    """The record of a summary; `seen` are the tags in the file, to which its own is added."""
    value = _value(summary)
    if value.tag in seen:
        value.ClearField("metadata")
    seen.add(value.tag)
    event = event_pb2.Event(
        wall_time=time,
        step=summary.step if isinstance(summary, (ImageSummary, ScalarSummary)) else 0,
        summary=summary_pb2.Summary(value=[value]),
    )
    return bytes(event.SerializeToString())


def _value(summary: Summary) -> summary_pb2.Summary.Value:
    if isinstance(summary, ImageSummary):
        return _image(summary)
    if isinstance(summary, TextSummary):
        return _text(summary)
    if isinstance(summary, ScalarSummary):
        return _scalar(summary)
    from tensorboard.plugins.hparams import summary as hparams_summary  # imports TensorFlow

    # If TensorFlow is installed, the value is of TensorFlow's own message class.
    (value,) = hparams_summary.session_start_pb(dict(summary.options)).value
    return summary_pb2.Summary.Value.FromString(value.SerializeToString())


def _scalar(summary: ScalarSummary) -> summary_pb2.Summary.Value:
    metadata = scalar_metadata.create_summary_metadata(display_name=None, description="")
    metadata.data_class = summary_pb2.DATA_CLASS_SCALAR
    tensor = TensorProto(dtype=DT_FLOAT, tensor_shape=TensorShapeProto(), float_val=[summary.value])
    return summary_pb2.Summary.Value(tag=summary.tag, metadata=metadata, tensor=tensor)


def _image(summary: ImageSummary) -> summary_pb2.Summary.Value:
    """An image summary holds [width, height, encoded picture], PNG or JPEG."""
    width, height = Image.open(io.BytesIO(summary.encoded)).size
    metadata = image_metadata.create_summary_metadata(
        display_name=None, description=summary.description, converted_to_tensor=True
    )
    metadata.data_class = _DATA_CLASS["images"]
    return summary_pb2.Summary.Value(
        tag=summary.tag,
        metadata=metadata,
        tensor=_strings([str(width).encode(), str(height).encode(), summary.encoded]),
    )


def _text(summary: TextSummary) -> summary_pb2.Summary.Value:
    metadata = text_metadata.create_summary_metadata(display_name=None, description="")
    metadata.data_class = _DATA_CLASS["text"]
    return summary_pb2.Summary.Value(
        tag=summary.tag, metadata=metadata, tensor=_strings([summary.markdown.encode()])
    )


def _strings(values: list[bytes]) -> TensorProto:
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=len(values))])
    return TensorProto(dtype=DT_STRING, tensor_shape=shape, string_val=values)
