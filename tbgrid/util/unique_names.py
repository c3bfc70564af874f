"""Names that must differ from each other: of clusters, columns and runs."""

from __future__ import annotations

from collections.abc import Container


def unique_name(
    name: str, taken: Container[str], *, separator: str = " ", ignore_case: bool = False
) -> str:
    """Give `name`, with the first free number from 2 on behind it if it is taken.

    Args:
        name: the name to use if it is free.
        taken: names in use; in lower case if `ignore_case`.
        separator: text between name and number.
        ignore_case: whether "a" is taken if "A" is, as in many file systems.
    """
    unique, number = name, 2
    while (unique.lower() if ignore_case else unique) in taken:
        unique, number = f"{name}{separator}{number}", number + 1
    return unique
