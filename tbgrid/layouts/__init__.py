"""Vectors become positions in the plane: t-SNE, UMAP, PCA and FLAS.

Imports `grid`, `vectors` and the layers below them.
"""
