"""Maps of a model in training: a writer for arrays and a Keras callback.

Imports `mapping`, `writers` and the layers below them.
"""
