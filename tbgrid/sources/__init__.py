"""What a user brings becomes a list of photos with labels and metadata.

Imports `util`, `photos` and the layers below them; knows nothing of models.
"""
