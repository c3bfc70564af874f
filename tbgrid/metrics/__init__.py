"""Quality measures of maps.

Imports `grid`, `vectors` and the layers below them.
"""
