"""Photos that belong together: duplicates and clusters.

Imports `embedding`, `vectors` and the layers below them.
"""
