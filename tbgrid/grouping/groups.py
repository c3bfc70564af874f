"""Duplicates and clusters of an export: as metadata columns, report and list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tbgrid.grouping.clusters import Clusters
from tbgrid.grouping.duplicates import EXACT, MIRRORED, NEAR, Copies
from tbgrid.photos import SkippedFile
from tbgrid.run_format import DUPLICATES as DUPLICATES_FILE
from tbgrid.types import Json

CLUSTER, DUPLICATES = "cluster", "duplicates"  # names of the columns


@dataclass(frozen=True)
class Groups:
    """The groups of one export.

    Attributes:
        names: of all photos, also of collapsed ones.
        copies: the duplicates among them; None if they were not searched for.
        stacked: whether each group of duplicates is collapsed into its representative.
        clusters: of the photos on the map; None if they were not searched for.
    """

    names: Sequence[str]
    copies: Copies | None = None
    stacked: bool = False
    clusters: Clusters | None = None

    @property
    def collapsed(self) -> list[SkippedFile]:
        """The photos that are represented by another, and why."""
        if self.copies is None or not self.stacked:
            return []
        rows = zip(self.names, self.copies.kinds, self.copies.copy_of.tolist(), strict=True)
        return [SkippedFile(name, f"{kind} of {self.names[of]}") for name, kind, of in rows if kind]

    @property
    def notes(self) -> list[str]:
        """A note on the collapsed photos, if there are any."""
        count = len(self.collapsed)
        note = f"{count} duplicates are collapsed into other tiles, see {DUPLICATES_FILE}"
        return [note] if count else []

    def columns(self) -> dict[str, list[object]]:
        """Metadata columns for the photos on the map; only those that hold information."""
        found: dict[str, list[object]] = {}
        if self.clusters is not None and self.clusters.names:
            found[CLUSTER] = list(self.clusters.label_names)
        if self.copies is not None and len(self.copies.representatives) < len(self.names):
            sizes, of = self.copies.sizes.tolist(), self.copies.representative_of.tolist()
            rows = self.copies.representatives.tolist() if self.stacked else range(len(self.names))
            found[DUPLICATES] = [
                f"{self.names[of[row]]} ({sizes[row]})" if sizes[row] > 1 else "" for row in rows
            ]
        return found

    def to_dict(self) -> Json:
        """The sections of report.json on groups."""
        report: Json = {}
        if self.copies is not None:
            report["duplicates"] = {
                "groups": len(self.copies.groups),
                "exact_copies": self.copies.kinds.count(EXACT),
                "near_copies": self.copies.kinds.count(NEAR),
                "mirrored_copies": self.copies.kinds.count(MIRRORED),
                "similarity_threshold": round(self.copies.threshold, 4),
                "collapsed": len(self.collapsed),
            }
        if self.clusters is not None:
            report["clusters"] = {
                "clusters": len(self.clusters.names),
                "share_in_none": round(self.clusters.noise_share, 4),
                "min_size": self.clusters.min_size,
            }
        return report

    def summary_rows(self) -> list[tuple[str, str]]:
        """(name, value) texts for the terminal, notebooks and the Grid tab."""
        rows: list[tuple[str, str]] = []
        if self.copies is not None:
            kinds = {"exact": EXACT, "near": NEAR, "mirrored": MIRRORED}
            counts = {name: self.copies.kinds.count(kind) for name, kind in kinds.items()}
            parts = [f"{count:,} {name}" for name, count in counts.items() if count]
            groups = len(self.copies.groups)
            of = f" of {groups:,} photo{'s' if groups != 1 else ''}" if parts else ""
            rows.append(("duplicates", (", ".join(parts) or "none") + of))
        if self.clusters is not None:
            share = 100 * self.clusters.noise_share
            found = f"{len(self.clusters.names):,}, {share:.0f} % of the photos in none"
            none = f"none of {self.clusters.min_size:,} photos or more"
            rows.append(("clusters", found if self.clusters.names else none))
        return rows

    def tsv(self) -> str:
        """All groups of duplicates as a table with the header `group path kind of`.

        The representative comes first in its group, as "original", then its copies: their kind,
        and of which photo each is a copy.
        """
        lines = ["group\tpath\tkind\tof"]
        for number, rows in enumerate(self.copies.groups if self.copies else [], 1):
            assert self.copies is not None
            for row in rows.tolist():
                kind, of = self.copies.kinds[row], self.names[int(self.copies.copy_of[row])]
                cells = (str(number), self.names[row], kind or "original", of if kind else "")
                lines.append("\t".join(" ".join(cell.split()) for cell in cells))
        return "\n".join(lines) + "\n"
