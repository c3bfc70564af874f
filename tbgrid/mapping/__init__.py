"""Vectors become a finished map: a layout, its grid and its report card, also from an earlier map.

Imports `layouts`, `metrics`, `grouping` and the layers below them.
"""
