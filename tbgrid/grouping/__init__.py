"""Photos that belong together: duplicates, stacks of them, and clusters.

Imports `embedding`, `vectors` and the layers below them.
"""
