"""What belongs together, in words: copies and clusters as columns, numbers and a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tbgrid.grouping.clusters import Clusters
from tbgrid.grouping.duplicates import EXACT, MIRRORED, NEAR, Copies
from tbgrid.photos import SkippedFile
from tbgrid.types import Json

CLUSTER, DUPLICATES = "cluster", "duplicates"  # the columns


@dataclass(frozen=True)
class Groups:
    """The groups of one export. `names`: of all photos, those of `copies`, None where none were
    looked for. `stacked`: whether only one photo of each group is shown. `clusters`: of the photos
    that are shown, None for none."""

    names: Sequence[str]
    copies: Copies | None = None
    stacked: bool = False
    clusters: Clusters | None = None

    @property
    def left(self) -> list[SkippedFile]:
        """The photos that others stand for, and as what."""
        if self.copies is None or not self.stacked:
            return []
        told = zip(self.names, self.copies.kinds, self.copies.original.tolist(), strict=True)
        return [SkippedFile(name, f"{kind} of {self.names[of]}") for name, kind, of in told if kind]

    @property
    def notes(self) -> list[str]:
        """What the user should know of photos that are not shown."""
        count = len(self.left)
        return (
            [f"{count} copies lie under the tiles of others, see duplicates.tsv"] if count else []
        )

    def columns(self) -> dict[str, list[object]]:
        """Metadata of the photos that are shown; no column that would say nothing."""
        found: dict[str, list[object]] = {}
        if self.clusters is not None and self.clusters.names:
            found[CLUSTER] = list(self.clusters.named)
        if self.copies is not None and len(self.copies.kept) < len(self.names):
            sizes, of = self.copies.sizes.tolist(), self.copies.representative.tolist()
            rows = self.copies.kept.tolist() if self.stacked else range(len(self.names))
            found[DUPLICATES] = [
                f"{self.names[of[row]]} ({sizes[row]})" if sizes[row] > 1 else "" for row in rows
            ]
        return found

    def told(self) -> Json:
        """The numbers, as report.json has them."""
        report: Json = {}
        if self.copies is not None:
            report["duplicates"] = {
                "groups": len(self.copies.groups),
                "exact_copies": self.copies.kinds.count(EXACT),
                "near_copies": self.copies.kinds.count(NEAR),
                "mirrored_copies": self.copies.kinds.count(MIRRORED),
                "same_from_likeness": round(self.copies.threshold, 4),
                "stacked": len(self.left),
            }
        if self.clusters is not None:
            report["clusters"] = {
                "clusters": len(self.clusters.names),
                "share_in_none": round(self.clusters.share_in_none, 4),
                "smallest": self.clusters.least,
            }
        return report

    def lines(self) -> list[tuple[str, str]]:
        """(name, value) for people."""
        told, lines = self.told(), []
        if self.copies is not None:
            numbers = told["duplicates"]
            kinds = ("exact", "near", "mirrored")
            parts = [f"{n:,} {kind}" for kind in kinds if (n := numbers[f"{kind}_copies"])]
            groups = len(self.copies.groups)
            of = f" of {groups:,} photo{'s' if groups != 1 else ''}" if parts else ""
            lines.append(("copies", (", ".join(parts) or "none") + of))
        if self.clusters is not None:
            share = 100 * self.clusters.share_in_none
            found = f"{len(self.clusters.names):,}, {share:.0f} % of the photos in none"
            none = f"none of {self.clusters.least:,} photos or more"
            lines.append(("clusters", found if self.clusters.names else none))
        return lines

    def tsv(self) -> str:
        """All groups, under the header `group path kind of`: the original first, then its
        copies; what each of them is, and of which photo."""
        lines = ["group\tpath\tkind\tof"]
        for number, rows in enumerate(self.copies.groups if self.copies else [], 1):
            assert self.copies is not None
            for row in rows.tolist():
                kind, of = self.copies.kinds[row], self.names[int(self.copies.original[row])]
                cells = (str(number), self.names[row], kind or "original", of if kind else "")
                lines.append("\t".join(" ".join(cell.split()) for cell in cells))
        return "\n".join(lines) + "\n"
