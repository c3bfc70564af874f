"""Vectors become positions in the plane: t-SNE, UMAP, PCA and FLAS.

Each gives a `tbgrid.grid.layout.Layout`. Imports `grid`, `vectors` and the layers below them.
"""
