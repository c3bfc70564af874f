"""Checks of a run's checkpoint: what TensorBoard finds, and the tensors in it. Needs TensorFlow."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any, TypeAlias

from tbgrid.check.findings import (
    Finding,
    enumerate_items,
    error,
    first_line,
    path_in_run,
    warning,
)
from tbgrid.check.projector_files import check_finite
from tbgrid.run_format import CHECKPOINT_STATE, CONFIG, GLOB_UNSAFE, TENSOR_DIGEST, printable

# What tf.train.Checkpoint and tbgrid append to the name of a tensor.
_SUFFIX = re.compile(rf"(/\.ATTRIBUTES/VARIABLE_VALUE|-[0-9a-f]{{{TENSOR_DIGEST}}})$")
_SLOT = ".OPTIMIZER_SLOT"  # projector_plugin.py: variables that are not embeddings

# Findings on the way, and the result at the end.
_Findings: TypeAlias = Generator[Finding, None, Any]


def check_checkpoint(run: Path, config: Any) -> _Findings:
    """Findings on the checkpoint that TensorBoard takes; returns a reader of it, or None."""
    given = config.model_checkpoint_path if config else ""
    infos = config.embeddings if config else []
    needed = not infos or any(not info.tensor_path for info in infos)
    try:
        import tensorflow as tf
    except ImportError:
        if needed or given:
            message = "TensorFlow is not installed: neither this check nor TensorBoard can read it"
            yield warning(".", message, "pip install tensorflow, or give tensors by tensor_path")
        return None
    prefix = (yield from _given(given)) if given else (yield from _latest(tf, run, needed))
    if prefix and not given and "plugins" in run.absolute().parent.parts:
        # projector_plugin.py, _assets_dir_to_logdir
        message = "inside a directory named plugins: TensorBoard looks for it two levels up"
        yield error(".", message, "rename that directory")
    if not prefix and not given:
        prefix = _parent(tf, run)
        if prefix:
            message = "no checkpoint here, so the Projector shows the parent directory's"
            yield warning(".", message, "move the parent's checkpoint into a directory of its own")
        elif needed and not (run / CHECKPOINT_STATE).is_file():
            indices = sorted(path.name.removesuffix(".index") for path in run.glob("*.index"))
            hint = f"; {printable(indices[-1])} exists, but nothing names it" if indices else ""
            message = f"missing; it names the newest checkpoint{hint}"
            yield error(
                CHECKPOINT_STATE, message, "save by tf.train.Checkpoint.save, which writes it"
            )
    try:
        return tf.train.load_checkpoint(prefix) if prefix else None
    except Exception as bad:  # of any kind: TensorBoard catches all of them, too
        pattern = GLOB_UNSAFE.search(str(prefix))
        cure = "save it again"
        if pattern:
            cure = f"rename the directory: TensorFlow reads {pattern.group()!r} in it as a pattern"
        yield error(path_in_run(run, prefix), f"cannot be read ({first_line(bad)})", cure)
        return None


def embeddings_in(shapes: Any) -> list[str]:
    """The names of the 2-D variables that are not an optimizer's slots, sorted."""
    return [name for name in sorted(shapes) if len(shapes[name]) == 2 and _SLOT not in name]


def check_variable(subject: str, reader: Any, shapes: Any, flat: list[str]) -> _Findings:
    """Findings on a variable of the checkpoint; returns its shape, or None."""
    if subject not in shapes:
        bare = _SUFFIX.sub("", subject)
        near = [found for found in sorted(shapes) if _SUFFIX.sub("", found) == bare]
        near = near or difflib.get_close_matches(subject, flat, 1) or flat
        message = (
            f"not in the checkpoint, which has {enumerate_items('tensor', near)}"
            if near
            else "missing"
        )
        yield error(subject, message, "write tensor_name as the checkpoint has it")
        return None
    shape = shapes[subject]
    if len(shape) != 2 or _SLOT in subject:
        what = f"{len(shape)}-D, not 2-D" if len(shape) != 2 else "an optimizer's slot"
        yield error(subject, f"{what}: not listed", "name a variable of shape [n, d]")
        return None
    try:
        values = reader.get_tensor(subject)
    except Exception as bad:
        yield error(subject, f"cannot be read ({first_line(bad)})", "save the checkpoint again")
        return None
    if values.dtype.kind not in "fiubV":
        yield error(subject, f"{values.dtype}, not numbers", "save it as float32")
        return None
    yield from check_finite(subject, values)
    return tuple(shape)


def _given(given: str) -> _Findings:
    """The prefix that the config's model_checkpoint_path names."""
    message = f"model_checkpoint_path {given!r:.200}"
    if not Path(given).is_absolute():
        message += ", which is relative to tensorboard's working directory,"
    cure = f"leave it out; the file {CHECKPOINT_STATE} names the newest one"
    if not _is_checkpoint(given):
        yield error(CONFIG, f"{message} is not a checkpoint; the run is dropped", cure)
        return None
    yield warning(CONFIG, f"{message} prevents moving the run", cure)
    return given


def _latest(tf: Any, run: Path, needed: bool) -> _Findings:
    """The prefix that the file `checkpoint` names, as tf.train.latest_checkpoint finds it."""
    path = run / CHECKPOINT_STATE
    if not path.is_file():
        return None
    cure = f'save again, or write model_checkpoint_path: "PREFIX" into {CHECKPOINT_STATE}'
    try:
        state = tf.train.get_checkpoint_state(str(run))
    except Exception:
        message = "names no checkpoint; no run of the logdir shows in the Projector"
        yield error(CHECKPOINT_STATE, message, cure)
        return None
    prefix = str(state.model_checkpoint_path) if state else ""
    if not _is_checkpoint(prefix):
        found = (
            f"names {path_in_run(run, prefix)}, which has no .index file" if state else "unreadable"
        )
        yield (error if needed else warning)(CHECKPOINT_STATE, f"{found}; it is ignored", cure)
        return None
    if re.search(r'^model_checkpoint_path: *"(/|\w:)', path.read_text("utf-8"), re.M):
        message = f"names {prefix!r:.200} by its absolute path: the run cannot be moved"
        yield warning(CHECKPOINT_STATE, message, "save with a path relative to the run")
    return prefix


def _parent(tf: Any, run: Path) -> str | None:
    """The parent's checkpoint, which TensorBoard takes if the run has none."""
    try:
        return tf.train.latest_checkpoint(str(run / os.pardir))  # type: ignore[no-any-return]
    except Exception:
        return None


def _is_checkpoint(prefix: str) -> bool:
    return Path(f"{prefix}.index").is_file() or Path(prefix).is_file()
