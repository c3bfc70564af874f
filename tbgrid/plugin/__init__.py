"""TensorBoard's tab "Grid": the part that runs in TensorBoard's own process.

TensorBoard imports this module when it starts and fails on any error in it, so it holds only a
loader; if `load` fails, TensorBoard logs the error and runs without the tab. This package imports
`run_format` and `errors` only: no stage, no TensorFlow, NumPy or Pillow.
"""

from __future__ import annotations

from typing import Any

from tensorboard.plugins import base_plugin


class GridLoader(base_plugin.TBLoader):  # type: ignore[misc]
    """The loader that the entry point names."""

    def load(self, context: Any) -> Any:
        """Create the plugin for TensorBoard's `context`."""
        from tbgrid.plugin.plugin import GridPlugin

        return GridPlugin(context)
