"""``python -m tbgrid`` is the ``tbgrid`` command."""

import sys

from tbgrid.cli import main

sys.exit(main())
