"""Turns folders, tables and arrays into a list of photos with labels and metadata.

Imports `util`, `photos` and the layers below them; knows nothing of models.
"""
