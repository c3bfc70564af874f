"""Tools without knowledge of photos or maps: cache, disk arrays, sampling, timing, threads, tables.

Imports `options`, `types` and the layers below them.
"""
