"""``python -m tbgrid`` is the ``tbgrid`` command."""

import sys

from tbgrid.cli.main import main

sys.exit(main())
