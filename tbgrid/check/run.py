"""Will TensorBoard accept this run? Nothing is written, and nothing but the run is read.

The rules are those of TensorBoard 2.21, for runs of tbgrid and of any other exporter;
`projector_plugin.py` is the Projector's back end. What each file must hold is in `check_files`.
"""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from tbgrid import run_format
from tbgrid.check import projector_files as files
from tbgrid.check.grid_tab import check_grid_tab
from tbgrid.check.projector_files import Finding, enumerate_items, error, warning
from tbgrid.run_format import (
    CHECKPOINT_STATE,
    CONFIG,
    CURRENT,
    EVENTS_SUFFIX,
    GLOB_UNSAFE,
    HOME,
    OVERRIDE,
    STAGING_PREFIX,
    TENSOR_DIGEST,
    URL_UNSAFE,
    printable,
)

__all__ = ["Finding", "check", "exit_code", "format_findings"]

MAX_PER_CURE = 10  # findings with the same cure that are told one by one
_AGAIN = "run the export again"
# What tf.train.Checkpoint, and tbgrid (artifacts/projector.py), add to the name of a tensor.
_ADDED = re.compile(rf"(/\.ATTRIBUTES/VARIABLE_VALUE|-[0-9a-f]{{{TENSOR_DIGEST}}})$")
_SLOT = ".OPTIMIZER_SLOT"  # projector_plugin.py: variables that are no embeddings

# Findings on the way, and what is known at the end.
_Findings: TypeAlias = Generator[Finding, None, Any]


def check(run: str | os.PathLike[str]) -> list[Finding]:
    """What TensorBoard's Projector will not accept, or not show well, of the directory `run`.

    Reading checkpoints takes TensorFlow; where it is missing, that is a warning.
    """
    directory = Path(run)
    if not directory.is_dir():
        found = "is a file" if directory.exists() else "does not exist"
        return [error(".", f"{printable(directory)} {found}", "give the directory of a run")]
    return _summarised(dict.fromkeys(_directory(directory)))


def exit_code(findings: Iterable[Finding]) -> int:
    """1 if any finding is an error, else 0."""
    return int(any(finding.level == "error" for finding in findings))


def format_findings(findings: Iterable[Finding]) -> str:
    """The findings in words for a terminal, errors first, and their number in the last line."""
    told = sorted(findings, key=lambda finding: finding.level)
    lines = []
    for finding in told:
        text = f"{finding.level}: {finding.subject}: {finding.message}\n  {finding.cure}"
        lines.append("".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text))
    total = Counter(finding.level for finding in told)
    count = [f"{n} {level}{'s' if n > 1 else ''}" for level, n in sorted(total.items())]
    return "\n".join([*lines, ", ".join(count) or "nothing found: TensorBoard accepts this run"])


def _summarised(findings: Iterable[Finding]) -> list[Finding]:
    """The findings, where more than `MAX_PER_CURE` have the same cure their number instead."""
    seen: Counter[tuple[str, str]] = Counter()
    kept = []
    for finding in findings:
        kind = (finding.level, finding.cure)
        seen[kind] += 1
        if seen[kind] <= MAX_PER_CURE:
            kept.append(finding)
    for (level, cure), number in seen.items():
        if number > MAX_PER_CURE:
            more = f"... and {number - MAX_PER_CURE:,} more of this kind"
            kept.append((error if level == "error" else warning)(".", more, cure))
    return kept


def _directory(run: Path) -> Iterator[Finding]:
    names = [name for name in (OVERRIDE, Path(CONFIG)) if (run / name).exists()]
    own = (run / HOME).is_dir()
    if not names and not own and not (run / CHECKPOINT_STATE).is_file():
        below = sorted(printable(path.parent.name) for path in run.glob(f"*/{CONFIG}"))
        message = f"neither {CONFIG} nor checkpoint: nothing of its own for the Projector"
        cure = f"give a run below it, such as {below[0]}" if below else "give another directory"
        yield error(".", message, cure)
        return
    unsafe = URL_UNSAFE.search(run.absolute().name)
    if unsafe:
        message = f"the directory's name holds {unsafe.group()!r}, which the page does not encode"
        yield warning(".", message, "rename it, or give it to tensorboard --logdir itself")
    yield from _own(run) if own else _events(run)
    configs = []
    for name in names:
        configs.append((yield from _config(run, name)))
    if None in configs:  # TensorBoard stops here as well
        return
    if len(names) == 2:
        message = f"ignored: {OVERRIDE.as_posix()} overrides it"
        yield warning(CONFIG, message, "remove the one that is not meant")
    if not names and not own:
        message = f"no {CONFIG}: tensors show as points without labels and pictures"
        yield warning(".", message, "write a config beside the checkpoint")
    config = configs[0] if configs else None
    reader = yield from _checkpoint(run, config)
    yield from _tensors(run, names[0] if names else Path(CONFIG), config, reader)


def _events(run: Path) -> Iterator[Finding]:
    """A directory is a run by its event file; only --logdir itself is accepted without."""
    found = [path for path in run.iterdir() if "tfevents" in path.name and path.is_file()]
    if not any(path.stat().st_size for path in found):
        what = "its event file is empty" if found else "no event file"
        message = f"{what}: listed only where this very directory is tensorboard's --logdir"
        yield warning(".", message, "write an event file into this directory")


def _own(run: Path) -> Iterator[Finding]:
    """The pointers of an export of tbgrid; see `artifacts.run`."""
    home = run / HOME
    pointer = (HOME / CURRENT).as_posix()
    current = ""
    if (home / CURRENT).is_file():
        current = (home / CURRENT).read_text("utf-8", "replace").strip()
    root = f"{HOME.as_posix()}/"
    folder = root + current
    if not current:
        yield error(pointer, "missing or empty; it names the export that is shown", _AGAIN)
    elif not re.fullmatch(r"\w+", current) or not (run / folder).is_dir():
        yield error(pointer, f"names {current!r:.60}, which is no directory beside it", _AGAIN)
        current = ""
    named = {current}
    for name in (CONFIG, CHECKPOINT_STATE):
        text = (run / name).read_text("utf-8", "replace") if (run / name).is_file() else ""
        paths = re.findall(r'path: "([^"]*)"', text)
        named |= {path.removeprefix(root).split("/")[0] for path in paths}
        astray = [path for path in paths if not path.startswith(f"{folder}/")]
        if current and astray:
            yield error(name, f"names {astray[0]!r:.200}, not a file of {folder}", _AGAIN)
    if not (run / CONFIG).is_file():
        yield error(CONFIG, "missing in a run of tbgrid", _AGAIN)
    if current and (run / folder / run_format.FOLDER).is_dir():  # older exports have none
        yield from check_grid_tab(run / folder / run_format.FOLDER, f"{folder}/{run_format.FOLDER}")
    for path in sorted(home.iterdir()):
        subject = (HOME / printable(path.name)).as_posix()
        if path.name.startswith(STAGING_PREFIX):
            message = "left by an export that was stopped, unless one is writing now"
            yield warning(subject, message, "export again, or delete it")
        elif path.is_dir() and path.name not in named:
            yield warning(subject, "an export that nothing points to", "delete it")
    events = [path for path in run.glob(f"*tfevents*{EVENTS_SUFFIX}") if path.stat().st_size]
    if not events:
        yield error(
            ".", f"no event file of tbgrid (*{EVENTS_SUFFIX}): the run is not listed", _AGAIN
        )
    elif current and not any(f".{current}." in path.name for path in events):
        message = f"belongs to another export than {current!r:.60}"
        yield warning(printable(events[0].name), message, _AGAIN)


def _config(run: Path, name: Path) -> _Findings:
    """The parsed config, or None."""
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    subject = name.as_posix()
    fatal = "no run of the logdir shows in the Projector"
    try:
        return text_format.Parse((run / name).read_bytes().decode("utf-8"), ProjectorConfig())
    except text_format.ParseError as bad:
        message = f"not a projector config ({' '.join(str(bad).split())}); {fatal}"
        yield error(subject, message, "write it anew, as text of tensorboard's ProjectorConfig")
    except UnicodeDecodeError:
        yield error(subject, f"not UTF-8; {fatal}", "save the file as UTF-8")
    except OSError as bad:
        yield error(subject, f"cannot be read ({bad.strerror}); {fatal}", "put the file there")
    return None


def _checkpoint(run: Path, config: Any) -> _Findings:
    """A reader of the checkpoint that TensorBoard takes, or None."""
    given = config.model_checkpoint_path if config else ""
    infos = config.embeddings if config else []
    needed = not infos or any(not info.tensor_path for info in infos)
    try:
        import tensorflow as tf
    except ImportError:
        if needed or given:
            message = "TensorFlow is not installed: checkpoints are not read, by TensorBoard either"
            yield warning(".", message, "pip install tensorflow, or give tensors by tensor_path")
        return None
    prefix = (yield from _given(given)) if given else (yield from _latest(tf, run, needed))
    if prefix and not given and "plugins" in run.absolute().parent.parts:
        # projector_plugin.py, _assets_dir_to_logdir
        message = "inside a directory named plugins: the checkpoint is looked for two levels up"
        yield error(".", message, "rename that directory")
    if not prefix and not given:
        prefix = _parent(tf, run)
        if prefix:
            message = "no checkpoint here, so the Projector shows that of the parent directory"
            yield warning(".", message, "give the parent's checkpoint a directory of its own")
        elif needed and not (run / CHECKPOINT_STATE).is_file():
            indices = sorted(path.name.removesuffix(".index") for path in run.glob("*.index"))
            hint = f"; {printable(indices[-1])} is there, but nothing names it" if indices else ""
            message = f"missing; it names the newest checkpoint{hint}"
            yield error(
                CHECKPOINT_STATE, message, "save by tf.train.Checkpoint.save, which writes it"
            )
    try:
        return tf.train.load_checkpoint(prefix) if prefix else None
    except Exception as bad:  # TensorBoard catches them all, too
        pattern = GLOB_UNSAFE.search(str(prefix))
        cure = "save it again"
        if pattern:
            cure = f"rename the directory: TensorFlow reads {pattern.group()!r} in it as a pattern"
        yield error(_below(run, prefix), f"cannot be read ({_brief(bad)})", cure)
        return None


def _given(given: str) -> _Findings:
    """The prefix that the config's model_checkpoint_path names."""
    message = f"model_checkpoint_path {given!r:.200}"
    if not Path(given).is_absolute():
        message += ", which counts from tensorboard's working directory,"
    cure = f"leave it out; the file {CHECKPOINT_STATE} names the newest one"
    if not _is_checkpoint(given):
        yield error(CONFIG, f"{message} leads to no checkpoint; the run is dropped", cure)
        return None
    yield warning(CONFIG, f"{message} ties the run to its place", cure)
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
        found = f"names {_below(run, prefix)}, which has no .index file" if state else "unreadable"
        yield (error if needed else warning)(CHECKPOINT_STATE, f"{found}; it is ignored", cure)
        return None
    if re.search(r'^model_checkpoint_path: *"(/|\w:)', path.read_text("utf-8"), re.M):
        message = f"names {prefix!r:.200} by its absolute path: the run cannot be moved"
        yield warning(CHECKPOINT_STATE, message, "save with a path relative to the run")
    return prefix


def _parent(tf: Any, run: Path) -> str | None:
    """The parent's checkpoint, which TensorBoard takes for a run that has none."""
    try:
        return tf.train.latest_checkpoint(str(run / os.pardir))  # type: ignore[no-any-return]
    except Exception:
        return None


def _is_checkpoint(prefix: str) -> bool:
    return Path(f"{prefix}.index").is_file() or Path(prefix).is_file()


def _tensors(run: Path, name: Path, config: Any, reader: Any) -> Iterator[Finding]:
    """The tensors, and the files that go with them; each file once, whoever shares it."""
    shapes = reader.get_variable_to_shape_map() if reader else {}
    flat = [found for found in sorted(shapes) if len(shapes[found]) == 2 and _SLOT not in found]
    wide = [found for found in flat if min(shapes[found]) > 1]
    infos = list(config.embeddings) if config else []
    if reader and not wide and not any(info.tensor_path for info in infos):
        message = "no 2-D variable with at least 2 rows and 2 columns"
        yield error("checkpoint", message, "save the embedding as a variable of shape [n, d]")
        return
    used: dict[tuple[str, str, tuple[int, ...]], list[files.Shape]] = {}
    seen: set[str] = set()
    for place, info in enumerate(infos):
        subject = info.tensor_name.removesuffix(":0") or Path(info.tensor_path).name
        if not subject and place:
            message = f"embedding {place + 1} names no tensor"
            yield error(name.as_posix(), message, "give it a tensor_name")
            continue
        if subject in seen:
            message = "named twice in the config: the page takes the first"
            yield warning(subject, message, "name each tensor once")
        seen.add(subject)
        unsafe = URL_UNSAFE.search(subject)
        if unsafe:
            message = f"the name holds {unsafe.group()!r}, which the page does not encode"
            yield error(subject, message, "name the tensor without & # + %")
        if info.tensor_path:
            shape = yield from _file(run, name, "tensor", info.tensor_path, info.tensor_shape, [])
        elif subject:
            shape = (yield from _variable(subject, reader, shapes, flat)) if reader else None
        else:
            message = "the first embedding names no tensor: its sprite is dropped, the rest goes "
            yield warning(
                name.as_posix(), f"{message}to every tensor not named", "give it a tensor_name"
            )
            others = set(flat) - {other.tensor_name.removesuffix(":0") for other in infos}
            shape = tuple(shapes[others.pop()]) if len(others) == 1 else None
        if shape:
            yield from files.check_tensor_shape(subject, shape, info.tensor_shape)
        cell = tuple(info.sprite.single_image_dim)
        for kind, path, extra in (
            ("metadata", info.metadata_path, ()),
            ("sprite", info.sprite.image_path, cell),
            ("bookmarks", info.bookmarks_path, ()),
        ):
            shared = used.setdefault((kind, path, extra), []) if path else []
            if shape and shape not in shared:
                shared.append(shape)
    for (kind, path, cell), known in used.items():
        yield from _file(run, name, kind, path, cell, known)


def _file(
    run: Path, name: Path, kind: str, given: str, extra: Sequence[int], known: list[files.Shape]
) -> _Findings:
    """Findings on a file that the config names; returns the shape where it is a tensor's."""
    subject = given
    try:
        path = yield from _asset(run, name, given)
        if path is None:
            return None
        subject = _below(run, path)
        counts = sorted({shape[0] for shape in known})
        if kind == "tensor":
            return (yield from files.check_tensor_file(path, subject, extra))
        if kind == "metadata":
            yield from files.check_metadata(path, subject, counts)
        elif kind == "sprite":
            yield from files.check_sprite(path, subject, extra, counts)
        else:
            yield from files.check_bookmarks(path, subject, known)
    except OSError as bad:
        yield error(subject, f"cannot be read ({bad.strerror})", "make the file readable")
    return None


def _asset(run: Path, name: Path, given: str) -> _Findings:
    """The file that a config names, as projector_plugin.py finds it, or None."""
    given = given.replace("\0", "\ufffd")  # which no file's name holds
    try:
        expanded = Path(given).expanduser()
    except RuntimeError:  # ~ of nobody
        expanded = Path(given)
    absolute = expanded.is_absolute()
    subject = given if absolute else (name.parent / given).as_posix()
    if "\\" in given and os.sep == "/":
        yield error(subject, "written with backslashes, which only Windows takes", "write /")
        return None
    folder = os.path.realpath((run / name).parent)
    path = Path(os.path.realpath(folder / expanded))
    if not path.is_relative_to(folder):
        message = f"leads out of the directory of {name.name}; TensorBoard answers 400"
        yield error(subject, message, f"copy the file beside {name.name}, and name that copy")
        return None
    if not path.is_file():
        found = "is no regular file" if path.exists() else "does not exist"
        message = f"named in {name.name}, but {found}"
        yield error(subject, message, f"put the file there, or mend {name.name}")
        return None
    if absolute:
        message = "named by its absolute path: the run cannot be moved"
        yield warning(subject, message, f"name it relative to {name.name}")
    return path


def _variable(subject: str, reader: Any, shapes: Any, flat: list[str]) -> _Findings:
    """The shape of a variable of the checkpoint, or None."""
    if subject not in shapes:
        bare = _ADDED.sub("", subject)
        near = [found for found in sorted(shapes) if _ADDED.sub("", found) == bare]
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
        yield error(subject, f"cannot be read ({_brief(bad)})", "save the checkpoint again")
        return None
    if values.dtype.kind not in "fiubV":
        yield error(subject, f"{values.dtype}, not numbers", "save it as float32")
        return None
    yield from files.check_finite(subject, values)
    return tuple(shape)


def _below(run: Path, path: str | Path) -> str:
    """`path` relative to the run, or as it is where it lies elsewhere."""
    relative = os.path.relpath(os.path.realpath(path), os.path.realpath(run))
    return printable(path if relative.startswith(os.pardir) else relative)


def _brief(bad: Exception) -> str:
    return (str(bad).splitlines() or [type(bad).__name__])[0][:200]
