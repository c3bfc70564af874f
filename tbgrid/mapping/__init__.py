"""Vectors become a finished map with layout, grid and report card, new or from a previous map.

Imports `layouts`, `metrics`, `grouping` and the layers below them.
"""
