"""Turns pictures into vectors: decoding, models, shards of embedded photos.

Imports `util`, `photos` and the layers below them.
"""
