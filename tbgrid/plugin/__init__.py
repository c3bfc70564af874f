"""TensorBoard's tab "Grid": the part that runs within TensorBoard's own process.

TensorBoard imports this module at its start and dies of any error in it. So it holds nothing but a
loader; what `load` raises, TensorBoard tells in its log and goes on without the tab. No module of
this package imports a stage, TensorFlow, NumPy or Pillow.
"""

from __future__ import annotations

from typing import Any

from tensorboard.plugins import base_plugin


class GridLoader(base_plugin.TBLoader):  # type: ignore[misc]
    """What the entry point names."""

    def load(self, context: Any) -> Any:
        """The plugin for TensorBoard's `context`."""
        from tbgrid.plugin.plugin import GridPlugin

        return GridPlugin(context)
