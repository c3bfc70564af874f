"""The version of tbgrid, in one place."""

__version__ = "0.1.0"
