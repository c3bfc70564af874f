"""Folders and patterns of files become lists of photos, labelled by their first sub-folder."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from tbgrid.errors import TbgridError
from tbgrid.types import Photo, Rejected, Source, printable

WAY_OUT = "give a folder of photos, a pattern, a CSV or TSV manifest, or an array of pictures"


def find_photos(folder: str | os.PathLike[str]) -> Source:
    """Every regular file under `folder`, links followed, sorted by path.

    The first sub-folder is the label. Hidden files, what is no regular file, folders that cannot
    be read and links to a folder that is shown anyway are rejected with their reason. Whether a
    file holds a picture is found out when it is decoded.

    Raises:
        TbgridError: `folder` is missing, is no folder, cannot be read or holds no file.
    """
    root = Path(folder)
    try:
        is_folder = stat.S_ISDIR(root.stat().st_mode)
    except FileNotFoundError as error:
        raise TbgridError(f"no folder {printable(root)}", WAY_OUT) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise TbgridError(f"{printable(root)} cannot be reached ({reason})", WAY_OUT) from error
    if not is_folder:
        raise TbgridError(f"{printable(root)} is a file", "give the folder that holds the photos")
    photos: list[Photo] = []
    rejected: list[Rejected] = []
    for path, reason in sorted(_walk(root), key=lambda found: found[0].parts):
        relative = path.relative_to(root)
        name = printable(relative)
        if reason and path == root:
            raise TbgridError(f"{printable(root)}: {reason}", "mend it or give another folder")
        if reason:
            rejected.append(Rejected(name, reason))
        else:
            photos.append(Photo(path, name, _label_of(relative), row=len(photos)))
    if not photos:
        left_out = f" ({rejected[0].name}: {rejected[0].reason})" if rejected else ""
        raise TbgridError(
            f"no photos in {printable(root)}{left_out}", "give a folder that holds at least 3"
        )
    return Source(printable(root.resolve().name), tuple(photos), tuple(rejected), len(photos))


def _label_of(relative: Path) -> str | None:
    return printable(relative.parts[0]) if len(relative.parts) > 1 else None


def _walk(root: Path) -> Iterator[tuple[Path, str]]:
    """Each file under `root` with the reason to reject it, or "", in no particular order.

    A folder is entered once. Links are followed last, so that what they lead to keeps the name
    of its real place where that lies under `root`.
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
    """The files that match a shell pattern, ** included; labels below its fixed part."""
    fixed = Path(pattern)
    while glob.has_magic(os.fspath(fixed)):
        fixed = fixed.parent
    paths = sorted(map(Path, glob.iglob(pattern, recursive=True)), key=lambda path: path.parts)
    files = [path for path in paths if path.is_file()]
    if not files:
        raise TbgridError(f"no files match {printable(pattern)}", WAY_OUT)
    photos = [
        Photo(path, printable(path.relative_to(fixed)), _label_of(path.relative_to(fixed)), row=row)
        for row, path in enumerate(files)
    ]
    return Source(printable(fixed.resolve().name) or "photos", tuple(photos), listed=len(photos))
