"""The values that options can take, as literal types.

Pure Python without NumPy: command line and service read their choices here.
"""

from __future__ import annotations

from typing import Literal

# Layouts of vectors in the plane. `best` tries several and keeps the best.
Method = Literal["tsne", "umap", "pca", "flas"]
LayoutName = Literal["tsne", "umap", "pca", "flas", "best"]
NAMES: dict[Method, str] = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PCA", "flas": "FLAS"}
Engine = Literal["opentsne", "sklearn", "intelex"]  # of t-SNE
Metric = Literal["cosine", "euclidean"]  # between vectors
# The cost of an assignment: the sum of squared or of plain distances from points to cells.
AssignmentCost = Literal["squared", "euclidean"]
Solver = Literal["auto", "lapjv", "scipy", "windows"]  # of the assignment
Fit = Literal["crop", "pad", "squash"]  # how a photo becomes a square
InputRange = Literal["unit", "signed", "bytes"]  # of a model: [0, 1], [-1, 1], [0, 255]
Duplicates = Literal["show", "stack", "off"]
Runner = Literal["local", "ray"]  # who embeds shards
