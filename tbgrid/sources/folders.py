"""Finds photos in folders and by patterns; the first subfolder is the label."""

from __future__ import annotations

import fnmatch
import glob
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from tbgrid.errors import TbgridError
from tbgrid.photos import Photo, SkippedFile, Source
from tbgrid.run_format import printable

WAY_OUT = "use a folder of photos, a pattern, a CSV or TSV manifest, or an array of pictures"


def is_file(path: Path) -> bool:
    """Whether `path` is a regular file. Unlike `Path.is_file` it never raises."""
    return stat.S_ISREG(_mode(path))


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except (OSError, ValueError):  # no permission, too long a name, a NUL in it
        return 0


def find_photos(folder: str | os.PathLike[str]) -> Source:
    """Find every regular file under a folder, sorted by path. Symbolic links are followed.

    The first subfolder is the label. Hidden files, files that are not regular, folders that cannot
    be read and links to folders that are shown anyway are skipped with a reason. Whether a file is
    a picture is not known until it is decoded.

    Args:
        folder: the folder to search.

    Raises:
        TbgridError: `folder` does not exist, is not a folder, cannot be read or holds no file.
    """
    root = Path(folder)
    try:
        is_folder = stat.S_ISDIR(root.stat().st_mode)
    except FileNotFoundError as error:
        raise TbgridError(f"no such folder: {printable(root)}", WAY_OUT) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise TbgridError(f"{printable(root)} cannot be reached ({reason})", WAY_OUT) from error
    if not is_folder:
        raise TbgridError(f"{printable(root)} is a file", "use the folder that contains the photos")
    photos: list[Photo] = []
    skipped: list[SkippedFile] = []
    for path, reason in sorted(_walk(root), key=lambda item: item[0].parts):
        relative = path.relative_to(root)
        name = printable(relative)
        if reason and path == root:
            raise TbgridError(
                f"{printable(root)}: {reason}", "fix the permissions or use another folder"
            )
        if reason:
            skipped.append(SkippedFile(name, reason))
        else:
            photos.append(Photo(path=path, name=name, label=_label_of(relative), row=len(photos)))
    if not photos:
        reason = f" ({skipped[0].name}: {skipped[0].reason})" if skipped else ""
        raise TbgridError(f"no photos in {printable(root)}{reason}", "use a folder with at least 3")
    return Source(
        name=printable(root.resolve().name),
        photos=tuple(photos),
        skipped=tuple(skipped),
        listed=len(photos),
    )


def _label_of(relative: Path) -> str | None:
    return printable(relative.parts[0]) if len(relative.parts) > 1 else None


def _walk(root: Path) -> Iterator[tuple[Path, str]]:
    """Each file under `root` with the reason to skip it, or "", in no particular order.

    A folder is entered once. Links are followed last, so that a folder that is also under `root`
    keeps the name of its real place.
    """
    real_folders, links = [root], list[Path]()
    entered = set()
    while real_folders or links:
        is_link = not real_folders
        folder = (real_folders or links).pop()
        real = os.path.realpath(folder)
        if real in entered:
            yield folder, "link to a folder that is shown already"
            continue
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            yield folder, f"folder cannot be read: {error.strerror}"
            continue
        entered.add(real)
        for entry in entries:
            path = Path(entry.path)
            try:
                mode = entry.stat().st_mode
            except OSError as error:
                yield path, f"cannot be reached: {error.strerror}"
                continue
            if entry.name.startswith("."):
                yield path, "hidden folder" if stat.S_ISDIR(mode) else "hidden file"
            elif stat.S_ISDIR(mode):
                (links if is_link or entry.is_symlink() else real_folders).append(path)
            elif stat.S_ISREG(mode):
                yield path, ""
            else:
                yield path, "not a regular file"


def find_pattern(pattern: str) -> Source:
    """Find the regular files that match a shell pattern, which may have **, sorted by path.

    Names and labels are relative to the folder before the first wildcard. A file that is reached
    again through links to folders is taken once.

    Args:
        pattern: as in a shell; ** matches any number of folders.

    Raises:
        TbgridError: no file matches.
    """
    root, rest = _split(pattern)
    if "**" in rest.parts:  # not by glob, which never ends where links form a cycle
        walked = [path.relative_to(root) for path, reason in _walk(root) if not reason]
        found = [path for path in walked if _matches(path.parts, rest.parts)]
    else:
        try:
            found = [Path(path) for path in glob.glob(os.fspath(rest), root_dir=root)]
        except (OSError, ValueError) as error:  # ValueError: a NUL in the pattern
            raise TbgridError(f"no files match {printable(pattern)} ({error})", WAY_OUT) from error
    files = [path for path in found if is_file(root / path)]
    if not files:
        folders = ", only folders: end it in /** for the files in them" if found else ""
        raise TbgridError(f"no files match {printable(pattern)}{folders}", WAY_OUT)
    base = os.path.realpath(root)
    real = {folder: os.path.realpath(root / folder) for folder in {file.parent for file in files}}
    # The real place of a file takes precedence over links to its folder.
    linked = {folder: real[folder] != str(Path(base, folder)) for folder in real}
    files.sort(key=lambda file: (linked[file.parent], file.parts))
    once = {os.path.join(real[file.parent], file.name): file for file in reversed(files)}
    photos = [
        Photo(path=root / file, name=printable(file), label=_label_of(file), row=row)
        for row, file in enumerate(sorted(once.values(), key=lambda file: file.parts))
    ]
    return Source(
        name=printable(root.resolve().name) or "photos", photos=tuple(photos), listed=len(photos)
    )


def _split(pattern: str) -> tuple[Path, Path]:
    """The folder that a pattern starts from, and the rest. Characters of existing folders are not
    wildcards."""
    parts = Path(pattern).parts
    root, taken = Path(), 0
    for part in parts[:-1]:
        if glob.has_magic(part) and not stat.S_ISDIR(_mode(root / part)):
            break
        root, taken = root / part, taken + 1
    return root, Path(*parts[taken:])


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a path matches a pattern, in which ** stands for any number of folders, or at its end
    for everything below."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[skipped:], pattern[1:]) for skipped in range(len(parts) + 1))
    return (
        bool(parts)
        and fnmatch.fnmatchcase(parts[0], pattern[0])
        and _matches(parts[1:], pattern[1:])
    )
