"""Whole jobs: an export, several models side by side, and embedding in shards.

Imports all stages and `writers`; only `serve` and `cli` stand above it.
"""
