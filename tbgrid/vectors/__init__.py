"""Vectors and their distances: nearest neighbors and principal components.

Imports `types` and the layers below it.
"""
