"""Positions become cells of a grid: the assignment, its proof, and the refinement of the cells.

Imports `vectors`, `util` and the layers below them.
"""
