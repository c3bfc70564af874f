"""Numbers that say how good a map is.

Imports `grid`, `vectors` and the layers below them.
"""
