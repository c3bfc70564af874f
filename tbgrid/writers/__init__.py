"""The files of a run: everything that TensorBoard and the Grid tab read.

Imports `mapping` and the layers below it.
"""
