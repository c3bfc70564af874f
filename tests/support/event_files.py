"""What TensorBoard reads in the event files of a run."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from tensorboard.compat.proto import event_pb2, summary_pb2


def events(directory: Path) -> dict[str, list[tuple[int, summary_pb2.Summary.Value]]]:
    """(step, value) of each tag of a run's event files."""
    import tensorflow as tf

    found: dict[str, list[tuple[int, summary_pb2.Summary.Value]]] = defaultdict(list)
    for record in tf.data.TFRecordDataset([str(f) for f in directory.glob("events.*")]):
        event = event_pb2.Event.FromString(record.numpy())
        for value in event.summary.value:
            found[value.tag].append((event.step, value))
    return found
