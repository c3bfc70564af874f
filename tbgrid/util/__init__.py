"""Tools without knowledge of photos or maps: cache, disk arrays, locks, sampling, tables, timing.

Imports `options`, `types` and the layers below them.
"""
