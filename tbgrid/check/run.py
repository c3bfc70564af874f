"""Checks whether TensorBoard will accept a run. Nothing is written, and only the run is read.

The rules are those of TensorBoard 2.21, for runs of tbgrid and of any other exporter;
`projector_plugin.py` is the Projector's back end.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from tbgrid.check import projector_files as files
from tbgrid.check.checkpoint import check_checkpoint, check_variable, embeddings_in
from tbgrid.check.findings import Finding, error, path_in_run, warning
from tbgrid.check.metadata import check_metadata
from tbgrid.check.own_run import check_own_run
from tbgrid.run_format import CHECKPOINT_STATE, CONFIG, HOME, OVERRIDE, URL_UNSAFE, printable

__all__ = ["Finding", "check", "exit_code", "format_findings"]

MAX_PER_CURE = 10  # findings with the same cure that are listed one by one

# Findings on the way, and the result at the end.
_Findings: TypeAlias = Generator[Finding, None, Any]


def check(run: str | os.PathLike[str]) -> list[Finding]:
    """Find out what TensorBoard will not accept, or not show well, in the directory `run`.

    Checkpoints are read by TensorFlow; if it is not installed, that is a warning.
    """
    directory = Path(run)
    if not directory.is_dir():
        found = "is a file" if directory.exists() else "does not exist"
        return [error(".", f"{printable(directory)} {found}", "give the directory of a run")]
    return _limit_per_cure(dict.fromkeys(_directory(directory)))


def exit_code(findings: Iterable[Finding]) -> int:
    """1 if any finding is an error, else 0."""
    return int(any(finding.level == "error" for finding in findings))


def format_findings(findings: Iterable[Finding]) -> str:
    """The findings as text for a terminal, errors first, with their number in the last line."""
    ordered = sorted(findings, key=lambda finding: finding.level)
    lines = []
    for finding in ordered:
        text = f"{finding.level}: {finding.subject}: {finding.message}\n  {finding.cure}"
        lines.append("".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text))
    total = Counter(finding.level for finding in ordered)
    count = [f"{n} {level}{'s' if n > 1 else ''}" for level, n in sorted(total.items())]
    return "\n".join([*lines, ", ".join(count) or "nothing found: TensorBoard accepts this run"])


def _limit_per_cure(findings: Iterable[Finding]) -> list[Finding]:
    """The first `MAX_PER_CURE` findings of each cure, and the number of the others."""
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
        message = f"neither {CONFIG} nor checkpoint: nothing for the Projector to show"
        cure = f"give a run below it, such as {below[0]}" if below else "give another directory"
        yield error(".", message, cure)
        return
    unsafe = URL_UNSAFE.search(run.absolute().name)
    if unsafe:
        message = f"the directory's name holds {unsafe.group()!r}, which the page does not encode"
        yield warning(".", message, "rename it, or give it to tensorboard --logdir itself")
    yield from check_own_run(run) if own else _events(run)
    configs = []
    for name in names:
        configs.append((yield from _config(run, name)))
    if None in configs:  # TensorBoard stops here as well
        return
    if len(names) == 2:
        message = f"ignored: {OVERRIDE.as_posix()} overrides it"
        yield warning(CONFIG, message, "remove the one that should not apply")
    if not names and not own:
        message = f"no {CONFIG}: tensors show as points without labels and pictures"
        yield warning(".", message, "write a config next to the checkpoint")
    config = configs[0] if configs else None
    reader = yield from check_checkpoint(run, config)
    yield from _tensors(run, names[0] if names else Path(CONFIG), config, reader)


def _events(run: Path) -> Iterator[Finding]:
    """TensorBoard lists a directory if it has an event file, or if it is the --logdir itself."""
    found = [path for path in run.iterdir() if "tfevents" in path.name and path.is_file()]
    if not any(path.stat().st_size for path in found):
        what = "its event file is empty" if found else "no event file"
        message = f"{what}: listed only if this directory itself is tensorboard's --logdir"
        yield warning(".", message, "write an event file into this directory")


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
        yield error(subject, message, "write it again, in the text format of ProjectorConfig")
    except UnicodeDecodeError:
        yield error(subject, f"not UTF-8; {fatal}", "save the file as UTF-8")
    except OSError as bad:
        yield error(subject, f"cannot be read ({bad.strerror}); {fatal}", "put the file there")
    return None


def _tensors(run: Path, name: Path, config: Any, reader: Any) -> Iterator[Finding]:
    """The tensors and the files of each; a file that several share is checked once."""
    shapes = reader.get_variable_to_shape_map() if reader else {}
    flat = embeddings_in(shapes)
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
            shape = (yield from check_variable(subject, reader, shapes, flat)) if reader else None
        else:
            message = "the first embedding names no tensor: its sprite is dropped, and its other "
            message += "files apply to all tensors without a name"
            yield warning(name.as_posix(), message, "give it a tensor_name")
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
    """Findings on a file that the config names; returns the shape if it holds a tensor."""
    subject = given
    try:
        path = yield from _asset(run, name, given)
        if path is None:
            return None
        subject = path_in_run(run, path)
        counts = sorted({shape[0] for shape in known})
        if kind == "tensor":
            return (yield from files.check_tensor_file(path, subject, extra))
        if kind == "metadata":
            yield from check_metadata(path, subject, counts)
        elif kind == "sprite":
            yield from files.check_sprite(path, subject, extra, counts)
        else:
            yield from files.check_bookmarks(path, subject, known)
    except OSError as bad:
        yield error(subject, f"cannot be read ({bad.strerror})", "make the file readable")
    return None


def _asset(run: Path, name: Path, given: str) -> _Findings:
    """The file that a config names, as projector_plugin.py finds it, or None."""
    given = given.replace("\0", "\ufffd")  # NUL, which no file name holds
    try:
        expanded = Path(given).expanduser()
    except RuntimeError:  # the home of an unknown user
        expanded = Path(given)
    absolute = expanded.is_absolute()
    subject = given if absolute else (name.parent / given).as_posix()
    if "\\" in given and os.sep == "/":
        yield error(subject, "written with backslashes, which only Windows accepts", "write /")
        return None
    folder = os.path.realpath((run / name).parent)
    path = Path(os.path.realpath(folder / expanded))
    if not path.is_relative_to(folder):
        message = f"leads out of the directory of {name.name}; TensorBoard answers 400"
        yield error(subject, message, f"copy the file next to {name.name}, and name the copy")
        return None
    if not path.is_file():
        found = "is not a regular file" if path.exists() else "does not exist"
        message = f"named in {name.name}, but {found}"
        yield error(subject, message, f"put the file there, or fix {name.name}")
        return None
    if absolute:
        message = "named by its absolute path: the run cannot be moved"
        yield warning(subject, message, f"name it relative to {name.name}")
    return path
