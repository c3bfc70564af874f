"""The values that options can take, as literal types.

Pure Python without NumPy: the command line reads choices here without loading anything heavy.
"""

from __future__ import annotations

from typing import Literal

Method = Literal["tsne", "umap", "pca", "flas"]
NAMES: dict[Method, str] = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PCA", "flas": "FLAS"}
Engine = Literal["opentsne", "sklearn", "intelex"]
LayoutName = Literal["tsne", "umap", "pca", "flas", "best"]
Solver = Literal["auto", "lapjv", "scipy", "windows"]
Duplicates = Literal["show", "stack", "off"]
Fit = Literal["crop", "pad", "squash"]
Metric = Literal["cosine", "euclidean"]
InputRange = Literal["unit", "signed", "bytes"]  # [0, 1], [-1, 1], [0, 255]
AssignmentCost = Literal["squared", "euclidean"]
Runner = Literal["local", "ray"]
