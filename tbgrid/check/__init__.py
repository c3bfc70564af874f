"""Checks of a finished run: whether TensorBoard accepts it, whoever wrote it.

Imports only `run_format`, `types` and `errors`.
"""
